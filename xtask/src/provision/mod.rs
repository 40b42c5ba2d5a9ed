//! Getting what the tests need beside the toolchain. Every step is idempotent and has an end.

mod apt;
mod cache;
mod chromium;
mod docker;
mod go;
mod grafana;
mod kafka;
mod kubernetes;
mod maven;
mod node;
mod postgres;
mod prometheus;
// The versions and places are the tests' as well, who look there for their servers; this package stands
// on no other, so that it builds in seconds. Each side uses a part of it.
#[path = "../../../crates/testkit/src/provisioned.rs"]
#[allow(dead_code, unreachable_pub)]
mod provisioned;

use std::env;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

/// What `cargo xtask provision` takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// What to get; without any, what the tests need
    #[arg(value_name = "PROGRAM")]
    pub(crate) programs: Vec<Program>,
}

/// What can be got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// Headless Chromium, by apt-get on Debian as root
    Chromium,
    /// KEDA's and the Prometheus operator's resources, by Go
    Definitions,
    /// A container engine, docker's compose and the files of a small Debian, by apt-get; on Debian as root alone
    Docker,
    /// etcd, built with Go
    Etcd,
    /// What checks dashboards against Grafana's schema, built with Go
    GrafanaSchema,
    /// Helm, built with Go
    Helm,
    /// Apache Kafka, by Maven; needs Java 17
    Kafka,
    /// Kubernetes' API server, controller manager, scheduler and kubectl, and KWOK, built with Go
    Kube,
    /// What makes this machine a node of Kubernetes: kubelet, containerd, CoreDNS, built with Go, and runc by
    /// apt-get; on Linux as root alone
    Node,
    /// PostgreSQL, by Maven, else Debian's package
    Postgres,
    /// Prometheus and promtool: the system's, else Debian's package, unpacked
    Prometheus,
}

/// What the stages of `cargo xtask test` need, the quickest to get first.
const TESTS: [Program; 11] = [
    Program::Chromium,
    Program::Kafka,
    Program::Postgres,
    Program::Prometheus,
    Program::Definitions,
    Program::Docker,
    Program::GrafanaSchema,
    Program::Etcd,
    Program::Helm,
    Program::Kube,
    Program::Node,
];

/// What the chore was asked for.
///
/// # Errors
/// As for [`get`].
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    match arguments.programs.as_slice() {
        [] => get(&TESTS),
        programs => get(programs),
    }
}

/// Makes sure that `programs` are there and start; fetches only what is missing.
///
/// # Errors
/// When something is missing and cannot be fetched; the message says how to get it. What comes after
/// it is not tried.
pub(crate) fn get(programs: &[Program]) -> Result<bool> {
    let mut ok = true;
    for program in programs {
        ok &= match program {
            Program::Chromium => chromium::get()?,
            Program::Definitions => kubernetes::definitions()?,
            Program::Docker => docker::get()?,
            Program::Etcd => kubernetes::etcd()?,
            Program::GrafanaSchema => grafana::schema()?,
            Program::Helm => kubernetes::helm()?,
            Program::Kafka => kafka::get()?,
            Program::Kube => kubernetes::kube()?,
            Program::Node => node::get()?,
            Program::Postgres => postgres::get()?,
            Program::Prometheus => prometheus::get()?,
        };
    }
    go::tidy()?;
    Ok(ok)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program lies on the path.
fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
