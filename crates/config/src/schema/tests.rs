use std::path::Path;

use serde_json::Value;

use super::shape::{self, Shape};
use super::*;

/// The file equals what the code generates; with `UPDATE=1` it is written.
fn same(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{file} is not what the code generates: run `UPDATE=1 cargo test -p pricemonitor-config`"
    );
}

#[test]
fn the_schema_in_docs_is_current() {
    same("docs/schema/price-monitor.json", &json_schema_text());
}

#[test]
fn the_reference_in_docs_is_current() {
    same("docs/manifest.md", &manifest_reference());
}

/// Every object of the schema with its path, depth first.
fn objects<'a>(path: String, shape: &'a Shape, out: &mut Vec<(String, &'a shape::Object)>) {
    match shape {
        Shape::Object(object) => {
            for field in &object.fields {
                objects(format!("{path}.{}", field.name), &field.shape, out);
            }
            out.push((path, object));
        }
        Shape::List(item) => objects(format!("{path}[]"), item, out),
        _ => {}
    }
}

#[test]
fn every_field_says_what_it_is_for() {
    let mut all = Vec::new();
    objects(String::new(), shape::manifest(), &mut all);
    assert!(all.len() > 20);
    for (path, object) in all {
        assert!(!object.doc.is_empty(), "{path}");
        for field in &object.fields {
            assert!(!field.doc.is_empty(), "{path}.{}", field.name);
        }
    }
}

#[test]
fn the_kinds_are_fields_and_a_cel_rule_counts_them() {
    let schema = json_schema();
    let mut all = Vec::new();
    objects(String::new(), shape::manifest(), &mut all);
    let with_kinds: Vec<_> =
        all.into_iter().filter_map(|(_, object)| Some((object, object.kinds?.1))).collect();
    assert_eq!(with_kinds.len(), 3);
    for (object, kinds) in with_kinds {
        let rule = &schema["$defs"][&object.name]["x-kubernetes-validations"][0]["rule"];
        let rule = rule.as_str().unwrap();
        for kind in kinds {
            assert!(object.field(kind).is_some_and(|field| !field.required), "{kind}");
            assert!(rule.contains(&format!("has(self.{kind})")), "{kind}");
        }
        assert_eq!(rule.matches("has(").count(), kinds.len());
    }
}

#[test]
fn lists_of_named_things_are_maps_to_kubernetes() {
    let spec = &json_schema()["$defs"]["PriceMonitorSpec"]["properties"];
    for (list, most) in [("sources", 64), ("rules", 128), ("channels", 32)] {
        assert_eq!(spec[list]["x-kubernetes-list-type"], "map");
        assert_eq!(spec[list]["x-kubernetes-list-map-keys"][0], "name");
        assert_eq!(spec[list]["maxItems"], most);
    }
}

#[test]
fn texts_are_bounded_and_nothing_may_be_null() {
    fn walk(path: &str, schema: &Value) {
        if schema["type"] == "string" && schema.get("enum").is_none() && schema.get("const").is_none() {
            let map = path.ends_with("additionalProperties");
            assert!(map || schema["maxLength"].is_u64(), "{path} has no maxLength: {schema}");
        }
        match schema {
            Value::Object(object) => {
                object.iter().for_each(|(name, inner)| walk(&format!("{path}.{name}"), inner))
            }
            Value::Array(items) => items.iter().for_each(|inner| walk(path, inner)),
            Value::Null => panic!("{path} is null"),
            Value::String(text) => assert!(text != "null", "{path}"),
            _ => {}
        }
    }
    walk("", &json_schema());
}

#[test]
fn an_editor_refuses_unknown_fields_but_lets_kubernetes_have_its_own() {
    let schema = json_schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["RuleSpec"]["additionalProperties"], false);
    assert!(schema["$defs"]["Metadata"].get("additionalProperties").is_none());
    assert!(schema["properties"]["status"].is_object());
    assert!(json_schema_text().len() < 256 * 1024);
}

#[test]
fn the_structural_schema_is_what_kubernetes_accepts() {
    fn walk(path: &str, schema: &Value) {
        let object = schema.as_object().unwrap();
        for word in ["$ref", "$defs", "oneOf", "anyOf", "const", "default", "title"] {
            assert!(!object.contains_key(word), "{path} has {word}");
        }
        let both = schema["x-kubernetes-int-or-string"] == true;
        assert!(schema["type"].is_string() != both, "{path}: {schema}");
        assert!(!schema["description"].as_str().unwrap_or_default().contains('\n'), "{path}");
        // `properties` and `additionalProperties` exclude each other.
        assert!(schema["properties"].is_null() || schema["additionalProperties"].is_null(), "{path}");
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            assert!(!inner["description"].as_str().unwrap_or_default().is_empty(), "{path}.{name}");
            walk(&format!("{path}.{name}"), inner);
        }
        if schema["type"] == "array" {
            assert!(schema["maxItems"].is_u64(), "{path} has no maxItems");
            walk(&format!("{path}[]"), &schema["items"]);
        }
        if schema["additionalProperties"].is_object() {
            walk(&format!("{path}.*"), &schema["additionalProperties"]);
        }
    }
    let schema = structural_schema::<crate::PriceMonitorSpec>();
    walk("spec", &schema);
    let properties = &schema["properties"];
    let kafka = &properties["kafka"]["properties"];
    assert_eq!(kafka["key"]["enum"], serde_json::json!(["item", "slotStart"]));
    assert!(kafka["key"]["description"].as_str().unwrap().ends_with("Default `item`."));
    assert_eq!(kafka["partitions"]["format"], "int64");
    let drop = &properties["rules"]["items"]["properties"]["drop"];
    assert_eq!(drop["properties"]["percent"]["x-kubernetes-int-or-string"], true);
    assert!(drop["x-kubernetes-validations"][0]["rule"].as_str().unwrap().contains("percent"));
}

#[test]
fn what_a_newer_resource_has_more_is_named() {
    let resource = serde_json::json!({"spec": {
        "sources": [{"name": "s", "simulator": {"events": 1, "loud": {"x": 1}}}], "later": true,
        "workers": {"pod": {"labels": {"any": "thing"}, "hostNetwork": true}}}});
    let found = ["spec.later", "spec.sources[0].simulator.loud", "spec.workers.pod.hostNetwork"];
    assert_eq!(unknown_fields(&resource), found);
}
