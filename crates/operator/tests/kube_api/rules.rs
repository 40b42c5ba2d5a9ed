//! Every rule (CEL) of the definition takes one object and refuses another, in its own words.

use std::collections::BTreeSet;

use pricemonitor_operator::crd;
use pricemonitor_testkit::kubernetes::list;
use serde_json::{Map, Value, json};

use crate::admin;

/// One rule: where it stands, what it says, a spec that it takes and one that it refuses.
struct Case {
    path: String,
    message: &'static str,
    good: Value,
    bad: Value,
}

fn case(path: impl Into<String>, message: &'static str, good: Value, bad: Value) -> Case {
    Case { path: path.into(), message, good, bad }
}

fn sources(source: Value) -> Value {
    let mut named = json!({"name": "s"});
    named.as_object_mut().unwrap().append(&mut source.as_object().unwrap().clone());
    json!({"sources": [named]})
}

fn channels(channel: Value) -> Value {
    let mut named = json!({"name": "c"});
    named.as_object_mut().unwrap().append(&mut channel.as_object().unwrap().clone());
    json!({"channels": [named]})
}

fn rules(condition: &str, value: Value) -> Value {
    json!({"rules": [{"name": "r", condition: value}]})
}

fn workers(role: &str, worker: Value) -> Value {
    json!({"workers": {role: worker}})
}

fn cases() -> Vec<Case> {
    let mut cases = kinds();
    cases.extend(kafka_and_storage());
    for condition in ["drop", "rise", "change"] {
        cases.push(case(
            format!("spec.rules[0].{condition}"),
            "at most one of `percent` and `absolute`",
            rules(condition, json!({"percent": 5})),
            rules(condition, json!({"percent": 5, "absolute": 5})),
        ));
    }
    for role in ["producer", "processor", "storage", "alert"] {
        let path = format!("spec.workers.{role}");
        let scaling = |scaling: Value| workers(role, json!({"autoscaling": scaling}));
        cases.push(case(
            &path,
            "at most one of `replicas` and `autoscaling`",
            workers(role, json!({"replicas": 2})),
            workers(role, json!({"replicas": 2, "autoscaling": {"maxReplicas": 2}})),
        ));
        cases.push(case(
            format!("{path}.autoscaling"),
            "`minReplicas` must not be above `maxReplicas`",
            scaling(json!({"minReplicas": 2, "maxReplicas": 2})),
            scaling(json!({"minReplicas": 3, "maxReplicas": 2})),
        ));
        cases.push(case(
            format!("{path}.autoscaling"),
            "at most one of `targetCpuUtilization` and `targetLag`",
            scaling(json!({"maxReplicas": 2, "targetCpuUtilization": 50})),
            scaling(json!({"maxReplicas": 2, "targetCpuUtilization": 50, "targetLag": 50})),
        ));
    }
    cases
}

/// Exactly one kind of source, condition, channel and value.
fn kinds() -> Vec<Case> {
    let url = json!({"url": "https://x.example/p"});
    let both = json!({"url": "https://x.example/p", "urlFrom": {"secretKeyRef": {"name": "n", "key": "k"}}});
    let file = |more: Value| {
        let mut file = json!({"path": "p", "format": "porssisahko"});
        file.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        sources(json!({"file": file}))
    };
    let mapping = json!({"jq": ".", "currency": "EUR"});
    let (map, claim) = (json!({"name": "m"}), json!({"claimName": "c"}));
    vec![
        case(
            "spec.sources[0]",
            "exactly one of `simulator`, `file` and `http`",
            sources(json!({"simulator": {}})),
            sources(
                json!({"simulator": {}, "http": {"url": "https://x.example/p", "format": "porssisahko"}}),
            ),
        ),
        case(
            "spec.sources[0].file",
            "exactly one of `format` and `mapping`",
            file(json!({})),
            file(json!({"mapping": mapping})),
        ),
        case(
            "spec.sources[0].file.volume",
            "exactly one of `configMap` and `persistentVolumeClaim`",
            file(json!({"volume": {"configMap": map}})),
            file(json!({"volume": {"configMap": map, "persistentVolumeClaim": claim}})),
        ),
        case(
            "spec.sources[0].http",
            "exactly one of `format` and `mapping`",
            sources(json!({"http": {"url": "https://x.example/p", "mapping": mapping}})),
            sources(json!({"http": {"url": "https://x.example/p"}})),
        ),
        case(
            "spec.sources[0].simulator.listingsPerEvent",
            "`min` must not be above `max`",
            sources(json!({"simulator": {"listingsPerEvent": {"min": 2, "max": 2}}})),
            sources(json!({"simulator": {"listingsPerEvent": {"min": 3, "max": 2}}})),
        ),
        case(
            "spec.rules[0]",
            "exactly one of `drop`, `rise`, `change`, `below` and `above`",
            rules("below", json!({"value": 1})),
            json!({"rules": [{"name": "r"}]}),
        ),
        case(
            "spec.channels[0]",
            "exactly one of `discord` and `webhook`",
            channels(json!({"discord": {}})),
            channels(json!({"discord": {}, "webhook": url})),
        ),
        case(
            "spec.channels[0].webhook",
            "exactly one of `url` and `urlFrom`",
            channels(json!({"webhook": url})),
            channels(json!({"webhook": both})),
        ),
    ]
}

fn kafka_and_storage() -> Vec<Case> {
    let key = json!({"name": "n", "key": "k"});
    let one = json!({"caCertificate": {"configMapKeyRef": key}});
    let two = json!({"caCertificate": {"configMapKeyRef": key, "secretKeyRef": key}});
    let kafka = |kafka: Value| json!({"kafka": kafka});
    let postgres = |tls: &Value| json!({"storage": {"postgres": {"secretRef": {"name": "n"}, "tls": tls}}});
    let volume = |volume: Value| json!({"storage": {"csv": {"path": "p.csv", "volume": volume}}});
    let most = |role: &str, most: u32| json!({"kafka": {"partitions": 4}, "workers": {role: {"autoscaling": {"maxReplicas": most}}}});
    let authority = "exactly one of `secretKeyRef` and `configMapKeyRef`";
    vec![
        case(
            "spec.kafka",
            "`key: slotStart` needs `partitions: 1`",
            kafka(json!({"key": "slotStart", "partitions": 1})),
            kafka(json!({"key": "slotStart", "partitions": 2})),
        ),
        case(
            "spec.kafka.tls.caCertificate",
            authority,
            kafka(json!({"tls": one})),
            kafka(json!({"tls": two})),
        ),
        case("spec.storage.postgres.tls.caCertificate", authority, postgres(&one), postgres(&two)),
        case(
            "spec.storage.csv.volume",
            "`size` and `storageClassName` are for a claim that is made, not for the one that `claimName` names",
            volume(json!({"claimName": "c"})),
            volume(json!({"claimName": "c", "size": "1Gi"})),
        ),
        case(
            "spec",
            "`workers.processor.autoscaling.maxReplicas` must not be above `kafka.partitions`: more would stand by",
            most("processor", 4),
            most("processor", 5),
        ),
        case(
            "spec",
            "`workers.storage.autoscaling.maxReplicas` must not be above `kafka.partitions`: more would stand by",
            most("storage", 4),
            most("storage", 5),
        ),
    ]
}

/// A whole object; what the case does not name has its usual value.
fn object(name: &str, part: &Value) -> Value {
    let mut spec = json!({"sources": [{"name": "s", "simulator": {}}]});
    spec.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
    json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

#[test]
fn every_rule_takes_what_is_right_and_refuses_what_is_wrong_by_its_path() {
    let cases = cases();
    let dry = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];
    let good: Vec<Value> =
        cases.iter().enumerate().map(|(n, case)| object(&format!("good-{n}"), &case.good)).collect();
    admin().run(&dry, Some(&list(&good))).unwrap();

    let bad: Vec<Value> =
        cases.iter().enumerate().map(|(n, case)| object(&format!("bad-{n}"), &case.bad)).collect();
    let answer = admin().try_run(&dry, Some(&list(&bad))).unwrap();
    assert!(answer.output.stdout.is_empty(), "taken: {}", answer.output.stdout);
    for (n, case) in cases.iter().enumerate() {
        let told = told(&answer.output.stderr, &format!("\"bad-{n}\" is invalid:"));
        assert!(told.contains(&format!("{}: Invalid value: ", case.path)), "{}: {told}", case.path);
        assert!(told.contains(case.message), "{}: {told}", case.message);
    }
}

#[test]
fn values_out_of_their_bounds_are_refused_by_their_path() {
    let simulator = |name: &str| json!({"name": name, "simulator": {}});
    let many: Vec<Value> = (0..65).map(|n| simulator(&format!("s{n}"))).collect();
    let below = |name: &str| json!({"name": name, "below": {"value": 1}});
    let cases = [
        ("spec.sources", json!({"sources": []})),
        ("spec.sources", json!({"sources": many})),
        ("spec.sources[1]", json!({"sources": [simulator("s"), simulator("s")]})),
        ("spec.sources[0].name", json!({"sources": [simulator("No_Label")]})),
        ("spec.sources[0].interval", sources(json!({"simulator": {}, "interval": "5x"}))),
        ("spec.rules[1]", json!({"rules": [below("r"), below("r")]})),
        ("spec.rules[0].confirm", json!({"rules": [{"name": "r", "below": {"value": 1}, "confirm": 0}]})),
        (
            "spec.rules[0].severity",
            json!({"rules": [{"name": "r", "below": {"value": 1}, "severity": "loud"}]}),
        ),
        (
            "spec.channels[1]",
            json!({"channels": [{"name": "c", "discord": {}}, {"name": "c", "discord": {}}]}),
        ),
        ("spec.kafka.partitions", json!({"kafka": {"partitions": 0}})),
        ("spec.workers.storage.replicas", workers("storage", json!({"replicas": 1001}))),
    ];
    let objects: Vec<Value> =
        cases.iter().enumerate().map(|(n, (_, spec))| object(&format!("out-{n}"), spec)).collect();
    // Not as the server's own merge: by that, two entries of one name are an error of the request's form.
    let answer = admin().try_run(&["create", "--dry-run=server", "-f", "-"], Some(&list(&objects))).unwrap();
    assert!(answer.output.stdout.is_empty(), "taken: {}", answer.output.stdout);
    for (n, (path, _)) in cases.iter().enumerate() {
        let told = told(&answer.output.stderr, &format!("\"out-{n}\" is invalid:"));
        assert!(told.contains(&format!("{path}: ")), "{path}: {told}");
    }
}

/// The part of kubectl's complaints that begins so.
fn told<'a>(all: &'a str, begin: &str) -> &'a str {
    let (_, rest) = all.split_once(begin).unwrap_or_else(|| panic!("no {begin} in {all}"));
    rest.split(" is invalid:").next().unwrap()
}

const IMMUTABLE: &str = "`kafka.partitions` cannot be changed: series would move to other partitions";

#[test]
fn the_number_of_partitions_can_be_set_once_and_never_changed_or_dropped() {
    let with = |kafka: Value| object("partitions", &json!({"kafka": kafka}));
    for accepted in
        [json!({}), json!({"partitions": 3}), json!({"partitions": 3, "groups": {"storage": "g"}})]
    {
        admin().apply_all(&[with(accepted)]).unwrap();
    }
    let without = object("partitions", &json!({}));
    for refused in [with(json!({"partitions": 4})), with(json!({"groups": {"storage": "g"}})), without] {
        let error = admin().apply_all(&[refused]).unwrap_err().to_string();
        assert!(error.contains("spec: Invalid value: ") && error.contains(IMMUTABLE), "{error}");
    }
}

#[test]
fn no_rule_of_the_definition_is_left_out_here() {
    let definition = crd::document().unwrap();
    let mut there = BTreeSet::new();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    collect(schema.as_object().unwrap(), "", &mut there);
    let mut proved: BTreeSet<(String, String)> =
        cases().iter().map(|case| (case.path.replace("[0]", "[]"), case.message.to_owned())).collect();
    proved.insert(("spec".to_owned(), IMMUTABLE.to_owned()));
    assert_eq!(there, proved);
}

/// Where every rule stands, and what it says.
fn collect(schema: &Map<String, Value>, path: &str, rules: &mut BTreeSet<(String, String)>) {
    for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
        rules.insert((path.to_owned(), rule["message"].as_str().unwrap().to_owned()));
    }
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect(field.as_object().unwrap(), &path, rules);
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(field) = schema.get(inner).and_then(Value::as_object) {
            collect(field, &format!("{path}{mark}"), rules);
        }
    }
}
