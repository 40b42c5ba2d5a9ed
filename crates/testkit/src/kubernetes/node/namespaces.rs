//! The namespaces that a node is in, and the first process there, with which all of it ends.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::place::Place;
use crate::provisioned::NODE;
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

/// Namespaces for network, mounts and processes. Dropping it kills everything in them.
#[derive(Debug)]
pub(super) struct Namespaces {
    // Ends the first process, by `--kill-child` also when this process is killed.
    _holder: Server,
    first: u32,
}

impl Namespaces {
    pub(super) fn new(place: &Place) -> Result<Namespaces> {
        let log = place.at("first.log");
        let mut unshare = command("unshare", None);
        // Mounts are private: none of them is seen outside.
        unshare.args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            FIRST,
        ]);
        let mut holder = Server::start("the first process of the node", unshare, &log)?;
        holder.wait_until_ready(Duration::from_secs(30), || {
            ensure!(fs::read_to_string(&log)?.contains("ready"), "it has not said so");
            Ok(())
        })?;
        let first = descendants(holder.id()).first().copied().context("the node has no first process")?;
        Ok(Namespaces { _holder: holder, first })
    }

    /// Host's id of the first process.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// As [`command`], on the node, with its programs first on the path.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut inside = command("nsenter", None);
        inside.args(["--target", &self.first.to_string(), "--mount", "--net", "--pid", "--"]).arg(program);
        let mut path = NODE.folder().map(|folder| joined("", &folder.join("bin"))).unwrap_or_default();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        inside.env("PATH", path);
        inside
    }
}
