//! `cargo xtask test`: the test command.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::run::{self, Line, words};
use crate::targets::Target;
use crate::totals::Totals;
use crate::{docs, provision};

/// What `cargo xtask test` takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// Only what needs nothing but the Rust toolchain: no browser, shorter crash tests
    #[arg(long)]
    quick: bool,
    /// Only this stage (and the build, if it needs one)
    #[arg(long, value_name = "STAGE")]
    only: Option<Stage>,
}

/// A stage of the test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Gets what the tests need: headless Chromium, Kafka, PostgreSQL, Prometheus, Kubernetes
    Provision,
    /// Compiles every test and the binary, once
    Build,
    /// Unit tests and every crate's integration tests
    Unit,
    /// The examples in the documentation comments
    Doc,
    /// The real binary: kill -9 under load, stop signals, bad input, secrets
    E2e,
    /// Real servers: Kafka, PostgreSQL, Prometheus and Kubernetes
    Servers,
    /// The web page in headless Chromium
    Browser,
    /// Documents agree with the code: links, promises and the tests that prove them
    Docs,
}

impl Stage {
    const ALL: [Stage; 8] = [
        Stage::Provision,
        Stage::Build,
        Stage::Unit,
        Stage::Doc,
        Stage::E2e,
        Stage::Servers,
        Stage::Browser,
        Stage::Docs,
    ];

    fn name(self) -> &'static str {
        match self {
            Stage::Provision => "provision",
            Stage::Build => "build",
            Stage::Unit => "unit",
            Stage::Doc => "doc",
            Stage::E2e => "e2e",
            Stage::Servers => "servers",
            Stage::Browser => "browser",
            Stage::Docs => "docs",
        }
    }

    /// Whether `--only` this stage still needs `other` first.
    fn needs(self, other: Stage) -> bool {
        match other {
            Stage::Provision => matches!(self, Stage::Servers | Stage::Browser),
            Stage::Build => matches!(self, Stage::Unit | Stage::E2e | Stage::Servers | Stage::Browser),
            _ => false,
        }
    }

    /// The stage a test program belongs to.
    fn of(target: &Target) -> Stage {
        match (target.package.as_str(), target.kind.as_str(), target.name.as_str()) {
            (_, "test", name) if of_servers(name) => Stage::Servers,
            ("pricemonitor", "test", _) => Stage::E2e,
            ("pricemonitor-dashboard", "test", "browser") => Stage::Browser,
            _ => Stage::Unit,
        }
    }
}

/// Whether a test program of this name starts real servers.
fn of_servers(name: &str) -> bool {
    name == "servers"
        || ["docker_", "grafana_", "kafka_", "kube_", "postgres_", "prometheus_"]
            .iter()
            .any(|begin| name.starts_with(begin))
}

/// How a test begins the line, to standard error, in which it says why it can prove nothing on this machine.
const SKIPPED: &str = "skipped: ";

/// What became of a stage.
struct Report {
    stage: Stage,
    ok: bool,
    took: Duration,
    totals: Totals,
    /// What to run to see the failures alone.
    alone: Vec<String>,
}

#[derive(Default)]
struct Run {
    quick: bool,
    targets: Vec<Target>,
    reports: Vec<Report>,
}

/// Runs the stages; tells whether everything passed.
///
/// # Errors
/// Only when interrupted: whatever fails within a stage is reported in the totals.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let began = Instant::now();
    let mut run = Run { quick: arguments.quick, ..Run::default() };
    for stage in Stage::ALL {
        if arguments.only.is_some_and(|only| only != stage && !only.needs(stage)) {
            continue;
        }
        if run.quick && stage == Stage::Provision {
            continue;
        }
        let ok = run.stage(stage)?;
        if !ok && matches!(stage, Stage::Build) {
            break;
        }
    }
    Ok(run.summary(began.elapsed(), arguments))
}

impl Run {
    fn stage(&mut self, stage: Stage) -> Result<bool> {
        println!("\n=== {} ===", stage.name());
        let began = Instant::now();
        let mut report =
            Report { stage, ok: false, took: Duration::ZERO, totals: Totals::default(), alone: Vec::new() };
        let done = match stage {
            Stage::Provision => provision::run(&provision::Arguments::default()),
            Stage::Build => self.build(),
            Stage::Doc => self.doc(&mut report),
            Stage::Docs => docs::check(),
            Stage::Unit | Stage::E2e | Stage::Servers | Stage::Browser => self.programs(&mut report),
        };
        report.took = began.elapsed();
        match done {
            Ok(ok) => report.ok = ok,
            Err(error) if run::was_interrupted() => return Err(error),
            Err(error) => eprintln!("xtask: {error:#}"),
        }
        let how = if report.ok { "done" } else { "FAILED" };
        println!("=== {}: {how} in {} ===", stage.name(), words(report.took));
        let ok = report.ok;
        self.reports.push(report);
        Ok(ok)
    }

    fn build(&mut self) -> Result<bool> {
        match Target::build_all()? {
            Some(targets) => {
                println!("{} test programs", targets.len());
                self.targets = targets;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn doc(&self, report: &mut Report) -> Result<bool> {
        let alone = ["test", "--workspace", "--doc"];
        let ok = self.counted(&mut run::cargo(alone), &mut report.totals)?;
        if !ok {
            report.alone.push(format!("cargo {}", alone.join(" ")));
        }
        Ok(ok)
    }

    fn programs(&self, report: &mut Report) -> Result<bool> {
        let mine: Vec<&Target> =
            self.targets.iter().filter(|target| Stage::of(target) == report.stage).collect();
        if mine.is_empty() {
            bail!("no test program belongs to the stage `{}`: was one renamed?", report.stage.name());
        }
        let mut ok = true;
        for target in mine {
            if self.quick && matches!(report.stage, Stage::Servers | Stage::Browser) {
                let tests = target.count()?;
                println!("{tests} tests of {} skipped: --quick runs no servers and no browser", target.name);
                report.totals.skipped += tests;
                continue;
            }
            println!("\n--- {} {} {}", target.package, target.kind, target.name);
            if !self.counted(&mut target.command(), &mut report.totals)? {
                ok = false;
                report.alone.push(target.alone());
            }
        }
        Ok(ok)
    }

    /// Runs a program that reports as libtest does. One that fails without a failed test (it was
    /// killed, it ran too long) counts as one failed.
    fn counted(&self, command: &mut std::process::Command, totals: &mut Totals) -> Result<bool> {
        if self.quick {
            command.env("PRICEMONITOR_QUICK", "1");
        }
        let mut own = Totals::default();
        let mut apart = 0;
        let ran = run::lines(command, Duration::from_secs(25 * 60), &mut |line| {
            match &line {
                Line::Out(text) => own += Totals::of(text).unwrap_or_default(),
                Line::Err(text) => apart += u64::from(text.starts_with(SKIPPED)),
            }
            run::pass(&line);
        });
        own.skip(apart);
        if run::was_interrupted() {
            return ran;
        }
        let ok = ran.unwrap_or_else(|error| {
            eprintln!("xtask: {error:#}");
            false
        });
        own.failed += u64::from(!ok && own.failed == 0);
        *totals += own;
        Ok(ok && own.failed == 0)
    }

    fn summary(&self, took: Duration, arguments: &Arguments) -> bool {
        let mut all = Totals::default();
        println!("\n=== summary ===");
        for report in &self.reports {
            let how = if report.ok { "ok" } else { "FAILED" };
            println!("{:<10} {how:<7} {:>12}   {}", report.stage.name(), words(report.took), report.totals);
            all += report.totals;
            // A stage that failed before any test did must not hide behind a zero.
            all.failed += u64::from(!report.ok && report.totals.failed == 0);
        }
        for report in self.reports.iter().filter(|report| !report.ok) {
            println!("\nthe stage `{0}` failed; alone: cargo xtask test --only {0}", report.stage.name());
            for alone in &report.alone {
                println!("  {alone}");
            }
        }
        let wants_tests = !matches!(arguments.only, Some(Stage::Provision | Stage::Build | Stage::Docs));
        if wants_tests && all.passed + all.failed == 0 {
            println!("\nno test ran: that is a failure");
            all.failed += 1;
        }
        println!("\nin all {}", words(took));
        println!("{all}");
        all.failed == 0
    }
}
