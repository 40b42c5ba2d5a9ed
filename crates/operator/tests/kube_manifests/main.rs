//! What lies in manifests/ for kind and for kustomize, and what docs/kind.md, docs/kubernetes.md and
//! docs/production.md tell people to type, with kubectl and Helm themselves on a real API server with nodes that are
//! played.
//!
//! Its programs must have been built: `cargo xtask provision etcd kube definitions helm prometheus`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod guides;
mod kind;
mod kustomize;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use pricemonitor_testkit::kubernetes::{Cluster, Kubectl, Parts};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::provisioned::{HELM, KUBE};
use pricemonitor_testkit::terminal::Terminal;
use pricemonitor_testkit::{documents, wait};
use serde_json::{Value, json};

/// Long enough for a debug build on a busy machine; nothing waits so long when all is well.
const SOON: Duration = Duration::from_secs(120);

const SYSTEM: &str = "pricemonitor-system";
const OPERATOR: &str = "pricemonitor-operator";

/// One API for what is only looked at, with the definition; it ends with the process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let cluster = Cluster::start(Parts::Api).unwrap();
    let admin = cluster.admin();
    admin.apply(&text("manifests/crd.yaml")).unwrap();
    let crd = "crd/pricemonitors.pricemonitor.dev";
    admin.run(&["wait", "--for=condition=Established", crd, "--timeout=60s"], None).unwrap();
    wait::until("the API to serve monitors", SOON, || admin.get(&["pricemonitors"]).is_ok()).unwrap();
    cluster
});

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The blocks of commands of a document that name this test: all of them, so that none is left out.
#[track_caller]
fn typed<const N: usize>(name: &str, test: &str) -> [String; N] {
    let blocks = documents::run_by(&text(name), test);
    blocks.try_into().unwrap_or_else(|blocks| panic!("{test} knows {N} blocks of {name}, not {blocks:#?}"))
}

/// A terminal with kubectl, Helm and the operator, without a cluster yet.
fn terminal() -> Terminal {
    let mut terminal = Terminal::open(&root()).unwrap();
    terminal.program("kubectl", KUBE.provided().unwrap().join("bin/kubectl")).unwrap();
    terminal.program("helm", HELM.provided().unwrap().join("bin/helm")).unwrap();
    terminal.program(OPERATOR, env!("CARGO_BIN_EXE_pricemonitor-operator")).unwrap();
    // Nothing of the user's: no cluster, no repositories, no plugins.
    let home = terminal.place().path().display().to_string();
    terminal.set("HOME", home);
    terminal
}

/// kubectl stays itself but for what wants a container, of which there is none behind a pod that is played: a stand-in
/// notes what was asked, in `forward.log` and `logs.log`. A forward goes on for as long as `forwarding`, a command, runs.
fn without_containers(terminal: &Terminal, forwarding: &str) {
    let kubectl = KUBE.provided().unwrap().join("bin/kubectl");
    let script = format!(
        "case \" $* \" in\n*\" port-forward \"*) echo \"$*\" >> forward.log; {forwarding} ;;\n\
         *\" logs \"*) echo \"$*\" >> logs.log ;;\n*) exec {} \"$@\" ;;\nesac",
        kubectl.display()
    );
    terminal.stand_in("kubectl", &script).unwrap();
}

/// As [`str::replace`], of what must be there.
#[track_caller]
fn swap(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not in:\n{text}");
    text.replace(from, to)
}

/// The real program, with the arguments and the rights of a Deployment of the operator: no container runs on a node
/// that is played. It begins when the Deployment is there.
fn operate(cluster: &Cluster, namespace: &str) -> Process {
    let deployment = wait::value("the operator's Deployment", SOON, || {
        cluster.admin().get(&["deployment", OPERATOR, "--namespace", namespace]).ok()
    });
    let pod = &deployment.unwrap()["spec"]["template"]["spec"];
    let account = cluster.account(namespace, pod["serviceAccountName"].as_str().unwrap()).unwrap();
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pricemonitor-operator"));
    command.args(arguments.iter().map(|argument| argument.as_str().unwrap()));
    command.args(["--listen=127.0.0.1:0".to_owned(), format!("--lease-namespace={namespace}")]);
    Process::start(command.env("KUBECONFIG", account.kubeconfig()).env_remove("RUST_LOG")).unwrap()
}

/// What a monitor must know of its database, as CloudNativePG writes it.
fn database(namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prices-app", "namespace": namespace},
        "stringData": {"host": "postgres", "port": "5432", "dbname": "prices", "user": "app", "password": "x"}})
}

/// The objects of a text of YAML, as the API server would have them; it refuses those that are none.
fn objects(admin: &Kubectl, yaml: &str) -> Vec<Value> {
    admin.dry_run(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// The object of this kind and name.
#[track_caller]
fn find<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let found = objects.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {objects:#?}"))
}
