//! What `kubectl get pm` tells.

use pricemonitor_testkit::wait;
use serde_json::{Value, json};

use crate::support::{
    SOON, Setting, admin, children, condition, get, give_secrets, monitor, settle, wait_for,
};

fn set_status(namespace: &str, kind: &str, name: &str, status: &Value) {
    let text = json!({ "status": status }).to_string();
    let patch =
        ["patch", kind, name, "--namespace", namespace, "--subresource=status", "--type=merge", "-p", &text];
    admin().run(&patch, None).unwrap();
}

/// Plays the cluster: setup is done, and every pod is ready.
fn bring_up(namespace: &str, name: &str) {
    let now = "2026-01-01T00:00:00Z";
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "reason": "Test", "lastTransitionTime": now});
    for (child, _) in children(namespace, name) {
        let (kind, child) = child.split_once(' ').unwrap();
        match kind {
            "Job" => {
                let conditions = [condition("SuccessCriteriaMet"), condition("Complete")];
                let status = json!({"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions});
                set_status(namespace, "job", child, &status);
            }
            "Deployment" => {
                let deployment = get(namespace, "deployment", child);
                let count = &deployment["spec"]["replicas"];
                let status = json!({"observedGeneration": deployment["metadata"]["generation"], "replicas": count,
                    "updatedReplicas": count, "readyReplicas": count, "availableReplicas": count});
                set_status(namespace, "deployment", child, &status);
            }
            _ => {}
        }
    }
}

#[test]
fn a_glance_tells_whether_all_is_well_and_the_conditions_why_not() {
    let setting = Setting::new("glance");
    give_secrets("glance");
    let operator = setting.start();
    admin().apply_all(&[monitor("glance", "m", &json!({"workers": {"storage": {"replicas": 2}}}))]).unwrap();
    settle("glance", "m");
    wait_for("glance", "m", "Ready", "SetupRunning");
    bring_up("glance", "m");
    wait_for("glance", "m", "Ready", "AllWorkersReady");
    let glance = admin().run(&["get", "pm", "-n", "glance", "-o", "wide"], None).unwrap();
    let row: Vec<&str> = glance.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["m", "True", "shop", "AllWorkersReady", "5/5"], "{glance}");
    assert!(glance.contains("pricemonitor:1") && glance.contains("glance.m.raw_prices"), "{glance}");
    let now = get("glance", "deployment", "m-storage")["metadata"]["generation"].clone();
    let bad = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
        "message": "ReplicaSet \"x\" has timed out progressing.", "lastTransitionTime": "2026-01-01T00:00:00Z",
        "lastUpdateTime": "2026-01-01T00:00:00Z"});
    let status =
        json!({"observedGeneration": now, "readyReplicas": 1, "availableReplicas": 1, "conditions": [bad]});
    set_status("glance", "deployment", "m-storage", &status);
    wait_for("glance", "m", "Degraded", "WorkersFail");
    assert!(condition("glance", "m", "Ready").2.contains("storage: ReplicaSet"));
    let monitors = |status: &str| {
        let labels = ["condition=\"Degraded\"", status];
        operator.metric("pricemonitor_operator_monitors", &labels)
    };
    wait::until("the metric to follow", SOON, || monitors("status=\"True\"") > 0.0).unwrap();
    operator.end();
}

#[test]
fn a_spec_that_is_wrong_changes_no_worker_and_stops_no_other_monitor() {
    let setting = Setting::new("wrong");
    give_secrets("wrong");
    let operator = setting.start();
    admin().apply_all(&[monitor("wrong", "m", &json!({}))]).unwrap();
    let there = settle("wrong", "m");
    // The schema takes it, the validation does not: two kinds of wrongness at once.
    let rule =
        |name: &str, part: &str, value: Value| json!({"name": name, "drop": {"percent": 10}, part: value});
    let rules =
        [rule("ten", "notify", json!(["nobody"])), rule("other", "match", json!({"source": "nowhere"}))];
    let wrong = json!({"spec": {"rules": rules}});
    let patch = ["patch", "pm", "m", "-n", "wrong", "--type=merge", "-p", &wrong.to_string()];
    admin().run(&patch, None).unwrap();
    wait_for("wrong", "m", "Ready", "InvalidSpec");
    let (status, _, message) = condition("wrong", "m", "Ready");
    assert_eq!(status, "False");
    for path in ["spec.rules[0].notify", "spec.rules[1].match.source"] {
        assert!(message.contains(path), "{path}: {message}");
    }
    assert_eq!(settle("wrong", "m"), there);
    let status = get("wrong", "pm", "m")["status"].clone();
    assert_eq!(status["observedGeneration"], 2);
    admin().apply_all(&[monitor("wrong", "n", &json!({}))]).unwrap();
    settle("wrong", "n");
    let events = admin().get(&["events.events.k8s.io", "--namespace=wrong"]).unwrap();
    let told = |event: &Value| event["reason"] == "InvalidSpec" && event["type"] == "Warning";
    assert!(events["items"].as_array().unwrap().iter().any(told), "{events}");
    operator.end();
}

#[test]
fn fields_of_a_newer_definition_are_told_of_and_passed_over() {
    let setting = Setting::new("newer");
    give_secrets("newer");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let newer = json!([{"op": "add", "path": format!("{spec}/fromTheFuture"), "value": {"type": "string"}}]);
    let definition =
        ["patch", "crd", "pricemonitors.pricemonitor.dev", "--type=json", "-p", &newer.to_string()];
    admin().run(&definition, None).unwrap();
    let operator = setting.start();
    let wanted = monitor("newer", "m", &json!({"fromTheFuture": "x"}));
    wait::until("the definition to be served", SOON, || {
        admin().apply_all(std::slice::from_ref(&wanted)).is_ok()
            && get("newer", "pm", "m")["spec"]["fromTheFuture"] == "x"
    })
    .unwrap();
    wait_for("newer", "m", "UnknownFields", "NewerDefinition");
    assert!(condition("newer", "m", "UnknownFields").2.contains("spec.fromTheFuture"));
    settle("newer", "m");
    assert!(get("newer", "deployment", "m-producer").is_object());
    operator.end();
}
