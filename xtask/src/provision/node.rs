//! What makes this machine a node of Kubernetes, on which pods really run.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use super::go::Build;
use super::kubernetes::{MODULE, starts, versions};
use super::provisioned::{NODE, NODE_TOOLS};
use super::{apt, cache, find};

/// Debian's packages with [`NODE_TOOLS`].
const PACKAGES: [&str; 5] = ["runc", "nftables", "iproute2", "util-linux", "libc-bin"];

/// Modules with programs that are published as they are: a name, a version, where they go, and the packages.
const PUBLISHED: [(&str, &str, &str, &[&str]); 2] = [
    (
        "containerd",
        "v2.4.2",
        "bin",
        &[
            "github.com/containerd/containerd/v2/cmd/containerd",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/ctr",
        ],
    ),
    (
        "cni",
        "v1.9.1",
        "cni",
        &[
            "github.com/containernetworking/plugins/plugins/main/bridge",
            "github.com/containernetworking/plugins/plugins/main/loopback",
            "github.com/containernetworking/plugins/plugins/ipam/host-local",
        ],
    ),
];

/// CoreDNS with a part of what it can do: our program, its version, and the packages that it is made of.
const COREDNS: (&str, &str, &[&str]) = (
    include_str!("../../coredns/main.go"),
    "v1.15.0",
    &[
        "github.com/coredns/coredns/core/dnsserver",
        "github.com/coredns/coredns/coremain",
        "github.com/coredns/coredns/plugin/bind",
        "github.com/coredns/coredns/plugin/errors",
        "github.com/coredns/coredns/plugin/kubernetes",
        "github.com/coredns/coredns/plugin/ready",
    ],
);

/// Makes sure that there is all of it. Where nobody can have a node (another system than Linux, another user than
/// root) that is said and nothing is got: the tests that want one say the same and skip it.
///
/// # Errors
/// When a tool is missing and cannot be installed, there is no Go, or it cannot fetch or compile.
pub(crate) fn get() -> Result<bool> {
    if !cfg!(target_os = "linux") || !super::is_root() {
        println!("node: skipped, a real node of Kubernetes needs Linux and root");
        return Ok(true);
    }
    tools()?;
    cache::fill(&NODE, |folder| {
        let bin = folder.join("bin");
        let build = Build::new(folder, &MODULE)?;
        build.build("./node", &versions(NODE.version)?, &bin.join("node"))?;
        for name in ["kubelet", "kube-proxy"] {
            symlink("node", bin.join(name)).with_context(|| format!("linking {name}"))?;
        }
        build.build("./pause", "", &bin.join("pause"))?;
        for (name, version, into, packages) in PUBLISHED {
            published(&build.beside(name, &[])?, version, &folder.join(into), packages)?;
        }
        let (main, version, packages) = COREDNS;
        let coredns = build.beside("coredns", &[("main.go", main)])?;
        coredns.get(version, packages)?;
        coredns.build(".", "", &bin.join("coredns"))?;
        build.remove()
    })?;
    starts(&NODE, "kubelet", &["--version"])
}

fn published(build: &Build, version: &str, into: &Path, packages: &[&str]) -> Result<()> {
    let named = |package: &str| into.join(package.rsplit('/').next().unwrap_or(package));
    let programs: Vec<_> = packages.iter().map(|package| (*package, named(package))).collect();
    build.published(version, &programs)
}

fn tools() -> Result<()> {
    let missing: Vec<_> = NODE_TOOLS.into_iter().filter(|tool| find(tool).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("{} missing: installing {}", missing.join(", "), PACKAGES.join(" "));
    let by_hand = format!(
        "a real node of Kubernetes needs {}: install them (Debian: `apt-get install {}` as root), or leave the \
         servers out with `cargo xtask test --quick`",
        missing.join(", "),
        PACKAGES.join(" ")
    );
    apt::install(&PACKAGES, &by_hand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::provisioned::NODE_PROGRAMS;

    #[test]
    fn the_recipe_of_a_node_names_the_versions_of_its_programs() {
        let published = PUBLISHED.map(|(name, version, ..)| (name, version));
        for (name, version) in published.into_iter().chain([("coredns", COREDNS.1)]) {
            let named = format!("{name} {}", version.trim_start_matches('v'));
            assert!(NODE.recipe.contains(&named), "{named}");
        }
        assert!(NODE.recipe.starts_with(&format!("kubernetes {}, ", NODE.version)));
    }

    #[test]
    fn every_program_of_a_node_is_built() {
        let published = |name: &str| {
            let of =
                |packages: &[&str]| packages.iter().any(|package| package.ends_with(&format!("/{name}")));
            PUBLISHED.iter().any(|(_, _, into, packages)| *into == "bin" && of(packages))
        };
        let linked = |name: &str| MODULE.iter().any(|(_, text)| text.contains(&format!("case \"{name}\":")));
        for name in NODE_PROGRAMS {
            assert!(published(name) || linked(name) || name == "coredns", "{name}");
        }
    }

    #[test]
    fn every_package_that_coredns_is_made_of_is_asked_for() {
        let (main, _, packages) = COREDNS;
        let used = main.lines().filter_map(|line| line.trim().split('"').nth(1));
        let used: Vec<_> = used.filter(|name| name.starts_with("github.com/")).collect();
        assert_eq!(used, packages);
    }
}
