//! The namespaces of a machine apart, and the first process there, with which all of it ends.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::place::Place;
use crate::server::{Server, command, descendants, joined};

/// The first process. What programs keep outside of the folders that they are told (logs for `kubectl logs`, sockets,
/// addresses of pods) is kept in memory and goes with the namespace. Its loop takes in orphans: a shell does so
/// whenever it waits.
const FIRST: &str = "\
set -eu
for folder in /run /var/log /var/lib; do mount -t tmpfs -o mode=755 tmpfs $folder; done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
while :; do sleep 1; done
";

/// The same, where network and folders are the machine's own.
const FIRST_AT_HOME: &str = "echo ready; while :; do sleep 1; done";

/// Namespaces for network, mounts and processes. Dropping it kills everything in them.
#[derive(Debug)]
pub(crate) struct Namespaces {
    // Ends the first process, by `--kill-child` also when this process is killed.
    _holder: Server,
    first: u32,
    /// Folder of programs that come first on the path.
    programs: PathBuf,
}

impl Namespaces {
    pub(crate) fn new(place: &Place, programs: &Path) -> Result<Namespaces> {
        Namespaces::with(place, programs, &["--net"], FIRST)
    }

    /// Some for mounts and processes alone, in the network of this machine.
    pub(crate) fn at_home(place: &Place, programs: &Path) -> Result<Namespaces> {
        Namespaces::with(place, programs, &[], FIRST_AT_HOME)
    }

    fn with(place: &Place, programs: &Path, more: &[&str], script: &str) -> Result<Namespaces> {
        let log = place.at("first.log");
        let mut unshare = command("unshare", None);
        // Mounts are private: none of them is seen outside.
        unshare.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]).args(more);
        unshare.args(["sh", "-c", script]);
        let mut holder = Server::start("the first process of a machine apart", unshare, &log)?;
        holder.wait_until_ready(Duration::from_secs(30), || {
            ensure!(fs::read_to_string(&log)?.contains("ready"), "it has not said so");
            Ok(())
        })?;
        let first =
            descendants(holder.id()).first().copied().context("the machine apart has no first process")?;
        Ok(Namespaces { _holder: holder, first, programs: programs.to_owned() })
    }

    /// Host's id of the first process.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// As [`command`], there, with its programs first on the path.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut inside = command("nsenter", None);
        inside.args(["--target", &self.first.to_string(), "--mount", "--net", "--pid", "--"]).arg(program);
        let mut path = joined("", &self.programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        inside.env("PATH", path);
        inside
    }
}
