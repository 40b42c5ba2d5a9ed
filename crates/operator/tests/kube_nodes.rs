//! The samples on a control plane with nodes that are played: the operator makes them run, and they go with their
//! monitor.
//!
//! Its programs must have been built: `cargo xtask provision etcd kube`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use pricemonitor_operator::rbac::{self, Account};
use pricemonitor_testkit::kubernetes::{Cluster, Kubectl, Parts};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::wait;
use serde_json::{Value, json};

/// One for all tests of this program, with the definition; it ends with the process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let mut cluster = Cluster::start(Parts::Api).unwrap();
    cluster.admin().apply(&text("../../manifests/crd.yaml")).unwrap();
    let served = || cluster.admin().get(&["pricemonitors"]).is_ok();
    wait::until("the API to serve monitors", Duration::from_secs(60), served).unwrap();
    cluster.extend_to(Parts::Nodes(2)).unwrap();
    cluster
});

fn admin() -> &'static Kubectl {
    CLUSTER.admin()
}

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// An operator that looks after one namespace, which takes none but restricted pods.
fn operator(namespace: &str) -> Process {
    let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": restricted}});
    let account = Account {
        namespace: namespace.to_owned(),
        name: "operator".to_owned(),
        watch: vec![namespace.to_owned()],
    };
    admin().apply_all(&[vec![space], rbac::documents(&account)].concat()).unwrap();
    let account = CLUSTER.account(namespace, "operator").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pricemonitor-operator"));
    command
        .args(["run", "--listen=127.0.0.1:0", "--log-format=human", "--worker-image=pricemonitor:test"])
        .args([format!("--watch-namespaces={namespace}"), format!("--lease-namespace={namespace}")])
        .args(["--bootstrap-servers=kafka:9092", "--log=warn,pricemonitor_operator=debug"]);
    Process::start(command.env("KUBECONFIG", account.kubeconfig()).env_remove("RUST_LOG")).unwrap()
}

/// Applies the file as a person would.
fn apply(sample: &str, namespace: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../manifests/samples/{sample}.yaml"));
    let file = file.display().to_string();
    admin().run(&["apply", "--namespace", namespace, "-f", &file], None).unwrap();
}

fn secret(namespace: &str) {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prices-app", "namespace": namespace},
        "stringData": {"host": "postgres", "dbname": "prices", "user": "app", "password": "x"}});
    admin().apply_all(&[object]).unwrap();
}

/// Names of what is there of these kinds and belongs to a monitor.
fn there(namespace: &str, kinds: &str) -> Vec<String> {
    let arguments = ["--namespace", namespace, "--selector=app.kubernetes.io/name=pricemonitor"];
    let all = admin().get(&[&[kinds], &arguments[..]].concat()).unwrap();
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
    all["items"].as_array().unwrap().iter().map(name).collect()
}

const OWNED: &str = "deployments,replicasets,pods,jobs,configmaps,services,serviceaccounts,networkpolicies,\
                     poddisruptionbudgets,horizontalpodautoscalers";

fn wait_for(namespace: &str, monitor: &str, condition: &str, operator: &Process) {
    let condition = format!("--for={condition}");
    let wait = ["wait", &condition, "pm", monitor, "--namespace", namespace, "--timeout=120s"];
    admin().run(&wait, None).unwrap_or_else(|error| panic!("{error}: {}", operator.output().all()));
}

fn goes(monitor: &str, namespace: &str) {
    admin().run(&["delete", "pm", monitor, "--namespace", namespace], None).unwrap();
    wait::until("what it owns to go", Duration::from_secs(120), || there(namespace, OWNED).is_empty())
        .unwrap_or_else(|error| panic!("{error}: {:?}", there(namespace, OWNED)));
}

#[test]
fn concert_tickets_become_ready_rest_go_on_and_leave_nothing_behind() {
    let operator = operator("tickets");
    secret("tickets");
    let began = Instant::now();
    apply("tickets", "tickets");
    wait_for("tickets", "concert-tickets", "condition=Ready", &operator);
    println!("ready after {:?}", began.elapsed());
    let pods = || there("tickets", "pods").len();
    // Producer, processor, two of storage, alert and the page; and the Job's.
    assert_eq!(pods(), 7, "{:?}", there("tickets", "pods"));
    let suspend = |suspend: bool| {
        let patch = json!({"spec": {"suspend": suspend}}).to_string();
        let patch = ["patch", "pm", "concert-tickets", "-n", "tickets", "--type=merge", "-p", &patch];
        admin().run(&patch, None).unwrap();
    };
    suspend(true);
    wait::until("the workers to rest", Duration::from_secs(120), || pods() == 2)
        .unwrap_or_else(|error| panic!("{error}: {:?}", there("tickets", "pods")));
    wait_for("tickets", "concert-tickets", "jsonpath={.status.ready}=1/1", &operator);
    suspend(false);
    wait_for("tickets", "concert-tickets", "condition=Ready", &operator);
    assert_eq!(pods(), 7);
    let began = Instant::now();
    goes("concert-tickets", "tickets");
    println!("everything is gone after {:?}", began.elapsed());
    operator.terminate(Duration::from_secs(20)).unwrap();
}

#[test]
fn the_prices_of_electricity_stay_in_their_volume_when_the_monitor_goes() {
    // What a provisioner would make; nothing ever looks into it.
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/nowhere"},
        "persistentVolumeReclaimPolicy": "Retain"}});
    admin().apply_all(&[volume]).unwrap();
    let operator = operator("power");
    apply("electricity", "power");
    wait_for("power", "electricity-price-monitor", "condition=Ready", &operator);
    let claims = ["PersistentVolumeClaim electricity-price-monitor-csv"];
    assert_eq!(there("power", "persistentvolumeclaims"), claims);
    goes("electricity-price-monitor", "power");
    assert_eq!(there("power", "persistentvolumeclaims"), claims);
    operator.terminate(Duration::from_secs(20)).unwrap();
}
