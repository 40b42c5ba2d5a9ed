//! Prometheus and promtool: those that the system has, else Debian's package, unpacked and not installed, so that no service
//! of that name begins.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::provisioned::{PROMETHEUS, PROMETHEUS_PROGRAMS};
use super::{apt, cache};
use crate::run;

const BY_HAND: &str = "Prometheus comes from Debian's package or from the system: install it (Debian: `apt-get install \
                       prometheus`; macOS: `brew install prometheus`; else the release that prometheus.io offers), so \
                       that `prometheus` and `promtool` are on the PATH";

/// Makes sure that both are there and start.
///
/// # Errors
/// When they are on no path and there is no apt-get that has them; the message says how to get them.
pub(crate) fn get() -> Result<bool> {
    cache::fill(&PROMETHEUS, |folder| {
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).with_context(|| format!("making {}", bin.display()))?;
        if linked(&bin)? { Ok(()) } else { debian(folder, &bin) }
    })?;
    let mut ok = true;
    for name in PROMETHEUS_PROGRAMS {
        let program = PROMETHEUS.folder()?.join("bin").join(name);
        ok &= run::stream(Command::new(&program).arg("--version"), Duration::from_secs(30))
            .with_context(|| format!("{} does not start", program.display()))?;
    }
    Ok(ok)
}

/// Links to those on the path, when all are.
fn linked(bin: &Path) -> Result<bool> {
    let found = PROMETHEUS_PROGRAMS.map(super::find);
    if found.iter().any(Option::is_none) {
        return Ok(false);
    }
    for (name, path) in PROMETHEUS_PROGRAMS.iter().zip(found.iter().flatten()) {
        symlink(path, bin.join(name)).with_context(|| format!("linking {}", path.display()))?;
    }
    Ok(true)
}

/// Takes them out of Debian's package.
fn debian(folder: &Path, bin: &Path) -> Result<()> {
    if super::find("apt-get").is_none() || super::find("dpkg-deb").is_none() {
        bail!("{BY_HAND}");
    }
    let package = folder.join("package");
    fs::create_dir_all(&package).with_context(|| format!("making {}", package.display()))?;
    apt::download(&["prometheus"], &package).context(BY_HAND)?;
    let archive = fs::read_dir(&package)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get left no package; {BY_HAND}"))?;
    let whole = folder.join("whole");
    let mut unpack = Command::new("dpkg-deb");
    if !run::stream(unpack.arg("--extract").arg(&archive).arg(&whole), Duration::from_secs(120))? {
        bail!("dpkg-deb cannot unpack {}", archive.display());
    }
    for name in PROMETHEUS_PROGRAMS {
        let from = whole.join("usr/bin").join(name);
        fs::rename(&from, bin.join(name))
            .with_context(|| format!("Debian's package has no {}", from.display()))?;
    }
    fs::remove_dir_all(&whole)?;
    fs::remove_dir_all(&package)?;
    Ok(())
}
