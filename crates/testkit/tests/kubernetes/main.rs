//! A real Kubernetes control plane starts, does what it is there for, and leaves nothing behind.
//!
//! Its programs must have been built: `cargo xtask provision etcd kube`.

#![allow(clippy::unwrap_used, clippy::panic)] // the helpers of tests

use std::time::{Duration, Instant};

use pricemonitor_testkit::kubernetes::{Cluster, Parts, Request};
use pricemonitor_testkit::server::is_running;
use pricemonitor_testkit::wait;
use serde_json::json;

const DEFINITION: &str = r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
"metadata": {"name": "shops.test.pricemonitor.dev"}, "spec": {"group": "test.pricemonitor.dev", "scope": "Namespaced",
"names": {"plural": "shops", "singular": "shop", "kind": "Shop"}, "versions": [{"name": "v1", "served": true,
"storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object",
"properties": {"workers": {"type": "integer"}, "partitions": {"type": "integer"}}, "x-kubernetes-validations":
[{"rule": "self.workers <= self.partitions", "message": "more workers than partitions"}]}}}}}]}}"#;

/// An account that may read ConfigMaps, and nothing else.
const READER: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
"#;

fn shop(workers: u32) -> String {
    format!(
        r#"{{"apiVersion": "test.pricemonitor.dev/v1", "kind": "Shop", "metadata": {{"name": "s",
        "namespace": "default"}}, "spec": {{"workers": {workers}, "partitions": 3}}}}"#
    )
}

#[test]
fn an_api_checks_objects_by_their_definition_survives_a_kill_and_is_gone_afterwards() {
    let began = Instant::now();
    let mut cluster = Cluster::start(Parts::Api).unwrap();
    println!("the API is ready after {:?}", began.elapsed());
    let admin = cluster.admin();
    assert!(admin.run(&["version"], None).unwrap().contains("Server Version: v1.37.2"));

    admin.apply(DEFINITION).unwrap();
    let established = ["wait", "--for=condition=Established", "crd/shops.test.pricemonitor.dev"];
    admin.run(&established, None).unwrap();

    let apply = |manager: &str, workers| {
        let manager = format!("--field-manager={manager}");
        admin.try_run(&["apply", "--server-side", &manager, "-f", "-"], Some(&shop(workers))).unwrap()
    };
    // The definition's endpoint follows its condition after a moment.
    wait::until("the API to serve shops", Duration::from_secs(60), || apply("one", 2).status.success())
        .unwrap();
    let refused = apply("one", 4);
    assert!(!refused.status.success());
    assert!(refused.output.stderr.contains("more workers than partitions"), "{}", refused.output.all());
    let conflict = apply("two", 3);
    assert!(!conflict.status.success());
    assert!(conflict.output.stderr.contains("conflict with \"one\""), "{}", conflict.output.all());
    assert_eq!(admin.get(&["shop", "s"]).unwrap()["spec"]["workers"], 2);

    cluster.kill_api().unwrap();
    assert!(cluster.admin().get(&["shop", "s"]).is_err());
    cluster.start_api().unwrap();
    assert_eq!(cluster.admin().get(&["shop", "s"]).unwrap()["spec"]["workers"], 2);

    let (ids, folder) = (cluster.ids(), cluster.folder().to_owned());
    assert_eq!(ids.len(), 2);
    drop(cluster);
    assert!(ids.iter().all(|id| !is_running(*id)));
    assert!(!folder.exists());
}

#[test]
fn on_nodes_pods_run_jobs_complete_accounts_are_bounded_and_orphans_go() {
    let began = Instant::now();
    let cluster = Cluster::start(Parts::Nodes(2)).unwrap();
    println!("controllers, scheduler and nodes are at work after {:?}", began.elapsed());
    let admin = cluster.admin();

    let template = |restart: &str| {
        json!({"metadata": {"labels": {"app": "x"}}, "spec": {"restartPolicy": restart,
            "containers": [{"name": "x", "image": "x.invalid/x"}]}})
    };
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    admin.apply_all(&[owner]).unwrap();
    let uid = admin.get(&["configmap", "owner"]).unwrap()["metadata"]["uid"].clone();
    let began = Instant::now();
    admin
        .apply_all(&[
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "x", "ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]},
                "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": template("Always")}}),
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"},
                "spec": {"template": template("Never")}}),
        ])
        .unwrap();
    admin.run(&["wait", "--for=condition=Available", "deployment/x", "--timeout=60s"], None).unwrap();
    admin.run(&["wait", "--for=condition=Complete", "job/x", "--timeout=60s"], None).unwrap();
    println!("a Deployment is available and a Job complete after {:?}", began.elapsed());
    let pods = admin.get(&["pods", "--selector=app=x"]).unwrap();
    assert!(pods["items"].as_array().unwrap().iter().all(|pod| pod["spec"]["nodeName"].is_string()));

    admin.apply(READER).unwrap();
    let reader = cluster.account("default", "reader").unwrap();
    assert_eq!(reader.get(&["configmap", "owner"]).unwrap()["metadata"]["uid"], uid);
    let refused = reader.try_run(&["delete", "configmap", "owner"], None).unwrap();
    assert!(!refused.status.success());
    let told = "User \"system:serviceaccount:default:reader\" cannot delete resource \"configmaps\"";
    assert!(refused.output.stderr.contains(told), "{}", refused.output.all());

    // The API server wrote down what the account asked for, and what was refused.
    let asked = || cluster.requests_of("default", "reader").unwrap();
    let is = |verb: &str, status: u16| {
        let wanted = |one: &Request| {
            (&*one.verb, &*one.resource, &*one.name, one.status) == (verb, "configmaps", "owner", status)
        };
        asked().iter().any(wanted)
    };
    wait::until("the book to hold both", Duration::from_secs(20), || is("get", 200) && is("delete", 403))
        .unwrap_or_else(|error| panic!("{error}: {:?}", asked()));
    assert!(cluster.requests_of("default", "default").unwrap().is_empty());

    // Removed in the background, as `kubectl delete` does: what it owns goes after it.
    admin.run(&["delete", "configmap", "owner"], None).unwrap();
    admin.run(&["wait", "--for=delete", "deployment/x", "--timeout=60s"], None).unwrap();
    admin.run(&["wait", "--for=delete", "pod", "--selector=app=x,!job-name", "--timeout=60s"], None).unwrap();
    assert!(admin.get(&["job", "x"]).is_ok());

    let ids = cluster.ids();
    assert_eq!(ids.len(), 5);
    drop(cluster);
    assert!(ids.iter().all(|id| !is_running(*id)));
}
