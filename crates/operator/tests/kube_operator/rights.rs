//! The operator's roles: none is missing, and none is for nothing.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use pricemonitor_operator::rbac::{self, Account};
use pricemonitor_testkit::kubernetes::{Cluster, Parts};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::wait;
use serde_json::{Value, json};

use crate::support::{SOON, define, monitor};

type Right = (String, String, String);

fn rights(documents: &[Value]) -> BTreeSet<Right> {
    let mut out = BTreeSet::new();
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for rule in documents.iter().flat_map(|one| one["rules"].as_array().into_iter().flatten()) {
        for (group, resource) in texts(&rule["apiGroups"]).iter().zip(texts(&rule["resources"])) {
            out.extend(texts(&rule["verbs"]).into_iter().map(|verb| (verb, group.clone(), resource.clone())));
        }
    }
    out
}

/// All that the operator ever does, in a cluster of its own without the definition at first.
#[test]
fn the_operator_may_do_what_it_does_and_nothing_else() {
    let cluster = Cluster::start(Parts::Api).unwrap();
    let account = Account { namespace: "system".to_owned(), name: "operator".to_owned(), watch: Vec::new() };
    let documents = rbac::documents(&account);
    let admin = cluster.admin();
    let space = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    admin.apply_all(&[space("system"), space("shop")]).unwrap();
    admin.apply_all(&documents).unwrap();
    let config = cluster.account("system", "operator").unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pricemonitor-operator"));
        command.args(["run", "--listen=127.0.0.1:0", "--log-format=human", "--lease-namespace=system"]);
        command.arg("--log=warn,pricemonitor_operator=debug");
        Process::start(command.env("KUBECONFIG", config.kubeconfig()).env_remove("RUST_LOG")).unwrap()
    };
    let mut operator = start();
    operator.wait_for("the definition of PriceMonitor is missing", SOON).unwrap();
    cluster.add_definitions().unwrap();
    define(&cluster);

    let there = |kind: &str, name: &str| {
        admin.get(&[kind, name, "--namespace=shop", "--ignore-not-found"]).is_ok_and(|one| one.is_object())
    };
    let until = |what: &str, is_so: &dyn Fn() -> bool, operator: &Process| {
        wait::until(what, SOON, is_so).unwrap_or_else(|error| {
            let status =
                admin.get(&["pm", "--namespace=shop"]).unwrap_or_default()["items"][0]["status"].clone();
            let all =
                admin.run(&["get", crate::support::KINDS, "--namespace=shop"], None).unwrap_or_default();
            panic!("{error}: {all}\n{status:#}\n{}", operator.output().all())
        });
    };
    // Everything that a monitor can have ...
    let much = json!({
        "workers": {"dashboard": {"enabled": true}, "producer": {"replicas": 2},
                    "alert": {"autoscaling": {"maxReplicas": 2}},
                    "processor": {"autoscaling": {"maxReplicas": 1, "targetLag": 100}}},
        "kafka": {"bootstrapServers": "kafka:9092", "deletionPolicy": "Delete",
                  "authentication": {"type": "scram-sha-512", "secretRef": {"name": "kafka"}},
                  "tls": {"caCertificate": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}},
        "storage": {"postgres": {"secretRef": {"name": "prices-app"}}, "csv": {"path": "out/prices.csv", "volume": {}}},
    });
    let mut wanted = monitor("shop", "m", &much);
    wanted["spec"]["kafka"]["partitions"] = json!(2);
    admin.apply_all(&[wanted]).unwrap();
    for (kind, name) in [
        ("deployment", "m-dashboard"),
        ("pdb", "m-producer"),
        ("hpa", "m-alert"),
        ("scaledobject", "m-processor"),
        ("podmonitor", "m-workers"),
    ] {
        until(&format!("{kind} {name}"), &|| there(kind, name), &operator);
    }
    // ... is compared by an operator that starts anew ...
    operator.terminate(Duration::from_secs(20)).unwrap();
    let operator = start();
    admin.run(&["delete", "deployment", "m-alert", "--namespace=shop"], None).unwrap();
    until("it to be at work", &|| there("deployment", "m-alert"), &operator);
    // ... and goes when it is not wanted.
    let little = json!({"workers": null, "channels": [], 
                        "storage": {"postgres": null}});
    let patch = json!({ "spec": little }).to_string();
    admin.run(&["patch", "pm", "m", "-n", "shop", "--type=merge", "-p", &patch], None).unwrap();
    until(
        "what is not wanted to go",
        &|| {
            !there("scaledobject", "m-processor")
                && !there("hpa", "m-alert")
                && !there("pdb", "m-producer")
                && !there("service", "m-dashboard")
        },
        &operator,
    );
    admin.run(&["delete", "pm", "m", "--namespace=shop", "--wait=false"], None).unwrap();
    let goes = || {
        let one = admin.get(&["deployment", "m-producer", "--namespace=shop"]);
        one.is_ok_and(|one| one["metadata"]["deletionTimestamp"].is_string())
    };
    until("the workers to go", &goes, &operator);

    operator.terminate(Duration::from_secs(20)).unwrap();
    let asked = cluster.requests_of("system", "operator").unwrap();
    let refused: Vec<_> = asked.iter().filter(|one| one.status == 403).collect();
    assert!(refused.is_empty(), "a rule is missing: {refused:#?}");
    // An apply is a `patch`, and a `create` as well where nothing is there.
    let mut used: BTreeSet<Right> =
        asked.iter().map(|one| (one.verb.clone(), one.group.clone(), one.resource.clone())).collect();
    let applied = asked.iter().filter(|one| one.verb == "patch" && one.status == 201);
    used.extend(applied.map(|one| ("create".to_owned(), one.group.clone(), one.resource.clone())));
    let mut unused = rights(&documents);
    unused.retain(|right| !used.contains(right));
    // The API asks for it itself, when an owner blocks deletions.
    unused.retain(|(_, _, resource)| resource != "pricemonitors/finalizers");
    assert!(unused.is_empty(), "a rule is for nothing: {unused:#?}");
}
