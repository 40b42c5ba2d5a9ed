//! manifests/kustomize: bases that are what the plain manifests are, and an overlay that does what it says.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::{CLUSTER, OPERATOR, SOON, find, objects, root, terminal, text};

/// Compares a generated file, or writes it with `UPDATE=1`.
fn is_current(path: &str, wanted: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "{path} is old: run `UPDATE=1 cargo test --workspace --test kube_manifests`");
}

fn generated(from: &str) -> String {
    format!("# Generated from {from} by `UPDATE=1 cargo test --workspace --test kube_manifests`.\n")
}

/// kustomize takes no file from outside of its own folder, hence copies.
#[test]
fn the_bases_are_what_the_plain_manifests_are() {
    let install = text("manifests/install.yaml");
    let is_definition = |part: &&str| part.contains("\nkind: CustomResourceDefinition\n");
    let parts = || install.split("\n---\n").skip(1);
    let join = |parts: Vec<&str>| -> String {
        parts.into_iter().fold(generated("manifests/install.yaml"), |all, part| {
            format!("{all}---\n{}\n", part.trim_end_matches('\n'))
        })
    };
    is_current(
        "manifests/kustomize/definition/definition.yaml",
        &join(parts().filter(is_definition).collect()),
    );
    is_current(
        "manifests/kustomize/operator/operator.yaml",
        &join(parts().filter(|part| !is_definition(part)).collect()),
    );
    let sample = generated("manifests/samples/tickets.yaml") + &text("manifests/samples/tickets.yaml");
    is_current("manifests/kustomize/samples/tickets/monitor.yaml", &sample);
}

fn built(folder: &str) -> Vec<Value> {
    let rendered = terminal().run(&format!("kubectl kustomize {folder}"), SOON).unwrap();
    objects(CLUSTER.admin(), &rendered)
}

fn namespace(name: &str) {
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    CLUSTER.admin().apply_all(&[space]).unwrap();
}

#[test]
fn every_base_is_taken_by_the_api_server() {
    namespace("pricemonitor-system");
    assert_eq!(built("manifests/kustomize/definition").len(), 1);
    let operator = built("manifests/kustomize/operator");
    assert_eq!(find(&operator, "Deployment", OPERATOR)["metadata"]["namespace"], "pricemonitor-system");
    let sample = built("manifests/kustomize/samples/tickets");
    assert_eq!(find(&sample, "PriceMonitor", "concert-tickets")["spec"]["kafka"]["partitions"], 6);
}

#[test]
fn the_overlay_changes_image_namespace_replicas_and_defaults_as_it_says() {
    let name = "pricemonitor-production";
    namespace(name);
    let all = built("manifests/kustomize/overlays/production");
    assert!(all.iter().any(|object| object["kind"] == "CustomResourceDefinition"));
    // No object and no subject is left in the base's namespace.
    let everything = json!(all).to_string();
    assert!(!everything.contains("pricemonitor-system"), "{everything}");
    assert_eq!(find(&all, "Namespace", name)["metadata"]["name"], name);
    for binding in ["ClusterRoleBinding", "RoleBinding"] {
        let binding = all.iter().find(|object| object["kind"] == binding).unwrap();
        assert_eq!(binding["subjects"][0]["namespace"], name);
    }
    let spec = &find(&all, "Deployment", OPERATOR)["spec"];
    assert_eq!(spec["replicas"], 3);
    let container = &spec["template"]["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap();
    assert!(image.starts_with("registry.example.com/pricemonitor:"), "{image}");
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();
    assert!(arguments.contains(&format!("--worker-image={image}").as_str()), "{arguments:?}");
    assert!(arguments.contains(&"--lease-name=pricemonitor-operator"), "{arguments:?}");
    // The program knows each of them.
    let known =
        Command::new(env!("CARGO_BIN_EXE_pricemonitor-operator")).args(&arguments).arg("--help").output();
    let known = known.unwrap();
    assert!(known.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&known.stderr));
}
