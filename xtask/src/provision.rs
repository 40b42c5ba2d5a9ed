//! Getting what the tests need. Every step is idempotent and has an end.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::{self, Line};

/// The names under which distributions install Chromium.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// What Debian calls it, and letters for it to write with (the picture of a page without fonts is
/// a picture of boxes).
const PACKAGES: [&str; 2] = ["chromium", "fonts-dejavu-core"];

/// Makes sure of everything.
///
/// # Errors
/// When something is missing and cannot be installed; the message says how to get it.
pub(crate) fn all() -> Result<bool> {
    if let Some(found) = chromium() {
        return works(&found);
    }
    let by_hand = format!(
        "the browser test needs Chromium: install it (Debian: `apt-get install {}` as root), \
         or leave the browser out with `cargo xtask test --quick`",
        PACKAGES.join(" ")
    );
    if !is_root() || !on_path("apt-get") {
        bail!("{by_hand}");
    }
    println!("Chromium is missing: installing {}", PACKAGES.join(" "));
    apt(&["update", "-q"]).with_context(|| by_hand.clone())?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(PACKAGES);
    apt(&install).with_context(|| by_hand.clone())?;
    match chromium() {
        Some(found) => works(&found),
        None => bail!("{by_hand}"),
    }
}

/// The browser, where there is one: `PRICEMONITOR_CHROMIUM`, else by its names on the path.
fn chromium() -> Option<PathBuf> {
    let named = env::var_os("PRICEMONITOR_CHROMIUM").map(PathBuf::from);
    named.or_else(|| CHROMIUM.iter().find_map(|name| find(name)))
}

fn works(chromium: &std::path::Path) -> Result<bool> {
    let mut version = String::new();
    let mut command = Command::new(chromium);
    let ok = run::lines(command.arg("--version"), Duration::from_secs(30), &mut |line| {
        if let Line::Out(text) = line {
            version = text;
        }
    })
    .with_context(|| format!("{} does not start", chromium.display()))?;
    println!("{}: {version}", chromium.display());
    Ok(ok)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args([
            "-o",
            "DPkg::Lock::Timeout=120",
            "-o",
            "Acquire::Retries=3",
            "-o",
            "Acquire::http::Timeout=30",
        ])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    if !run::stream(&mut command, Duration::from_secs(10 * 60))? {
        bail!("apt-get {} failed", arguments.join(" "));
    }
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn on_path(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
