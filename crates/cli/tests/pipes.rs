//! Nobody reads any more (`| head -1`), or there is no room: no command panics over it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::fs::File;
use std::io::pipe;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{SOON, Setup, manifest, pricemonitor};
use pricemonitor_testkit::wait;
use pricemonitor_testkit::webhook::{Answer, Receiver};

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// The exit code and what stands on standard error, with standard output going to `to`.
fn run(arguments: &[&str], to: Stdio) -> (Option<i32>, String) {
    let output = pricemonitor().args(arguments).stdin(Stdio::null()).stdout(to).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn ended(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_reader_that_went_away_is_a_quiet_end_for_every_command() {
    let well = Receiver::start(|_| Answer::status(200)).unwrap();
    let setup = Setup::new(&manifest(
        "pipes",
        &format!(
            "
sources:
- {{name: market, interval: 100ms, simulator: {{events: 20, seed: 5}}}}
channels:
- {{name: hook, webhook: {{url: '{}'}}}}
",
            well.url("/hook")
        ),
    ));
    let process = setup.up();
    wait::until("rows", SOON, || setup.rows() > 500).unwrap();
    let (file, data) = (setup.manifest(), setup.data());
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    let url = format!("http://127.0.0.1:{}", setup.port);
    wait::until("it to be ready", SOON, || run(&["health", "--url", &url], Stdio::null()).0 == Some(0))
        .unwrap();
    let commands: &[&[&str]] = &[
        &["validate", "-f", file],
        &["test-alert", "-f", file, "--dry-run"],
        &["test-alert", "-f", file],
        &["export", "-f", file, "--data-dir", data],
        &["export", "-f", file, "--data-dir", data, "--format", "json"],
        &["health", "--url", &url],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["--version"],
    ];
    for command in commands {
        assert_eq!(run(command, closed()), (Some(0), String::new()), "{command:?}");
    }
    // No room is a failure, and told in a sentence.
    for command in &commands[..8] {
        let (code, text) = run(command, File::options().write(true).open("/dev/full").unwrap().into());
        assert_eq!(code, Some(3), "{command:?}: {text}");
        assert!(
            text.starts_with("error: cannot write to standard output: No space left"),
            "{command:?}: {text}"
        );
    }
    drop(process);
}

#[test]
fn a_failure_that_nobody_reads_keeps_its_exit_code() {
    let mut command = pricemonitor();
    command.args(["validate", "-f", "/nowhere.yaml"]).stdout(closed()).stderr(closed());
    assert_eq!(ended(&mut command.spawn().unwrap()), Some(1));
}

#[test]
fn it_goes_on_when_nobody_reads_its_console_or_its_log() {
    let setup = Setup::new(&manifest(
        "pipes",
        "
sources:
- {name: market, interval: 100ms, simulator: {events: 5, seed: 5}}
- {name: gone, interval: 100ms, file: {path: gone.json, format: porssisahko}}
",
    ));
    let mut child = setup.command().stdin(Stdio::null()).stdout(closed()).stderr(closed()).spawn().unwrap();
    let waited = wait::until("rows", SOON, || setup.rows() > 50);
    let alive = child.try_wait().unwrap().is_none();
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let code = ended(&mut child);
    assert!(waited.is_ok() && alive);
    assert_eq!(code, Some(0));
}
