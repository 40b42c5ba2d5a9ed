//! Where `cargo xtask provision` puts real servers, and in which versions. The one list of both: xtask,
//! which stands on no other package, reads this very file as a module of its own.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// A program that is fetched once for a machine and kept in the user's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name, as `cargo xtask provision` takes it.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// All that decides what the folder holds. A folder made by another recipe is fetched anew.
    pub recipe: &'static str,
}

/// Apache Kafka: `lib/*.jar`, and `lib/classes.jsa`, an archive of its loaded classes.
///
/// 4.4.0 was published without its tools, hence a pin and never a range. Kafka brings slf4j 1.7, so
/// that the log binding is `log4j-slf4j-impl`, not the one of slf4j 2.
pub const KAFKA: Program = Program {
    name: "kafka",
    version: "4.3.1",
    recipe: "kafka 4.3.1 without KAFKA-20734, log4j-slf4j-impl 2.25.4, r2",
};

/// PostgreSQL: `bin/initdb`, `bin/postgres`, and what they need.
pub const POSTGRES: Program =
    Program { name: "postgres", version: "18.6.0", recipe: "postgresql 18.6.0, r1" };

/// Prometheus: `bin/` with [`PROMETHEUS_PROGRAMS`]. Its version is the system's or Debian's: what is asked of it, rules and
/// queries, is the same in each since 2.31.
pub const PROMETHEUS: Program =
    Program { name: "prometheus", version: "any", recipe: "the system's or debian's, r1" };

/// The programs that [`PROMETHEUS`] holds.
pub const PROMETHEUS_PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

/// etcd, the store of a Kubernetes API server: `bin/etcd`.
pub const ETCD: Program = Program { name: "etcd", version: "3.7.3", recipe: "etcd 3.7.3, r1" };

/// Kubernetes and KWOK 0.8.0, which plays nodes and their pods: `bin/kube`, a link to it by each name of
/// [`KUBE_PROGRAMS`], and [`KWOK_STAGES`].
pub const KUBE: Program =
    Program { name: "kube", version: "1.37.2", recipe: "kubernetes 1.37.2, kwok 0.8.0 with 5 stages, r2" };

/// The programs that [`KUBE`] holds.
pub const KUBE_PROGRAMS: [&str; 5] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"];

/// The file of [`KUBE`] that says how KWOK's nodes and pods behave.
pub const KWOK_STAGES: &str = "stages.yaml";

/// What makes this machine a real node, on which pods run: `bin/` with [`NODE_PROGRAMS`], of which kubelet and
/// kube-proxy are links to one file, containerd's shim, and `pause`, which holds a pod's namespaces; `cni/` with
/// the plugins that give pods their network. The system brings [`NODE_TOOLS`].
pub const NODE: Program = Program {
    name: "node",
    version: "1.37.2",
    recipe: "kubernetes 1.37.2, containerd 2.4.2, cni 1.9.1, coredns 1.15.0, r1",
};

/// The programs that [`NODE`] holds.
pub const NODE_PROGRAMS: [&str; 5] = ["kubelet", "kube-proxy", "containerd", "ctr", "coredns"];

/// What a real node takes from the system.
pub const NODE_TOOLS: [&str; 6] = ["runc", "nft", "ip", "unshare", "nsenter", "ldd"];

/// What other people's operators add to an API, of which ours makes objects (KEDA's scaling by lag, the
/// Prometheus operator's PodMonitor): `definitions.yaml`.
pub const DEFINITIONS: Program =
    Program { name: "definitions", version: "1", recipe: "keda 2.21.0, prometheus-operator 0.85.0, r3" };

/// What checks dashboards against Grafana's schema: `bin/grafana-schema`. Its version is that of Grafana's library for
/// dashboards, of which it is made.
pub const GRAFANA_SCHEMA: Program =
    Program { name: "grafana-schema", version: "0.0.22", recipe: "grafana-foundation-sdk 0.0.22, r1" };

/// Helm: `bin/helm`.
pub const HELM: Program = Program { name: "helm", version: "4.3.1", recipe: "helm 4.3.1, r1" };

/// What a container engine for tests needs beside [`DOCKER_TOOLS`]: docker's compose, `bin/docker-compose`, and the files of
/// a small Debian, of which base images are made: `debian.tar`.
pub const DOCKER: Program = Program {
    name: "docker",
    version: "1",
    recipe: "compose of trixie; debian with gcc, g++, make, perl, libc6-dev, ca-certificates, busybox, default-jre-headless, \
             postgresql-client, r1",
};

/// What a container engine takes from the system.
pub const DOCKER_TOOLS: [&str; 4] = ["dockerd", "docker", "iptables", "debootstrap"];

impl Program {
    /// Its folder, whether it is there or not.
    ///
    /// # Errors
    /// When the user has no cache folder (see [`cache`]).
    pub fn folder(&self) -> Result<PathBuf> {
        Ok(cache()?.join(format!("{}-{}", self.name, self.version)))
    }

    /// The file that is written last: it holds the recipe, and without it a fetch was interrupted.
    ///
    /// # Errors
    /// As for [`Program::folder`].
    pub fn mark(&self) -> Result<PathBuf> {
        Ok(self.folder()?.join(".version"))
    }

    /// Whether it is there, whole and by the present recipe.
    ///
    /// # Errors
    /// As for [`Program::folder`].
    pub fn is_there(&self) -> Result<bool> {
        let mark = fs::read_to_string(self.mark()?).unwrap_or_default();
        Ok(mark.lines().next() == Some(self.recipe))
    }

    /// Its folder, for those who need it now.
    ///
    /// # Errors
    /// When it is not there; the message is the command that gets it.
    pub fn provided(&self) -> Result<PathBuf> {
        let folder = self.folder()?;
        if !self.is_there()? {
            bail!(
                "{} {} is not in {}: get it with `cargo xtask provision {}`",
                self.name,
                self.version,
                folder.display(),
                self.name
            );
        }
        Ok(folder)
    }
}

/// The folder of all programs: `PRICEMONITOR_CACHE`, else for root `/var/cache/pricemonitor` (servers that
/// refuse to run as root run as another user, who cannot look into root's home), else the user's cache.
///
/// # Errors
/// When there is neither a cache nor a home folder.
pub fn cache() -> Result<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = named("PRICEMONITOR_CACHE") {
        return std::path::absolute(&cache)
            .with_context(|| format!("PRICEMONITOR_CACHE is `{}`: give it a folder", cache.display()));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/cache/pricemonitor"));
    }
    let base = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    Ok(base.context("there is no cache folder: set PRICEMONITOR_CACHE")?.join("pricemonitor"))
}
