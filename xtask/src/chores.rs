//! Writing anew what is generated.

use std::time::Duration;

use anyhow::Result;

use crate::run;

/// Tests of what is generated from the code (documents, charts, manifests), in the order in which one is made of the other;
/// with `UPDATE=1` they write instead of compare. The last two need a real API server and Helm.
const GENERATING: [&[&str]; 5] = [
    &["test", "-p", "pricemonitor-config", "--lib"],
    &["test", "--workspace", "--test", "golden", "--test", "charts"],
    &["test", "--workspace", "--test", "alerts"],
    &["test", "--workspace", "--test", "kube_charts", "--", "render"],
    &["test", "--workspace", "--test", "kube_manifests"],
];

/// Writes what is generated.
///
/// # Errors
/// When cargo cannot be run.
pub(crate) fn docs() -> Result<bool> {
    let mut ok = true;
    for words in GENERATING {
        println!("\n=== cargo {} ===", words.join(" "));
        let mut command = run::cargo(words.iter().copied());
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
