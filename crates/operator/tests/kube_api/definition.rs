//! The CustomResourceDefinition itself.

use std::time::Duration;

use pricemonitor_testkit::wait;
use serde_json::Value;

use crate::{DEFINITION, admin, text};

#[test]
fn the_definition_is_established_structural_and_small_enough_for_every_way_to_apply_it() {
    let mut stored = admin().get(&[DEFINITION]).unwrap();
    let conditions = stored["status"]["conditions"].as_array().unwrap();
    let is = |kind: &str| {
        conditions.iter().find(|one| one["type"] == kind).map(|one| one["status"].as_str().unwrap())
    };
    assert_eq!(is("Established"), Some("True"));
    assert_eq!(is("NamesAccepted"), Some("True"));
    assert_eq!(is("NonStructuralSchema"), None, "{conditions:?}");
    // An annotation holds as much and no more: what `kubectl apply` without --server-side keeps there.
    stored["metadata"]["managedFields"].take();
    let size = stored.to_string().len();
    assert!(size < 256 * 1024, "{size} bytes");

    let file = text("../../manifests/crd.yaml");
    admin().run(&["apply", "--dry-run=server", "-f", "-"], Some(&file)).unwrap();
}

#[test]
fn applying_the_definition_again_changes_nothing() {
    let version = || admin().get(&[DEFINITION]).unwrap()["metadata"]["resourceVersion"].clone();
    let before = version();
    admin().apply(&text("../../manifests/crd.yaml")).unwrap();
    assert_eq!(version(), before);
}

#[test]
fn every_field_is_explained_in_what_the_api_publishes() {
    let mut published = Value::Null;
    wait::until("the API to publish the schema", Duration::from_secs(60), || {
        let path = ["get", "--raw", "/openapi/v3/apis/pricemonitor.dev/v1alpha1"];
        let document: Value = admin().run(&path, None).map_or(Value::Null, |text| text.parse().unwrap());
        published = document["components"]["schemas"]["dev.pricemonitor.v1alpha1.PriceMonitor"].clone();
        published.is_object()
    })
    .unwrap();
    let (mut fields, mut silent) = (0, Vec::new());
    for part in ["spec", "status"] {
        walk(&published["properties"][part], part, &mut |path, _, _, field| {
            fields += 1;
            if words(field).is_empty() {
                silent.push(path.to_owned());
            }
        });
    }
    assert!(silent.is_empty(), "without a description: {silent:?}");
    assert!(fields > 150, "{fields} fields");

    let (mut numbers, mut open) = (Vec::new(), Vec::new());
    walk(&published["properties"]["spec"], "spec", &mut |path, name, parent, field| {
        if is_amount(field) && !words(field).contains(|c: char| c.is_ascii_digit()) {
            numbers.push(path.to_owned());
        }
        if is_value(field) && !is_required(parent, name) && !tells_default(parent, name, field) {
            open.push(path.to_owned());
        }
    });
    assert!(numbers.is_empty(), "without the range and the unit: {numbers:?}");
    assert!(open.is_empty(), "without a word on what holds when it is left out: {open:?}");

    let explained = admin().run(&["explain", "pm.spec.rules.drop.percent"], None).unwrap();
    let rules = &published["properties"]["spec"]["properties"]["rules"]["items"]["properties"];
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat(&explained).contains(&flat(words(&rules["drop"]["properties"]["percent"]))), "{explained}");
}

/// What a schema says of itself.
fn words(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default().trim()
}

/// Whether a field is one value, not a mapping or a list.
fn is_value(field: &Value) -> bool {
    !matches!(field["type"].as_str(), Some("object" | "array"))
}

/// Whether a field is a number or a length of time.
fn is_amount(field: &Value) -> bool {
    let pattern = field["pattern"].as_str().unwrap_or_default();
    matches!(field["type"].as_str(), Some("integer" | "number")) || pattern.contains("ms|s|m|h|d|w")
}

fn is_required(parent: &Value, name: &str) -> bool {
    parent["required"].as_array().into_iter().flatten().any(|one| one == name)
}

/// Whether it is said what holds without the field: at the field, or at the mapping that wants one of several.
fn tells_default(parent: &Value, name: &str, field: &Value) -> bool {
    let name = format!("`{}`", name.to_lowercase());
    let of_several = |text: &str| {
        let text = text.to_lowercase();
        ["exactly one of", "at most one of"]
            .iter()
            .any(|phrase| text.find(phrase).is_some_and(|at| text[at..].contains(&name)))
    };
    of_several(words(parent))
        || of_several(words(field))
        || ["Default ", "None means"].iter().any(|one| words(field).contains(one))
}

/// Calls `look` for every named field below a schema: its path, its name, the schema around it, its own.
fn walk(schema: &Value, path: &str, look: &mut impl FnMut(&str, &str, &Value, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        look(&path, name, schema, field);
        walk(field, &path, look);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&schema[inner], &format!("{path}[]"), look);
        }
    }
}
