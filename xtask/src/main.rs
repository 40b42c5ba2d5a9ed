//! Everything a contributor or a CI machine does, one command each.

mod bench;
mod chaos;
mod chores;
mod docs;
mod floors;
mod licences;
mod lint;
mod provision;
mod run;
mod targets;
mod test;
mod totals;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// The chores of PriceMonitor, one command each.
///
/// `cargo xtask test` is the test command: it gets what the tests need, builds once, runs
/// everything and ends with plain totals. `cargo xtask ci` is what a CI machine runs.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Examples:
  cargo xtask test                  everything; needs Chromium, which it installs on Debian as root
  cargo xtask test --quick          what needs nothing but the toolchain, with shorter crash tests
  cargo xtask test --only e2e       the real binary: kill -9, stop signals, bad input
  cargo xtask lint                  formatting, clippy, floors, licences, file lengths
  cargo xtask docs && git diff      the generated documents, after a change of what they describe
  cargo xtask chaos                 kills and cuts of everything, for a long time, and what came of it
  cargo xtask bench                 the speed goals and what this machine reaches

One test alone:
  cargo test -p pricemonitor --test kill -- --nocapture
  PRICEMONITOR_SEED=7 cargo test -p pricemonitor --test kill     repeats the kills of seed 7
  PRICEMONITOR_KEEP=1 cargo test -p pricemonitor --test kill     keeps the data folders to look at")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Runs the tests, in stages with their times; ends with `N passed, N failed, N skipped`
    Test(test::Arguments),
    /// Checks what needs no running: rustfmt, clippy without warnings, floors, licences, file lengths
    Lint,
    /// What a CI machine runs: lint, then test
    Ci,
    /// Gets what tests need beside the toolchain, once for a machine; fetches only what is missing
    Provision(provision::Arguments),
    /// Writes the generated documents anew (the manifest's reference and its like)
    Docs,
    /// Takes the pictures under docs/screenshots anew, in headless Chromium
    Screenshots,
    /// Kills, pauses and cuts off everything on real servers, with a known workload; prints its table
    Chaos(chaos::Arguments),
    /// Measures a release build against the speed goals; prints, never fails for being slow
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<bool> {
    run::hear_signals()?;
    // Whoever calls from a sub-folder gets the same chores.
    std::env::set_current_dir(root()?)?;
    match &arguments.chore {
        Chore::Test(arguments) => test::run(arguments),
        Chore::Lint => lint::run(),
        Chore::Ci => Ok(lint::run()? && test::run(&test::Arguments::default())?),
        Chore::Provision(arguments) => provision::run(arguments),
        Chore::Docs => chores::docs(),
        Chore::Screenshots => chores::screenshots(),
        Chore::Chaos(arguments) => chaos::run(arguments),
        Chore::Bench(arguments) => bench::run(arguments),
    }
}

/// The top folder of the project: the one above this package.
fn root() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").context("start it as `cargo xtask`")?;
    let package = PathBuf::from(package);
    Ok(package.parent().context("the package has no folder above")?.to_owned())
}
