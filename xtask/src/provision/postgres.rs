//! PostgreSQL: the binaries that are published for embedding in tests, else Debian's package.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::provisioned::POSTGRES;
use super::{apt, cache, maven};
use crate::run;

/// Makes sure that there is one that starts.
///
/// # Errors
/// When it is missing and neither Maven nor Debian has it; the message says how to get it.
pub(crate) fn get() -> Result<bool> {
    cache::fill(&POSTGRES, |folder| match published(folder) {
        Ok(()) => Ok(()),
        Err(error) if run::was_interrupted() => Err(error),
        Err(error) => {
            println!("no published binaries ({error:#}): looking for Debian's package");
            debian(folder)
        }
    })?;
    let postgres = POSTGRES.folder()?.join("bin/postgres");
    run::stream(Command::new(&postgres).arg("--version"), Duration::from_secs(30))
        .with_context(|| format!("{} does not start", postgres.display()))
}

/// Artifact and archive within, for this machine.
fn published(folder: &Path) -> Result<()> {
    let platform = match (OS, ARCH) {
        ("linux", "x86_64") => "linux-amd64",
        ("linux", "aarch64") => "linux-arm64v8",
        ("macos", "x86_64") => "darwin-amd64",
        ("macos", "aarch64") => "darwin-arm64v8",
        (os, arch) => bail!("none is published for {os} on {arch}"),
    };
    let name = format!("embedded-postgres-binaries-{platform}");
    let jar = folder.join("jar");
    maven::unpack(&[("io.zonky.test.postgres", &name, POSTGRES.version)], &jar)?;
    let archive = fs::read_dir(&jar)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "txz"))
        .with_context(|| format!("{name} holds no .txz"))?;
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(&archive).arg("-C").arg(folder).arg("--no-same-owner");
    if !run::stream(&mut tar, Duration::from_secs(5 * 60))? {
        bail!("tar cannot unpack it: is xz there (Debian: `apt-get install xz-utils` as root)?");
    }
    fs::remove_dir_all(&jar)?;
    // Whatever the umask was: the server runs as another user than root.
    if !run::stream(Command::new("chmod").args(["-R", "a+rX"]).arg(folder), Duration::from_secs(60))? {
        bail!("chmod failed on {}", folder.display());
    }
    Ok(())
}

/// Debian's binaries, by a link: they find their libraries from where it leads.
fn debian(folder: &Path) -> Result<()> {
    let by_hand = "PostgreSQL comes by Maven or from Debian: install one of them \
                   (Debian: `apt-get install maven` or `apt-get install postgresql`, as root)";
    if installed().is_none() {
        apt::install(&["postgresql"], by_hand)?;
    }
    let bin = installed().with_context(|| by_hand.to_owned())?;
    // What a failed attempt left.
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    symlink(&bin, folder.join("bin")).with_context(|| format!("linking {}", bin.display()))
}

/// The newest of Debian's, which lie beside each other by their major version.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let major = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(major)?;
    Some(newest.join("bin"))
}
