//! Writing anew what is generated.

use std::time::Duration;

use anyhow::Result;

use crate::run;

/// Packages with documents that are generated from their code; with `UPDATE=1` their tests write
/// instead of compare.
const GENERATING: [&str; 1] = ["pricemonitor-config"];

/// Writes the generated documents.
///
/// # Errors
/// When cargo cannot be run.
pub(crate) fn docs() -> Result<bool> {
    let mut ok = true;
    for package in GENERATING {
        println!("\n=== {package} ===");
        let mut command = run::cargo(["test", "-p", package]);
        command.env("UPDATE", "1");
        ok &= run::stream(&mut command, Duration::from_secs(30 * 60))?;
    }
    println!("\n`git diff` shows what changed");
    Ok(ok)
}

/// Takes the pictures.
///
/// # Errors
/// When Chromium is missing and cannot be installed, or cargo cannot be run.
pub(crate) fn screenshots() -> Result<bool> {
    if !crate::provision::get(&[crate::provision::Program::Chromium])? {
        return Ok(false);
    }
    let mut command = run::cargo(["test", "-p", "pricemonitor-dashboard", "--test", "browser"]);
    command.env("UPDATE_SCREENSHOTS", "1");
    run::stream(&mut command, Duration::from_secs(30 * 60))
}
