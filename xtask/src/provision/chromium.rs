//! Headless Chromium, for the test of the page.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::run::{self, Line};

/// The names under which distributions install Chromium.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// What Debian calls it, and letters for it to write with (the picture of a page without fonts is
/// a picture of boxes).
const PACKAGES: [&str; 2] = ["chromium", "fonts-dejavu-core"];

/// Makes sure that there is one that starts.
///
/// # Errors
/// When it is missing and cannot be installed; the message says how to get it.
pub(crate) fn get() -> Result<bool> {
    if let Some(found) = chromium() {
        return works(&found);
    }
    let by_hand = format!(
        "the browser test needs Chromium: install it (Debian: `apt-get install {}` as root), \
         or leave the browser out with `cargo xtask test --quick`",
        PACKAGES.join(" ")
    );
    if apt::may_install() {
        println!("Chromium is missing: installing {}", PACKAGES.join(" "));
    }
    apt::install(&PACKAGES, &by_hand)?;
    match chromium() {
        Some(found) => works(&found),
        None => bail!("{by_hand}"),
    }
}

/// The browser, where there is one: `PRICEMONITOR_CHROMIUM`, else by its names on the path.
fn chromium() -> Option<PathBuf> {
    let named = env::var_os("PRICEMONITOR_CHROMIUM").map(PathBuf::from);
    named.or_else(|| CHROMIUM.iter().find_map(|name| super::find(name)))
}

fn works(chromium: &Path) -> Result<bool> {
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
