//! Secrets that are missing, appear and change.

use std::collections::BTreeMap;

use pricemonitor_testkit::wait;
use serde_json::json;

use crate::support::{
    SOON, Setting, admin, condition, database, get, give_secrets, monitor, settle, wait_for, webhook,
};

/// The pod templates' hashes of what they read.
fn templates(namespace: &str) -> BTreeMap<String, String> {
    let hash = |role: &str| {
        let deployment = get(namespace, "deployment", &format!("m-{role}"));
        let notes = &deployment["spec"]["template"]["metadata"]["annotations"];
        (role.to_owned(), notes.to_string())
    };
    ["producer", "processor", "storage", "alert"].map(hash).into()
}

#[test]
fn a_secret_that_is_missing_is_named_and_taken_up_once_it_is_there() {
    let setting = Setting::new("missing");
    let operator = setting.start();
    admin().apply_all(&[monitor("missing", "m", &json!({}))]).unwrap();
    wait_for("missing", "m", "Degraded", "MissingReference");
    let (_, _, message) = condition("missing", "m", "Degraded");
    assert!(message.contains("the Secret `prices-app` is missing (key `password`)"), "{message}");
    assert!(!message.contains("discord"), "a channel may be off: {message}");
    let mut part = database("missing", "x");
    part["stringData"].as_object_mut().unwrap().remove("password");
    admin().apply_all(&[part]).unwrap();
    wait::until("the key to be named", SOON, || {
        condition("missing", "m", "Degraded").2 == "the Secret `prices-app` has no key `password`"
    })
    .unwrap();
    admin().apply_all(&[database("missing", "x")]).unwrap();
    wait_for("missing", "m", "Degraded", "AsExpected");
    operator.end();
}

#[test]
fn a_secret_that_goes_away_for_a_while_rolls_nothing() {
    let setting = Setting::new("away");
    give_secrets("away");
    let operator = setting.start();
    admin().apply_all(&[monitor("away", "m", &json!({}))]).unwrap();
    let (there, first) = (settle("away", "m"), templates("away"));
    admin().run(&["delete", "secret", "prices-app", "--namespace=away"], None).unwrap();
    wait_for("away", "m", "Degraded", "MissingReference");
    assert_eq!((settle("away", "m"), templates("away")), (there.clone(), first.clone()));
    admin().apply_all(&[database("away", "first")]).unwrap();
    wait_for("away", "m", "Degraded", "AsExpected");
    assert_eq!((settle("away", "m"), templates("away")), (there, first));
    operator.end();
}

#[test]
fn a_changed_secret_rolls_the_workers_that_read_it_and_no_other() {
    let setting = Setting::new("changed");
    give_secrets("changed");
    let operator = setting.start();
    admin().apply_all(&[monitor("changed", "m", &json!({}))]).unwrap();
    settle("changed", "m");
    let first = templates("changed");
    admin().apply_all(&[webhook("changed", "https://discord.example/2")]).unwrap();
    wait::until("alert to roll", SOON, || templates("changed")["alert"] != first["alert"]).unwrap();
    let second = templates("changed");
    for role in ["producer", "processor", "storage"] {
        assert_eq!(first[role], second[role], "{role}");
    }
    admin().apply_all(&[database("changed", "second")]).unwrap();
    wait::until("storage to roll", SOON, || templates("changed")["storage"] != second["storage"]).unwrap();
    let third = templates("changed");
    assert_ne!(second["alert"], third["alert"]);
    for role in ["producer", "processor"] {
        assert_eq!(first[role], third[role], "{role}");
    }
    // No value of a Secret is anywhere that the operator writes.
    let output = operator.process.output().all();
    let written = admin()
        .run(&["get", "pm,deployments,configmaps,jobs,events", "-n", "changed", "-o", "yaml"], None)
        .unwrap();
    for secret in ["discord.example", "second"] {
        assert!(!output.contains(secret) && !written.contains(secret), "{secret}");
    }
    operator.end();
}

#[test]
fn a_changed_config_map_rolls_the_workers_that_read_it_too() {
    let setting = Setting::new("authority");
    give_secrets("authority");
    let authority = |text: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "postgres-ca", "namespace": "authority"},
               "data": {"ca.crt": text}})
    };
    admin().apply_all(&[authority("one")]).unwrap();
    let operator = setting.start();
    let trusted = json!({"storage": {"postgres": {"secretRef": {"name": "prices-app"},
        "tls": {"caCertificate": {"configMapKeyRef": {"name": "postgres-ca", "key": "ca.crt"}}}}}});
    admin().apply_all(&[monitor("authority", "m", &trusted)]).unwrap();
    settle("authority", "m");
    let first = templates("authority");
    admin().apply_all(&[authority("two")]).unwrap();
    wait::until("storage to roll", SOON, || templates("authority")["storage"] != first["storage"]).unwrap();
    wait::until("alert to roll", SOON, || templates("authority")["alert"] != first["alert"]).unwrap();
    assert_eq!(templates("authority")["producer"], first["producer"]);
    operator.end();
}
