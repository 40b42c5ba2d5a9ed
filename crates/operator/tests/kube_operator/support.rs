//! An API with everything that the operator wants, and the operator as a process.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use pricemonitor_operator::rbac::{self, Account};
use pricemonitor_testkit::kubernetes::{Cluster, Kubectl, Parts};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::{http, wait};
use serde_json::{Value, json};

/// Longest wait for anything that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// One for all tests of this program; it ends with the process.
pub(crate) static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let cluster = Cluster::start(Parts::Api).unwrap();
    cluster.add_definitions().unwrap();
    define(&cluster);
    cluster
});

/// The definition, served.
pub(crate) fn define(cluster: &Cluster) {
    let admin = cluster.admin();
    admin.apply(&text("../../manifests/crd.yaml")).unwrap();
    wait::until("the API to serve monitors", SOON, || admin.get(&["pricemonitors"]).is_ok()).unwrap();
}

pub(crate) fn admin() -> &'static Kubectl {
    CLUSTER.admin()
}

pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// An operator of one namespace, which no other looks after, under an account and a Lease of its own.
pub(crate) struct Operator {
    pub(crate) process: Process,
    /// Where its metrics are.
    pub(crate) port: u16,
}

/// How an operator is started.
pub(crate) struct Setting<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Its namespace, and the one that it looks after.
    pub(crate) namespace: &'a str,
    /// Its account.
    pub(crate) account: &'a str,
    /// What it looks after.
    pub(crate) watch: Vec<&'a str>,
    /// The workers' image.
    pub(crate) image: &'a str,
}

impl<'a> Setting<'a> {
    /// In a namespace that is made for it.
    pub(crate) fn new(namespace: &'a str) -> Setting<'a> {
        let setting = Setting {
            cluster: &CLUSTER,
            namespace,
            account: "operator",
            watch: vec![namespace],
            image: "pricemonitor:1",
        };
        setting.prepare();
        setting
    }

    /// Namespace, account and roles.
    pub(crate) fn prepare(&self) {
        let namespace = self.namespace.to_owned();
        let name = self.account.to_owned();
        let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let mut all = vec![space];
        let watch = self.watch.iter().map(|one| (*one).to_owned()).collect();
        all.extend(rbac::documents(&Account { namespace, name, watch }));
        self.cluster.admin().apply_all(&all).unwrap();
    }

    /// Starts one; it is ready when this returns.
    pub(crate) fn start(&self) -> Operator {
        let account = self.cluster.account(self.namespace, self.account).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pricemonitor-operator"));
        command
            .args(["run", "--listen=127.0.0.1:0", "--log-format=human"])
            .arg(format!("--watch-namespaces={}", self.watch.join(",")))
            .arg(format!("--lease-namespace={}", self.namespace))
            .arg(format!("--worker-image={}", self.image))
            .arg("--log=warn,pricemonitor_operator=debug")
            .env("KUBECONFIG", account.kubeconfig())
            .env_remove("RUST_LOG");
        let mut process = Process::start(&mut command).unwrap();
        process.wait_for("starts", SOON).unwrap();
        let output = process.output().stderr;
        let listen = output.split("listen=127.0.0.1:").nth(1).unwrap();
        let port = listen.split_whitespace().next().unwrap().parse().unwrap();
        let operator = Operator { process, port };
        wait::until("the operator to be ready", SOON, || operator.status("/readyz") == 200).unwrap();
        operator
    }
}

impl Operator {
    /// Status of its answer; 0 when there is none.
    pub(crate) fn status(&self, path: &str) -> u16 {
        http::get(self.port, path).map_or(0, |answer| answer.status)
    }

    /// A metric; 0 when there is none.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = http::get(self.port, "/metrics").map_or(String::new(), |answer| answer.body);
        http::metric(&text, name, labels).unwrap_or(0.0)
    }

    /// Whether it writes.
    pub(crate) fn leads(&self) -> bool {
        self.metric("pricemonitor_operator_leader", &[]) > 0.0
    }

    /// Waits until it writes.
    pub(crate) fn wait_to_lead(&self) {
        wait::until("it to lead", SOON, || self.leads()).unwrap();
    }

    /// Ends it as Kubernetes does. Nothing may have gone badly wrong.
    pub(crate) fn end(self) {
        let finished = self.process.terminate(Duration::from_secs(20)).unwrap();
        assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
        assert!(!finished.output.all().contains("panicked"), "{}", finished.output.all());
    }
}

/// A monitor of these fields, beside a source, a broker and a database.
pub(crate) fn monitor(namespace: &str, name: &str, more: &Value) -> Value {
    let mut spec = json!({
        "sources": [{"name": "shop", "simulator": {"seed": 1}}],
        "rules": [{"name": "ten", "drop": {"percent": 10}}],
        "channels": [{"name": "discord", "discord": {"webhookUrl": {"secretKeyRef": {"name": "discord", "key": "url"}}}}],
        "kafka": {"bootstrapServers": "kafka:9092"},
        "storage": {"postgres": {"secretRef": {"name": "prices-app"}}},
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
           "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// The Secrets that such a monitor reads.
pub(crate) fn give_secrets(namespace: &str) {
    admin()
        .apply_all(&[database(namespace, "first"), webhook(namespace, "https://discord.example/1")])
        .unwrap();
}

pub(crate) fn database(namespace: &str, password: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prices-app", "namespace": namespace},
           "stringData": {"host": "postgres", "dbname": "prices", "user": "app", "password": password}})
}

pub(crate) fn webhook(namespace: &str, url: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "discord", "namespace": namespace},
           "stringData": {"url": url}})
}

/// An object; null when it is not there.
pub(crate) fn get(namespace: &str, kind: &str, name: &str) -> Value {
    admin().get(&[kind, name, "--namespace", namespace, "--ignore-not-found"]).unwrap_or(Value::Null)
}

/// A condition of a monitor: status, reason and message.
pub(crate) fn condition(namespace: &str, name: &str, kind: &str) -> (String, String, String) {
    let monitor = get(namespace, "pm", name);
    let all = monitor["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let one = all.into_iter().find(|one| one["type"] == kind).unwrap_or_default();
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// Waits until a condition has that reason.
pub(crate) fn wait_for(namespace: &str, name: &str, kind: &str, reason: &str) {
    let is_so = || condition(namespace, name, kind).1 == reason;
    wait::until(&format!("{kind} of {name} to be {reason}"), SOON, is_so)
        .unwrap_or_else(|error| panic!("{error}: {:?}", get(namespace, "pm", name)["status"]));
}

/// Kinds that the operator makes of a monitor here.
pub(crate) const KINDS: &str = "deployments,jobs,configmaps,services,serviceaccounts,networkpolicies,persistentvolumeclaims,\
                         poddisruptionbudgets,horizontalpodautoscalers,podmonitors,scaledobjects,triggerauthentications";

/// The children of a monitor: kind and name, with their resource versions.
pub(crate) fn children(namespace: &str, name: &str) -> Vec<(String, String)> {
    let selector = format!("--selector=app.kubernetes.io/instance={name}");
    let all = admin().get(&[KINDS, "--namespace", namespace, &selector]).unwrap();
    let one = |object: &Value| {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (format!("{} {}", text(&object["kind"]), text(&metadata["name"])), text(&metadata["resourceVersion"]))
    };
    all["items"].as_array().unwrap().iter().map(one).collect()
}

/// Waits until the children stay as they are.
pub(crate) fn settle(namespace: &str, name: &str) -> Vec<(String, String)> {
    let mut before = Vec::new();
    for _ in 0..60 {
        std::thread::sleep(Duration::from_secs(1));
        let now = children(namespace, name);
        if now == before && !now.is_empty() {
            return now;
        }
        before = now;
    }
    panic!("no rest: {before:?}");
}
