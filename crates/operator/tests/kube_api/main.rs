//! What a real API server says to the definition, to manifests and to the children of a monitor.
//!
//! Its programs must have been built: `cargo xtask provision etcd kube definitions`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod children;
mod definition;
mod manifests;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use pricemonitor_config::{PriceMonitor, read};
use pricemonitor_testkit::kubernetes::{Cluster, Kubectl, Parts};
use pricemonitor_testkit::wait;
use serde_json::{Value, json};

/// One API for all tests of this program, with the definition; it ends with the process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let cluster = Cluster::start(Parts::Api).unwrap();
    let admin = cluster.admin();
    admin.apply(&text("../../manifests/crd.yaml")).unwrap();
    admin.run(&["wait", "--for=condition=Established", DEFINITION, "--timeout=60s"], None).unwrap();
    // The endpoint follows the condition after a moment.
    let served = || admin.get(&["pricemonitors"]).is_ok();
    wait::until("the API to serve monitors", Duration::from_secs(60), served).unwrap();
    cluster.add_definitions().unwrap();
    cluster
});

const DEFINITION: &str = "customresourcedefinition/pricemonitors.pricemonitor.dev";

fn admin() -> &'static Kubectl {
    CLUSTER.admin()
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(here(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The YAML files of a folder.
fn files(folder: &str) -> Vec<String> {
    let names = fs::read_dir(here(folder)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".yaml"));
    names.sort();
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

fn monitor(path: &str) -> PriceMonitor {
    read::read(&text(path), path).unwrap_or_else(|problems| panic!("{problems}")).remove(0)
}

/// A namespace that takes no pod but those of the restricted Pod Security Standard, and warns of whatever
/// would make such.
fn namespace(name: &str) -> Value {
    let mode = |mode: &str| (format!("pod-security.kubernetes.io/{mode}"), json!("restricted"));
    let labels: serde_json::Map<_, _> = ["enforce", "warn"].map(mode).into_iter().collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}
