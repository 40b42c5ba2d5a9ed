//! A server as a child process: it logs to a file, is waited for, and ends with its test, however that
//! ends.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// Whom a program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Id of its first group.
    pub gid: u32,
}

impl User {
    /// Whom to run programs as that refuse to run as root: `postgres` where there is one, else `nobody`.
    /// `None` when this process is not root: they then run as it does.
    ///
    /// # Errors
    /// When the system has neither.
    pub fn unprivileged() -> Result<Option<User>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let named = |name: &str| users.lines().find_map(|line| User::of(line, name));
        let user = named("postgres").or_else(|| named("nobody"));
        Ok(Some(user.context("/etc/passwd has neither `postgres` nor `nobody`: add one of them")?))
    }

    fn of(line: &str, name: &str) -> Option<User> {
        let fields: Vec<&str> = line.split(':').collect();
        let [user, _, uid, gid, ..] = fields.as_slice() else { return None };
        (*user == name).then_some(())?;
        Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    }
}

/// A command that runs `program` as `user` and that Linux kills when the thread that starts it ends.
///
/// `setpriv` (of util-linux) does both before it becomes the program, which keeps the process id: from
/// within Rust they take unsafe code between fork and exec.
pub fn command(program: impl AsRef<OsStr>, user: Option<User>) -> Command {
    if !cfg!(target_os = "linux") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(User { uid, gid }) = user {
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
        // Of root's, which this user may not read.
        command.env_remove("HOME");
    }
    command.arg("--").arg(program);
    command
}

/// A running server. Dropping it kills it and all that it has started.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    started: Instant,
}

impl Server {
    /// Starts a [`command`] in a process group of its own, without input; both outputs are appended to
    /// the file `log`. The server is killed when this process ends, even by `kill -9`.
    ///
    /// # Errors
    /// When the system cannot start it or write the log.
    pub fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Server> {
        let started = Instant::now();
        let open = || File::options().create(true).append(true).open(log);
        let file = open().with_context(|| format!("opening {}", log.display()))?;
        command.process_group(0).stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
        let program = command.get_program().to_owned();
        let child =
            spawn(command).with_context(|| format!("starting {name} by {}", program.to_string_lossy()))?;
        Ok(Server { name, child, log: log.to_owned(), started })
    }

    /// Waits until `answers` says yes; tells how long that took since the start.
    ///
    /// # Errors
    /// When the server ends or `within` passes before; the message holds the end of its log and what
    /// `answers` said last.
    pub fn wait_until_ready(
        &mut self,
        within: Duration,
        mut answers: impl FnMut() -> Result<()>,
    ) -> Result<Duration> {
        let mut last = None;
        let waited = wait::value("an answer", within, || {
            if let Some(status) = self.ended() {
                return Some(Err(status));
            }
            answers().map_err(|error| last = Some(error)).ok().map(Ok)
        });
        match waited {
            Ok(Ok(())) => Ok(self.started.elapsed()),
            Ok(Err(status)) => bail!("{} ended ({status}) before it answered:\n{}", self.name, self.tail()),
            Err(error) => bail!(
                "{}: {error}; last: {:#}\n{}",
                self.name,
                last.unwrap_or_else(|| anyhow::anyhow!("never asked")),
                self.tail()
            ),
        }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end by `signal` and waits; tells how it ended.
    ///
    /// # Errors
    /// When it does not end within `within`; it is killed then, and the message holds the end of its log.
    pub fn stop(&mut self, signal: Signal, within: Duration) -> Result<ExitStatus> {
        if self.ended().is_none() {
            kill_process(pid(self.id())?, signal).with_context(|| format!("stopping {}", self.name))?;
        }
        let waited = wait::value("its end", within, || self.ended());
        if waited.is_err() {
            self.kill()?;
        }
        waited.with_context(|| format!("{} was killed instead:\n{}", self.name, self.tail()))
    }

    /// `kill -9` for it and all that it has started, as when a machine loses power but for the disk;
    /// returns when all are gone. Does nothing when it has ended before.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        // A stopped server starts no more children while they are counted. Not by its process group:
        // PostgreSQL's processes each have one of their own.
        let own = pid(self.id())?;
        let _ = kill_process(own, Signal::STOP);
        let started = descendants(self.id());
        let _ = kill_process(own, Signal::KILL);
        for process in &started {
            let _ = kill_process(pid(*process)?, Signal::KILL);
        }
        let status = self.child.wait().with_context(|| format!("waiting for {}", self.name))?;
        wait::until("its children to end", Duration::from_secs(10), || {
            started.iter().all(|process| !is_running(*process))
        })?;
        Ok(status)
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Whether `status` is that of a process ended by `kill -9`.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// Whether a process of that id runs; one that has ended but was not yet waited for does not.
pub fn is_running(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// Starts a command from a thread that lives as long as this process: Linux sends the signal of
/// [`command`] when the starting *thread* ends, and a test's thread may end before its server.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, Sender<io::Result<Child>>);
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (sender, answer) = channel();
    let ended = || io::Error::other("the thread that starts servers has ended");
    starter.send((command, sender)).map_err(|_| ended())?;
    answer.recv().map_err(|_| ended())?
}

fn pid(process: u32) -> Result<Pid> {
    Pid::from_raw(i32::try_from(process)?).context("no process id")
}

/// State and parent of a process, while there is one.
fn stat(process: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before may hold blanks and brackets.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Children, their children and so on.
pub(crate) fn descendants(process: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id
            && let Some((_, parent)) = stat(id)
        {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = children.remove(&process).unwrap_or_default();
    let mut at = 0;
    while let Some(next) = found.get(at).copied() {
        found.extend(children.remove(&next).unwrap_or_default());
        at += 1;
    }
    found
}

/// An option with a path in its middle, such as `-Dname=/path`.
pub(crate) fn joined(before: &str, path: &Path) -> OsString {
    let mut text = OsString::from(before);
    text.push(path);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(place: &Place, script: &str) -> Server {
        let mut command = command("sh", None);
        command.args(["-c", script]);
        Server::start("sh", command, &place.at("log")).unwrap()
    }

    fn logged(place: &Place) -> impl FnMut() -> Result<()> {
        let log = place.at("log");
        move || {
            anyhow::ensure!(fs::read_to_string(&log)?.ends_with('\n'), "nothing yet");
            Ok(())
        }
    }

    #[test]
    fn a_kill_takes_children_that_left_the_process_group() {
        let place = Place::new().unwrap();
        let mut server = shell(&place, "setsid sleep 771 & echo $!; wait");
        server.wait_until_ready(SOON, logged(&place)).unwrap();
        let inner: u32 = server.tail().trim().parse().unwrap();
        assert!(is_running(inner));
        assert!(was_killed(server.kill().unwrap()));
        assert!(!is_running(inner));
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_log() {
        let place = Place::new().unwrap();
        let mut server = shell(&place, "echo no disk >&2; exit 3");
        let error = server.wait_until_ready(SOON, || bail!("no answer")).unwrap_err().to_string();
        assert!(error.contains("no disk") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_server_outlives_the_thread_that_wanted_it_but_not_its_value() {
        let place = Place::new().unwrap();
        let mut server = std::thread::scope(|scope| {
            scope.spawn(|| shell(&place, "echo up; exec sleep 772")).join().unwrap()
        });
        server.wait_until_ready(SOON, logged(&place)).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(server.ended().is_none());
        let id = server.id();
        drop(server);
        assert!(!is_running(id));
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let line = "postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash";
        assert_eq!(User::of(line, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(User::of(line, "post"), None);
    }
}
