//! Debian's packages, by `apt-get`.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run;

/// Whether packages can be installed: only root may, and only where there is `apt-get`.
pub(crate) fn may_install() -> bool {
    super::is_root() && super::find("apt-get").is_some()
}

/// Installs packages, without what they merely recommend.
///
/// # Errors
/// When that fails; the message is `by_hand`, which says what a person can do.
pub(crate) fn install(packages: &[&str], by_hand: &str) -> Result<()> {
    if !may_install() {
        bail!("{by_hand}");
    }
    apt(&["update", "-q"]).with_context(|| by_hand.to_owned())?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(packages);
    apt(&install).with_context(|| by_hand.to_owned())
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
