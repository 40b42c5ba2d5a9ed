//! What every end-to-end test of the real binary needs.

// Each test program uses its own part of this.
#![allow(dead_code, unreachable_pub)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pricemonitor_testkit::http;
use pricemonitor_testkit::place::{self, Place};
use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::{read, wait};

/// Long enough for a debug build on a busy machine; nothing waits so long when all is well.
pub const SOON: Duration = Duration::from_secs(60);

/// The real program, with nothing of this machine's environment in its way.
pub fn pricemonitor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pricemonitor"));
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("PRICEMONITOR_");
        if (ours && name != "PRICEMONITOR_TEST_RUN") || name == "RUST_LOG" || name == "RUST_BACKTRACE" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command that ends by itself.
pub fn run(arguments: &[&str]) -> Finished {
    Process::start(pricemonitor().args(arguments)).unwrap().wait(SOON).unwrap()
}

/// A manifest with everything that is the same for all of them.
pub fn manifest(name: &str, spec: &str) -> String {
    let spec: String = spec.trim_matches('\n').lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {{name: {name}}}\nspec:\n{spec}"
    )
}

/// One monitor with a folder and a port of its own.
pub struct Setup {
    pub place: Place,
    pub port: u16,
}

impl Setup {
    /// Writes `monitor.yaml`.
    pub fn new(text: &str) -> Setup {
        let setup = Setup { place: Place::new().unwrap(), port: place::server_port().unwrap() };
        setup.place.write("monitor.yaml", text).unwrap();
        setup
    }

    pub fn manifest(&self) -> PathBuf {
        self.place.at("monitor.yaml")
    }

    pub fn data(&self) -> PathBuf {
        self.place.at("data")
    }

    pub fn prices(&self) -> PathBuf {
        self.data().join("prices.sqlite")
    }

    /// `up`, not yet started.
    pub fn command(&self) -> Command {
        let mut command = pricemonitor();
        command.arg("up").arg("-f").arg(self.manifest()).arg("--data-dir").arg(self.data());
        command.arg("--listen").arg(format!("127.0.0.1:{}", self.port));
        command
    }

    /// Starts `up` and does not wait for anything.
    pub fn start(&self) -> Process {
        Process::start(&mut self.command()).unwrap()
    }

    /// Starts `up` and waits until it is ready.
    pub fn up(&self) -> Process {
        let mut process = self.start();
        self.ready(&mut process);
        process
    }

    /// Waits until every worker is well. A source that fails is no reason to wait longer.
    pub fn ready(&self, process: &mut Process) {
        let answers = |path: &str| http::get(self.port, path).is_ok_and(|answer| answer.status == 200);
        process
            .wait_until("it to be alive and served", SOON, |_| answers("/livez") && answers("/metrics"))
            .unwrap();
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        http::get(self.port, "/metrics").unwrap().body
    }

    /// A metric, 0 while it is not there.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        http::metric(&self.metrics(), name, labels).unwrap_or(0.0)
    }

    /// Rows of the history, 0 while there is no table.
    pub fn rows(&self) -> i64 {
        read::number(&self.prices(), "SELECT count(*) FROM price_history").unwrap_or(0)
    }

    /// Waits until the history has exactly `expected` rows.
    pub fn wait_rows(&self, expected: i64) {
        let mut seen = 0;
        let waited = wait::until("rows", SOON, || {
            seen = self.rows();
            seen >= expected
        });
        assert!(waited.is_ok() && seen == expected, "{expected} rows expected, {seen} are there");
    }

    /// Waits until `source` was looked at `times` more times.
    pub fn wait_polls(&self, source: &str, times: u32) {
        let label = format!("source=\"{source}\"");
        let polls = || self.metric("pricemonitor_source_polls_total", &[&label]);
        let goal = polls() + f64::from(times);
        wait::until("more looks at the source", SOON, || polls() >= goal).unwrap();
    }
}

/// It ended with `code`, told why in plain sentences that hold all of `parts`, and did not fall over.
#[track_caller]
pub fn refused(finished: &Finished, code: i32, parts: &[&str]) {
    let text = &finished.output.stderr;
    assert_eq!(finished.code(), Some(code), "{}", finished.output.all());
    assert!(text.starts_with("error: "), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    for bad in ["panicked", "RUST_BACKTRACE", "stack backtrace", "Error {", "Os {", "Err("] {
        assert!(!finished.output.all().contains(bad), "`{bad}` is in: {}", finished.output.all());
    }
}
