//! A program under test as a child in a process group of its own.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::usage::{self, Usage};
use crate::wait;

/// What a program wrote so far.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Both, standard output first.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// Everything it wrote.
    pub output: Output,
    /// How long it ran, or for a stop how long that took.
    pub took: Duration,
}

impl Finished {
    /// Exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// A running program. Dropping it kills its whole group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Mutex<Output>>,
    readers: Vec<JoinHandle<()>>,
    started: Instant,
}

impl Process {
    /// Starts `command` in its own process group, without input, both outputs captured.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start(command: &mut Command) -> Result<Process> {
        Process::start_with(command, Stdio::null())
    }

    /// As [`Process::start`], with `input` to read from.
    ///
    /// # Errors
    /// As for [`Process::start`].
    pub fn start_with(command: &mut Command, input: Stdio) -> Result<Process> {
        let started = Instant::now();
        let mut child = command
            .process_group(0)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
        let output = Arc::new(Mutex::new(Output::default()));
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(capture(pipe, &output, |output| &mut output.stdout));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(capture(pipe, &output, |output| &mut output.stderr));
        }
        Ok(Process { child, output, readers, started })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What it wrote so far.
    pub fn output(&self) -> Output {
        locked(&self.output).clone()
    }

    /// Waits until its output holds `text`.
    ///
    /// # Errors
    /// When it ends or `within` passes before; the message holds what it wrote.
    pub fn wait_for(&mut self, text: &str, within: Duration) -> Result<()> {
        self.wait_until(&format!("the output to hold `{text}`"), within, |output| output.all().contains(text))
    }

    /// Waits until `is_so` holds for its output.
    ///
    /// # Errors
    /// When it ends or `within` passes before; the message holds what it wrote.
    pub fn wait_until(
        &mut self,
        what: &str,
        within: Duration,
        mut is_so: impl FnMut(&Output) -> bool,
    ) -> Result<()> {
        let mut ended = false;
        let done = wait::value(what, within, || {
            // Asked before the look, so that what was written last is still seen.
            ended = self.has_ended();
            if ended {
                self.read_out();
            }
            if is_so(&self.output()) { Some(true) } else { ended.then_some(false) }
        });
        match done {
            Ok(true) => Ok(()),
            Ok(false) => {
                bail!("the program ended while waiting for {what}; it wrote:\n{}", self.output().all())
            }
            Err(error) => bail!("{error}; the program wrote:\n{}", self.output().all()),
        }
    }

    /// Lets the readers take what an ended program left in its pipes. Not for ever: a child of the
    /// program may still hold them open.
    fn read_out(&self) {
        let until = Instant::now() + Duration::from_secs(2);
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Memory and processor time.
    ///
    /// # Errors
    /// When it is gone.
    pub fn usage(&self) -> Result<Usage> {
        usage::of(self.id())
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill9(self) -> Result<Finished> {
        self.signal(Signal::KILL)?;
        self.wait(Duration::from_secs(10))
    }

    /// SIGTERM, as `kill`, systemd and Kubernetes send it.
    ///
    /// # Errors
    /// When it does not end within `within`; it is killed then.
    pub fn terminate(self, within: Duration) -> Result<Finished> {
        self.stop(Signal::TERM, within)
    }

    /// SIGINT, as Ctrl-C sends it.
    ///
    /// # Errors
    /// When it does not end within `within`; it is killed then.
    pub fn interrupt(self, within: Duration) -> Result<Finished> {
        self.stop(Signal::INT, within)
    }

    /// SIGSTOP: it stands still as a whole, and does not know it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on after [`Process::pause`].
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, without waiting for anything.
    ///
    /// # Errors
    /// When it is gone.
    pub fn ask_to_end(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    fn stop(mut self, signal: Signal, within: Duration) -> Result<Finished> {
        let asked = Instant::now();
        if !self.has_ended() {
            self.signal(signal)?;
        }
        let finished = self.wait(within)?;
        Ok(Finished { took: asked.elapsed(), ..finished })
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// When it does not end within `within`; it is killed then, and the message holds what it wrote.
    pub fn wait(mut self, within: Duration) -> Result<Finished> {
        let mut status = None;
        let waited = wait::until("the program to end", within, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        match (waited, status) {
            (Ok(()), Some(status)) => {
                for reader in self.readers.drain(..) {
                    // A reader ends with its pipe, which the ended program has closed.
                    let _ = reader.join();
                }
                Ok(Finished { status, output: self.output(), took: self.started.elapsed() })
            }
            (waited, _) => {
                let written = self.output().all();
                waited.with_context(|| format!("killed instead; it wrote:\n{written}"))?;
                bail!("the program has no exit status")
            }
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let group = Pid::from_raw(i32::try_from(self.id())?).context("no process id")?;
        kill_process_group(group, signal).with_context(|| format!("sending {signal:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn locked(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

fn capture(
    pipe: impl Read + Send + 'static,
    output: &Arc<Mutex<Output>>,
    side: fn(&mut Output) -> &mut String,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            side(&mut locked(&output)).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn output_and_exit_code_are_kept() {
        let finished = shell("echo out; echo err >&2; exit 3").wait(SOON).unwrap();
        assert_eq!(finished.code(), Some(3));
        assert_eq!((finished.output.stdout.as_str(), finished.output.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_program_that_ends_early_ends_the_wait_with_what_it_wrote() {
        let error = shell("echo no such luck").wait_for("ready", SOON).unwrap_err();
        assert!(error.to_string().contains("no such luck"), "{error}");
    }

    #[test]
    fn a_trap_sees_sigterm_and_kill_takes_the_whole_group() {
        let mut polite = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done");
        polite.wait_for("up", SOON).unwrap();
        let finished = polite.terminate(SOON).unwrap();
        assert_eq!((finished.code(), finished.output.stdout.as_str()), (Some(0), "up\nbye\n"));

        let mut parent = shell("sleep 1000 & echo $!; wait");
        parent.wait_until("a number", SOON, |output| output.stdout.ends_with('\n')).unwrap();
        let inner: u32 = parent.output().stdout.trim().parse().unwrap();
        assert_eq!(parent.kill9().unwrap().code(), None);
        let gone = || {
            std::fs::read_to_string(format!("/proc/{inner}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        wait::until("the inner process to go", SOON, gone).unwrap();
    }

    #[test]
    fn a_program_that_does_not_stop_is_killed_and_named() {
        let mut deaf = shell("trap '' TERM; echo deaf; while :; do sleep 0.02; done");
        deaf.wait_for("deaf", SOON).unwrap();
        let error = deaf.terminate(Duration::from_millis(200)).unwrap_err();
        assert!(format!("{error:#}").contains("deaf"), "{error:#}");
    }
}
