//! `cargo xtask lint`: what can be judged without running anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::run::{self, words};
use crate::{floors, licences};

/// Longer files are two concepts, as a rule.
const LONG: usize = 400;

/// A check by its name; tells whether it passed.
type Check = (&'static str, fn() -> Result<bool>);

/// Runs every check, also after one has failed; tells whether all passed.
///
/// # Errors
/// When a check cannot be run at all.
pub(crate) fn run() -> Result<bool> {
    let checks: [Check; 5] =
        [("fmt", fmt), ("floors", floors), ("licences", licences), ("lengths", lengths), ("clippy", clippy)];
    let mut failed = Vec::new();
    for (name, check) in checks {
        println!("\n=== {name} ===");
        let began = Instant::now();
        let ok = check()?;
        println!("=== {name}: {} in {} ===", if ok { "done" } else { "FAILED" }, words(began.elapsed()));
        if !ok {
            failed.push(name);
        }
    }
    match failed.as_slice() {
        [] => println!("\nlint: everything is in order"),
        failed => println!("\nlint: failed: {}", failed.join(", ")),
    }
    Ok(failed.is_empty())
}

fn fmt() -> Result<bool> {
    let ok = run::stream(&mut run::cargo(["fmt", "--all", "--check"]), Duration::from_secs(120))?;
    if !ok {
        println!("`cargo fmt --all` puts it right");
    }
    Ok(ok)
}

fn clippy() -> Result<bool> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run::stream(&mut run::cargo(arguments), Duration::from_secs(30 * 60))
}

fn floors() -> Result<bool> {
    Ok(told(&floors::violations()?, "nothing imports upward or sideways"))
}

fn licences() -> Result<bool> {
    Ok(told(&licences::violations()?, "every licence is one that deny.toml allows"))
}

/// Prints the violations, or that all is well.
fn told(violations: &[String], well: &str) -> bool {
    for violation in violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("{well}");
    }
    violations.is_empty()
}

/// Tells which files are long. It only warns: a table of tests may be long for good reason.
fn lengths() -> Result<bool> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask"] {
        rust_files(Path::new(folder), &mut files)?;
    }
    let mut long = Vec::new();
    for file in files {
        let lines = fs::read_to_string(&file)?.lines().count();
        if lines > LONG {
            long.push((lines, file));
        }
    }
    long.sort();
    for (lines, file) in long.iter().rev() {
        println!(
            "warning: {} has {lines} lines: would two files of one concept each be clearer?",
            file.display()
        );
    }
    if long.is_empty() {
        println!("no file is longer than {LONG} lines");
    }
    Ok(true)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
