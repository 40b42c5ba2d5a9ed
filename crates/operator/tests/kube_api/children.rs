//! What `children` builds, applied for real: nothing is refused, nothing is warned of, and applying it
//! again writes nothing. A field that the server fills in or writes in another way would be written at
//! every reconcile, for ever.

use std::collections::BTreeMap;

use pricemonitor_config::PriceMonitor;
use pricemonitor_config::spec::{ObjectRef, PostgresSpec, ResourcesSpec, ServiceKind};
use pricemonitor_operator::inputs::Apis;
use pricemonitor_operator::{Defaults, Inputs, Role, children};
use pricemonitor_testkit::kubernetes::list;
use serde_json::{Value, json};

use crate::{admin, files, monitor, namespace};

/// A monitor in a namespace of its own, and what its children are built from.
struct Variant {
    namespace: String,
    monitor: PriceMonitor,
    inputs: Inputs,
}

/// Every sample and golden manifest, and the one with everything in the ways that a manifest cannot say.
fn variants() -> Vec<Variant> {
    let mut variants = Vec::new();
    let mut add = |name: &str, mut monitor: PriceMonitor, inputs: Inputs| {
        let namespace = name.to_owned();
        monitor.metadata.namespace = Some(namespace.clone());
        // The server counts by itself.
        monitor.metadata.generation = None;
        variants.push(Variant { namespace, monitor, inputs });
    };
    for path in files("../../manifests/samples") {
        let monitor = monitor(&path);
        add(&format!("sample-{}", monitor.metadata.name), monitor, inputs());
    }
    for name in ["laptop", "suspended", "everything"] {
        add(name, monitor(&format!("tests/golden/{name}.yaml")), inputs());
    }
    let everything = monitor("tests/golden/everything.yaml");
    add("deleting", everything.clone(), Inputs { deleting: true, ..inputs() });
    add("without-keda", everything.clone(), Inputs { apis: Apis::default(), ..inputs() });
    let resting = [(Role::Processor, 0), (Role::Alert, 0)].into();
    add("woken", everything.clone(), Inputs { replicas: resting, ..inputs() });
    for (name, kind) in [("node-port", ServiceKind::NodePort), ("cluster-ip", ServiceKind::ClusterIP)] {
        let mut monitor = everything.clone();
        let dashboard = monitor.spec.workers.as_mut().unwrap().dashboard.as_mut().unwrap();
        dashboard.service.as_mut().unwrap().kind = kind;
        add(name, monitor, inputs());
    }
    let mut volume = everything;
    // Quantities that the server writes in another way.
    let odd = [("cpu", "1000m"), ("memory", "0.5Gi")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let producer = volume.spec.workers.as_mut().unwrap().producer.as_mut().unwrap();
    producer.resources = Some(ResourcesSpec { requests: odd.clone().into(), limits: odd.into() });
    let csv = volume.spec.storage.as_mut().unwrap().csv.as_mut().unwrap().volume.as_mut().unwrap();
    (csv.claim_name, csv.storage_class_name) = (None, Some("fast".to_owned()));
    csv.size = Some("1.5Gi".to_owned());
    add("own-claim", volume, inputs());
    variants
}

fn inputs() -> Inputs {
    Inputs {
        defaults: Defaults {
            bootstrap_servers: Some("kafka:9092".to_owned()),
            postgres: Some(PostgresSpec { secret_ref: ObjectRef { name: "db".to_owned() }, tls: None }),
            ..Defaults::default()
        },
        worker_image: "pricemonitor:test".to_owned(),
        references: [(Role::Alert, "aaaa".to_owned())].into(),
        apis: Apis { keda: true, pod_monitor: true },
        ..Inputs::default()
    }
}

/// The children, with the monitor as their owner.
fn built(variant: &Variant, uid: &str) -> Vec<Value> {
    let inputs = Inputs { uid: Some(uid.to_owned()), ..variant.inputs.clone() };
    let children = children(&variant.monitor, &inputs).unwrap_or_else(|problems| panic!("{problems:?}"));
    children.list.into_iter().map(|child| child.object).collect()
}

/// Applies as the operator does; what the server warned of is a failure.
fn apply(objects: &[Value]) {
    let manager = "--field-manager=pricemonitor-operator";
    let arguments = ["apply", "--server-side", "--force-conflicts", "--validate=strict", manager, "-f", "-"];
    let answer = admin().try_run(&arguments, Some(&list(objects))).unwrap();
    assert!(answer.status.success() && answer.output.stderr.is_empty(), "{}", answer.output.all());
}

/// What is kept of these objects, by kind and name.
fn kept(namespace: &str, objects: &[Value]) -> BTreeMap<String, Value> {
    let group = |object: &Value| {
        let version = object["apiVersion"].as_str().unwrap();
        version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"))
    };
    let name = |object: &Value| {
        format!("{}{} {}", object["kind"].as_str().unwrap(), group(object), object["metadata"]["name"])
    };
    let mut kinds: Vec<String> = objects
        .iter()
        .map(|object| format!("{}{}", object["kind"].as_str().unwrap(), group(object)))
        .collect();
    kinds.sort();
    kinds.dedup();
    let wanted: Vec<String> = objects.iter().map(name).collect();
    let all = admin().get(&[&kinds.join(","), "--namespace", namespace, "--show-managed-fields"]).unwrap();
    let all = all["items"].as_array().unwrap().iter().map(|object| (name(object), object.clone()));
    let kept: BTreeMap<String, Value> = all.filter(|(name, _)| wanted.contains(name)).collect();
    assert_eq!(kept.len(), objects.len(), "{:?}\n{wanted:?}", kept.keys());
    kept
}

/// The monitor and the children of a variant, applied.
fn applied(variant: &Variant) -> Vec<Value> {
    let monitor = serde_json::to_value(&variant.monitor).unwrap();
    admin().apply_all(&[namespace(&variant.namespace), monitor]).unwrap();
    let name = variant.monitor.metadata.name.as_str();
    let monitor = admin().get(&["pm", name, "--namespace", &variant.namespace]).unwrap();
    let objects = built(variant, monitor["metadata"]["uid"].as_str().unwrap());
    apply(&objects);
    objects
}

/// Fails when one of these objects was written between two looks.
fn unwritten(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>, but: &[&str]) {
    for (name, before) in before.iter().filter(|(name, _)| !but.contains(&kind(name))) {
        let (before, after) = (&before["metadata"], &after[name]["metadata"]);
        let counts = |meta: &Value| [meta["resourceVersion"].clone(), meta["generation"].clone()];
        assert_eq!(counts(before), counts(after), "{name} was written\nbefore: {before}\nafter: {after}");
    }
}

/// Of a name that [`kept`] gives.
fn kind(name: &str) -> &str {
    name.split(' ').next().unwrap()
}

#[test]
fn every_child_is_accepted_without_a_warning_and_applying_it_again_writes_nothing() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for variant in variants() {
        let objects = applied(&variant);
        let first = kept(&variant.namespace, &objects);
        apply(&objects);
        let second = kept(&variant.namespace, &objects);
        // The server keeps a new claim without `status.phase`, and adds it whenever the claim is written next.
        unwritten(&first, &second, &["PersistentVolumeClaim"]);
        apply(&objects);
        unwritten(&second, &kept(&variant.namespace, &objects), &[]);
        for name in first.keys() {
            *kinds.entry(kind(name).to_owned()).or_default() += 1;
        }
    }
    println!("accepted, and not written again: {kinds:?}");
    for kind in [
        "ConfigMap",
        "Deployment.apps",
        "HorizontalPodAutoscaler.autoscaling",
        "Job.batch",
        "NetworkPolicy.networking.k8s.io",
        "PersistentVolumeClaim",
        "PodDisruptionBudget.policy",
        "PodMonitor.monitoring.coreos.com",
        "ScaledObject.keda.sh",
        "Service",
        "ServiceAccount",
        "TriggerAuthentication.keda.sh",
    ] {
        assert!(kinds.contains_key(kind), "no {kind} in {kinds:?}");
    }
}

#[test]
fn applying_what_differs_writes_that_alone() {
    let mut variant = variants().into_iter().find(|variant| variant.namespace == "laptop").unwrap();
    variant.namespace = "differs".to_owned();
    variant.monitor.metadata.namespace = Some(variant.namespace.clone());
    let objects = applied(&variant);
    let before = kept(&variant.namespace, &objects);
    let mut changed = objects.clone();
    let producer = changed
        .iter_mut()
        .find(|one| one["metadata"]["name"] == "small-producer" && one["kind"] == "Deployment");
    producer.unwrap()["spec"]["replicas"] = json!(3);
    apply(&changed);
    let after = kept(&variant.namespace, &objects);
    let written: Vec<&String> = before
        .iter()
        .filter(|(name, before)| {
            before["metadata"]["resourceVersion"] != after[*name]["metadata"]["resourceVersion"]
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(written, ["Deployment.apps \"small-producer\""]);
}

#[test]
fn a_pod_that_is_not_restricted_would_be_warned_of() {
    let pod =
        json!({"spec": {"containers": [{"name": "x", "image": "x"}]}, "metadata": {"labels": {"a": "b"}}});
    let loose = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "loose", "namespace": "loose"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod}});
    admin().apply_all(&[namespace("loose")]).unwrap();
    let answer = admin().try_run(&["apply", "--server-side", "-f", "-"], Some(&loose.to_string())).unwrap();
    assert!(answer.output.stderr.contains("would violate PodSecurity"), "{}", answer.output.all());
}
