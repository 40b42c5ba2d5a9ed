//! Getting what the tests need beside the toolchain. Every step is idempotent and has an end.

mod apt;
mod cache;
mod chromium;
mod kafka;
mod maven;
mod postgres;
// The versions and places are the tests' as well, who look there for their servers; this package stands
// on no other, so that it builds in seconds. Each side uses a part of it.
#[path = "../../../crates/testkit/src/provisioned.rs"]
#[allow(dead_code, unreachable_pub)]
mod provisioned;

use std::env;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

/// What `cargo xtask provision` takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// What to get; without any, all of them
    #[arg(value_name = "PROGRAM")]
    programs: Vec<Program>,
}

/// What can be got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// Headless Chromium, by apt-get on Debian as root
    Chromium,
    /// Apache Kafka, by Maven; needs Java 17
    Kafka,
    /// PostgreSQL, by Maven, else Debian's package
    Postgres,
}

/// What the chore was asked for.
///
/// # Errors
/// As for [`get`].
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    match arguments.programs.as_slice() {
        [] => get(Program::value_variants()),
        programs => get(programs),
    }
}

/// Makes sure that `programs` are there and start; fetches only what is missing.
///
/// # Errors
/// When something is missing and cannot be fetched; the message says how to get it. What comes after
/// it is not tried.
pub(crate) fn get(programs: &[Program]) -> Result<bool> {
    let mut ok = true;
    for program in programs {
        ok &= match program {
            Program::Chromium => chromium::get()?,
            Program::Kafka => kafka::get()?,
            Program::Postgres => postgres::get()?,
        };
    }
    Ok(ok)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program lies on the path.
fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
