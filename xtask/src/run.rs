//! Running a program: its output streams through, it has a time limit, and nothing of it stays
//! behind, whether it ends well, fails, takes too long or is interrupted.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// In the environment of everything this run starts, so that what left its process group (tests
/// start servers in groups of their own) is found as well.
const MARK: &str = "PRICEMONITOR_TEST_RUN";

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C and its like stop what is running instead of leaving it behind.
///
/// # Errors
/// When the system refuses it.
pub(crate) fn hear_signals() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// Whether somebody asked this run to stop.
pub(crate) fn was_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::SeqCst))
}

/// A line a program wrote.
pub(crate) enum Line {
    /// To standard output.
    Out(String),
    /// To standard error.
    Err(String),
}

/// Prints a line where it belongs.
pub(crate) fn pass(line: &Line) {
    // A closed terminal is no reason to stop.
    let _ = match line {
        Line::Out(text) => writeln!(std::io::stdout(), "{text}"),
        Line::Err(text) => writeln!(std::io::stderr(), "{text}"),
    };
}

/// `cargo` as it called this program.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Runs a program, printing what it writes; tells whether it succeeded.
///
/// # Errors
/// As for [`lines`].
pub(crate) fn stream(command: &mut Command, limit: Duration) -> Result<bool> {
    lines(command, limit, &mut |line| pass(&line))
}

/// Runs a program and hands over every line it writes; tells whether it succeeded. Afterwards
/// nothing that it started is left.
///
/// # Errors
/// When it cannot be started, takes longer than `limit`, or this run is interrupted.
pub(crate) fn lines(command: &mut Command, limit: Duration, take: &mut dyn FnMut(Line)) -> Result<bool> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mark = mark();
    let mut child = command
        .env(MARK, &mark)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let (sender, receiver) = channel();
    if let Some(pipe) = child.stdout.take() {
        forward(pipe, sender.clone(), Line::Out);
    }
    if let Some(pipe) = child.stderr.take() {
        forward(pipe, sender, Line::Err);
    }
    let ended = watch(&mut child, limit, &receiver, take);
    let swept = sweep(&child, &mark);
    let status = child.wait()?;
    // What the pipes still hold; with everything dead they end by themselves.
    while let Ok(line) = receiver.recv_timeout(Duration::from_secs(2)) {
        take(line);
    }
    if !swept.is_empty() {
        take(Line::Err(format!("xtask: stopped what {name} left behind: {}", swept.join(", "))));
    }
    ended.with_context(|| format!("{name} was stopped"))?;
    Ok(status.success())
}

fn forward(pipe: impl Read + Send + 'static, sender: Sender<Line>, kind: fn(String) -> Line) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while matches!(reader.read_until(b'\n', &mut bytes), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&bytes);
            if sender.send(kind(text.trim_end_matches(['\n', '\r']).to_owned())).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

fn watch(
    child: &mut Child,
    limit: Duration,
    lines: &Receiver<Line>,
    take: &mut dyn FnMut(Line),
) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => take(line),
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(20)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if was_interrupted() {
            bail!("interrupted");
        }
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        if Instant::now() >= end {
            bail!("it took longer than {}", words(limit));
        }
    }
}

/// A mark of this run's own. It begins with the mark of the run that started this one, if any, so
/// that the outer run finds everything of the inner one too.
fn mark() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let outer = std::env::var(MARK).map(|outer| outer + "/").unwrap_or_default();
    format!("{outer}{}.{}", std::process::id(), RUNS.fetch_add(1, Ordering::SeqCst))
}

/// Whether an environment carries `mark`, or the mark of a run inside of it.
fn carries(environment: &[u8], mark: &str) -> bool {
    environment.split(|byte| *byte == 0).any(|variable| {
        let variable = String::from_utf8_lossy(variable);
        let value = variable.strip_prefix(MARK).and_then(|rest| rest.strip_prefix('='));
        let rest = value.and_then(|value| value.strip_prefix(mark));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Kills the group of `child` and everything that carries the mark; tells what the latter were.
fn sweep(child: &Child, mark: &str) -> Vec<String> {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let mut killed = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if pid as u32 != std::process::id()
            && carries(&environment, mark)
            && let Some(id) = Pid::from_raw(pid)
        {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let _ = kill_process(id, Signal::KILL);
            killed.push(format!("{} ({pid})", name.trim()));
        }
    }
    killed
}

/// A time for people: `7.3 s`, `6 min 50 s`.
pub(crate) fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Result<bool>, Vec<String>) {
        let mut seen = Vec::new();
        let ran = lines(Command::new("sh").args(["-c", script]), limit, &mut |line| {
            seen.push(match line {
                Line::Out(text) => format!("out {text}"),
                Line::Err(text) => format!("err {text}"),
            });
        });
        (ran, seen)
    }

    fn alive(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn output_and_success_come_back() {
        let (ran, seen) = shell("echo a; exit 0", Duration::from_secs(20));
        assert!(ran.unwrap());
        assert_eq!(seen, ["out a"]);
        assert!(!shell("echo b >&2; false", Duration::from_secs(20)).0.unwrap());
    }

    #[test]
    fn what_takes_too_long_or_escapes_its_group_is_stopped() {
        let script = "setsid sleep 777 & sleep 778 & echo $!; wait";
        let (ran, seen) = shell(script, Duration::from_millis(500));
        assert!(format!("{:#}", ran.unwrap_err()).contains("longer than 0.5 s"));
        let pid = seen[0].strip_prefix("out ").unwrap().to_owned();
        let gone = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            !alive(&pid)
        });
        assert!(gone, "{pid} lives on");
        // Those of the group may still be dying when they are counted, and stand before it.
        let told = |line: &String| line.contains("left behind: ") && line.contains("sleep (");
        assert!(seen.iter().any(told), "{seen:?}");
    }

    #[test]
    fn a_mark_is_carried_by_its_own_run_and_those_inside_alone() {
        let carried = |value: &str| carries(format!("A=b\0{MARK}={value}\0C=d").as_bytes(), "7.1");
        assert!(carried("7.1") && carried("7.1/9.0"));
        assert!(!carried("7.10") && !carried("7.2") && !carried("6.0/7.1") && !carried(""));
    }

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(words(Duration::from_millis(7_340)), "7.3 s");
        assert_eq!(words(Duration::from_secs(410)), "6 min 50 s");
    }
}
