//! A container engine for tests: Debian's dockerd, docker's compose, and the files of a small Debian, of which base images
//! are made where nothing can be pulled.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::provisioned::{DOCKER, DOCKER_TOOLS};
use super::{apt, cache, find};
use crate::run;
use crate::run::Line;

/// Debian's packages with [`DOCKER_TOOLS`].
const PACKAGES: [&str; 3] = ["docker.io", "iptables", "debootstrap"];
/// What the small Debian holds: what the program is built with, and what stand-ins for servers need.
const INSIDE: [&str; 9] = [
    "gcc",
    "g++",
    "make",
    "perl",
    "libc6-dev",
    "ca-certificates",
    "busybox",
    "default-jre-headless",
    "postgresql-client",
];
/// The first release of Debian whose compose is docker's plug-in.
const COMPOSE_SUITE: &str = "trixie";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const BY_HAND: &str = "a container engine for tests needs docker.io, iptables and debootstrap: install them (Debian: `apt-get \
                       install docker.io iptables debootstrap` as root), or leave the servers out with `cargo xtask test --quick`";

/// Makes sure that there is all of it. Where nobody can have an engine (another system than Debian, another user than root)
/// that is said and nothing is got: the tests that want one say the same and skip it.
///
/// # Errors
/// When a package cannot be had.
pub(crate) fn get() -> Result<bool> {
    if !cfg!(target_os = "linux") || !apt::may_install() {
        println!("docker: skipped, an engine of the tests' own needs Debian and root");
        return Ok(true);
    }
    let missing: Vec<_> = DOCKER_TOOLS.into_iter().filter(|tool| find(tool).is_none()).collect();
    if !missing.is_empty() {
        println!("{} missing: installing {}", missing.join(", "), PACKAGES.join(" "));
        apt::install(&PACKAGES, BY_HAND)?;
    }
    cache::fill(&DOCKER, |folder| {
        compose(folder)?;
        debian(folder)
    })?;
    let compose = DOCKER.folder()?.join("bin/docker-compose");
    run::stream(Command::new(&compose).arg("version"), Duration::from_secs(30))
        .with_context(|| format!("{} does not start", compose.display()))
}

/// Compose, from a newer release than this machine's, without a trace in its lists of packages.
fn compose(folder: &Path) -> Result<()> {
    let (work, bin) = (folder.join("work"), folder.join("bin"));
    for folder in ["lists/partial", "cache", "packages"] {
        fs::create_dir_all(work.join(folder))?;
    }
    fs::create_dir_all(&bin)?;
    let list = work.join("sources.list");
    fs::write(&list, format!("deb [signed-by={KEYS}] {} {COMPOSE_SUITE} main\n", mirror()?))?;
    let option = |name: &str, value: &Path| format!("-o{name}={}", value.display());
    let options = [
        option("Dir::Etc::sourcelist", &list),
        option("Dir::Etc::sourceparts", Path::new("/dev/null")),
        option("Dir::Etc::preferencesparts", Path::new("/dev/null")),
        option("Dir::State::lists", &work.join("lists")),
        option("Dir::Cache", &work.join("cache")),
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAcquire::Retries=3".to_owned(),
    ];
    for words in [vec!["update", "-q"], vec!["download", "-q", "docker-compose"]] {
        let mut apt = Command::new("apt-get");
        apt.args(&options).args(&words).current_dir(work.join("packages"));
        if !run::stream(&mut apt, Duration::from_secs(5 * 60))? {
            bail!("apt-get {} of {COMPOSE_SUITE} failed; {BY_HAND}", words.join(" "));
        }
    }
    let package = fs::read_dir(work.join("packages"))?.next().context("apt-get left no package")??.path();
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(&package).arg(work.join("whole"));
    if !run::stream(&mut unpack, Duration::from_secs(120))? {
        bail!("dpkg-deb cannot unpack {}", package.display());
    }
    let plugin = work.join("whole/usr/libexec/docker/cli-plugins/docker-compose");
    fs::copy(&plugin, bin.join("docker-compose"))
        .with_context(|| format!("the package has no {}", plugin.display()))?;
    fs::remove_dir_all(&work).context("removing what was downloaded")
}

/// A small Debian of this machine's release, as an archive.
fn debian(folder: &Path) -> Result<()> {
    let root = folder.join("root");
    let include = format!("--include={}", INSIDE.join(","));
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &include, &release()?]).arg(&root).arg(mirror()?);
    // Hundreds of packages, two lines each.
    let mut last = String::new();
    let ok = run::lines(&mut debootstrap, Duration::from_secs(15 * 60), &mut |line| match line {
        Line::Out(text) | Line::Err(text) => last = text,
    })?;
    if !ok {
        bail!("debootstrap failed; its last line: {last}");
    }
    for left in
        ["var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"]
    {
        let left = root.join(left);
        if left.exists() {
            fs::remove_dir_all(&left).with_context(|| format!("removing {}", left.display()))?;
        }
    }
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(folder.join("debian.tar")).arg("--directory").arg(&root).arg(".");
    if !run::stream(&mut tar, Duration::from_secs(5 * 60))? {
        bail!("tar failed");
    }
    fs::remove_dir_all(&root).context("removing the files that are in the archive")
}

/// This machine's release, by its name.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let named = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(named
        .context("/etc/os-release has no VERSION_CODENAME: is this Debian?")?
        .trim_matches('"')
        .to_owned())
}

/// Where this machine has its packages from.
fn mirror() -> Result<String> {
    let release = release()?;
    let mut found = None;
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]);
    run::lines(&mut ask, Duration::from_secs(60), &mut |line| {
        if let Line::Out(text) = line
            && let Some((name, address)) = text.split_once(' ')
            && name == release
            && found.is_none()
        {
            found = Some(address.to_owned());
        }
    })?;
    found.with_context(|| format!("apt-get knows no packages of {release}: run `apt-get update`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_names_what_the_small_debian_holds() {
        for package in INSIDE {
            assert!(DOCKER.recipe.split([' ', ',']).any(|word| word == package), "{package}");
        }
    }
}
