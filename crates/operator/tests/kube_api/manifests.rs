//! Files that people apply.

use serde_json::{Value, json};

use crate::{admin, files, here, monitor, namespace};

#[test]
fn every_sample_and_every_file_for_a_laptop_is_accepted_as_it_is() {
    let (samples, laptop) = (files("../../manifests/samples"), files("../../examples"));
    assert!(samples.len() >= 2 && laptop.len() >= 2, "{samples:?} {laptop:?}");
    for path in samples.iter().chain(&laptop) {
        let path = here(path);
        let path = path.to_str().unwrap();
        admin().run(&["apply", "--dry-run=server", "-f", path], None).unwrap();
        let server = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", path];
        admin().run(&server, None).unwrap();
    }
}

#[test]
fn a_manifest_with_every_option_is_kept_without_loss() {
    admin().apply_all(&[namespace("shop")]).unwrap();
    let mut sent = serde_json::to_value(monitor("tests/golden/everything.yaml")).unwrap();
    // The server counts by itself.
    sent["metadata"].as_object_mut().unwrap().remove("generation");
    admin().apply_all(&[sent.clone()]).unwrap();
    let kept = admin().get(&["pm", "all", "--namespace=shop"]).unwrap();
    assert_eq!(kept["spec"], sent["spec"]);
    assert_eq!(kept["metadata"]["generation"], 1);
}

#[test]
fn a_field_that_the_definition_does_not_know_is_refused_by_its_path() {
    let object = json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
        "metadata": {"name": "typo", "namespace": "default"},
        "spec": {"sources": [{"name": "s", "simulator": {}}], "storage": {"retentoin": "9d"}}});
    let refused = admin().apply_all(&[object]).unwrap_err().to_string();
    // kubectl says it in words of its own where it finds it before the server does.
    assert!(refused.contains("spec.storage") && refused.contains("retentoin"), "{refused}");
}

#[test]
fn the_table_of_kubectl_shows_what_the_status_says() {
    let object = json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
        "metadata": {"name": "shown", "namespace": "default"},
        "spec": {"sources": [{"name": "s", "simulator": {}}]}});
    admin().apply_all(&[object]).unwrap();
    let status = json!({"status": {
        "conditions": [{"type": "Ready", "status": "False", "reason": "InvalidSpec", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}],
        "sources": "s", "ready": "3/4", "image": "i:1", "topics": "t",
    }});
    let patch = status.to_string();
    let patch = ["patch", "pm", "shown", "--subresource=status", "--type=merge", "--patch", &patch];
    admin().run(&patch, None).unwrap();
    let table = admin().run(&["get", "pm", "shown", "--output=wide"], None).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "READY", "SOURCES", "REASON", "WORKERS", "IMAGE", "TOPICS", "AGE"]);
    assert_eq!(rows[1][..7], ["shown", "False", "s", "InvalidSpec", "3/4", "i:1", "t"]);
    // The status is no part of the spec: it does not count as a change.
    let kept: Value = admin().get(&["pm", "shown"]).unwrap();
    assert_eq!(kept["metadata"]["generation"], 1);
}

#[test]
fn kubectl_scale_sets_the_processors_of_a_monitor_that_no_autoscaler_has() {
    let apply = |name: &str, processor: Value| {
        let object = json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"sources": [{"name": "s", "simulator": {}}], "workers": {"processor": processor}}});
        admin().apply_all(&[object]).unwrap();
    };
    apply("scaled", json!({"replicas": 2}));
    admin().run(&["scale", "pm", "scaled", "--replicas=3"], None).unwrap();
    let kept = admin().get(&["pm", "scaled"]).unwrap();
    assert_eq!(kept["spec"]["workers"]["processor"], json!({"replicas": 3}));

    apply("autoscaled", json!({"autoscaling": {"maxReplicas": 3}}));
    let refused = admin().try_run(&["scale", "pm", "autoscaled", "--replicas=3"], None).unwrap();
    assert!(!refused.status.success(), "{}", refused.output.all());
    assert!(refused.output.stderr.contains("at most one of `replicas` and `autoscaling`"));
}
