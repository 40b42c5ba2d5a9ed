//! Debian's packages, by `apt-get`.

use std::path::Path;
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
    apt(&["update", "-q"], None).with_context(|| by_hand.to_owned())?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(packages);
    apt(&install, None).with_context(|| by_hand.to_owned())
}

/// Downloads packages into `folder` and installs nothing: everybody may, where there are lists of packages. Root gets lists
/// where there are none.
///
/// # Errors
/// When there is no apt-get, or it has no such package.
pub(crate) fn download(packages: &[&str], folder: &Path) -> Result<()> {
    // As root it would download as a user who may not write there, and complain.
    let mut download = vec!["download", "-q", "-o", "APT::Sandbox::User=root"];
    download.extend(packages);
    match apt(&download, Some(folder)) {
        Err(_) if may_install() && !run::was_interrupted() => {
            apt(&["update", "-q"], None)?;
            apt(&download, Some(folder))
        }
        done => done,
    }
}

fn apt(arguments: &[&str], folder: Option<&Path>) -> Result<()> {
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
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    if !run::stream(&mut command, Duration::from_secs(10 * 60))? {
        bail!("apt-get {} failed", arguments.join(" "));
    }
    Ok(())
}
