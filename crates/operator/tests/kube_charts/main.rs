//! The charts, by Helm itself, on a real API server with nodes that are played.
//!
//! Its programs must have been built: `cargo xtask provision etcd kube definitions helm prometheus`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pricemonitor_testkit::kubernetes::{Cluster, Kubectl, Parts};
use serde_json::Value;

mod install;
mod render;

#[path = "../support/values.rs"]
#[allow(dead_code)] // the README is another program's
mod values;

/// One for all tests of this program, without the definition; it ends with the process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let mut cluster = Cluster::start(Parts::Api).unwrap();
    cluster.add_definitions().unwrap();
    cluster.extend_to(Parts::Nodes(2)).unwrap();
    cluster
});

fn admin() -> &'static Kubectl {
    CLUSTER.admin()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A chart's folder, as Helm takes it.
fn chart(name: &str) -> String {
    root().join("charts").join(name).display().to_string()
}

const OPERATOR: &str = "pricemonitor-operator";
const DEFINITION: &str = "pricemonitor-operator-crds";
const SYSTEM: &str = "pricemonitor-system";

/// The objects of a text of YAML, as the API server would have them; it refuses those that are none.
fn objects(yaml: &str) -> Vec<Value> {
    admin().dry_run(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// The first object of a kind.
fn of_kind<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let found = objects.iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {objects:?}"))
}
