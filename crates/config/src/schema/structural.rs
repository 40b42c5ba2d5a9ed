//! The structural schema that a CustomResourceDefinition wants: no references, one type a value,
//! descriptions that say the default.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::raw_schema;

/// The structural schema of a type, such as [`crate::PriceMonitorSpec`], for `openAPIV3Schema` of the
/// CustomResourceDefinition.
///
/// Defaults stand in the descriptions and not as `default`: what a resource leaves open stays open
/// in the API server, and is filled in by whoever reads it.
pub fn structural_schema<T: JsonSchema>() -> Value {
    let mut schema = raw_schema::<T>();
    let definitions = schema.get_mut("$defs").map(Value::take).unwrap_or_default();
    let none = Map::new();
    structural(&schema, definitions.as_object().unwrap_or(&none))
}

fn structural(schema: &Value, definitions: &Map<String, Value>) -> Value {
    let Some(object) = schema.as_object() else { return json!({}) };
    let mut object = object.clone();
    if let Some(reference) = object.remove("$ref") {
        let name = reference.as_str().and_then(|path| path.strip_prefix("#/$defs/")).unwrap_or_default();
        // The field's words come before the type's.
        for (key, value) in definitions.get(name).and_then(Value::as_object).into_iter().flatten() {
            object.entry(key.clone()).or_insert_with(|| value.clone());
        }
        if object.contains_key("$ref") {
            return structural(&Value::Object(object), definitions);
        }
    }
    words(&mut object);
    describe(&mut object);
    let mut out = Map::new();
    for (key, value) in object {
        let value = match key.as_str() {
            "$schema" | "$defs" | "title" | "oneOf" | "default" => continue,
            "properties" => Value::Object(
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, inner)| (name.clone(), structural(inner, definitions)))
                    .collect(),
            ),
            "items" => structural(&value, definitions),
            "additionalProperties" => bounded(structural(&value, definitions)),
            // The bounds say what these would.
            "format" => match value.as_str() {
                Some("uint32" | "uint64") => json!("int64"),
                _ => value,
            },
            "minimum" | "maximum" => whole(value),
            // A number or a text: Kubernetes knows whole numbers or texts, so that fractions are quoted there.
            "type" if value.is_array() => {
                out.insert("x-kubernetes-int-or-string".to_owned(), json!(true));
                continue;
            }
            _ => value,
        };
        out.insert(key, value);
    }
    Value::Object(out)
}

/// Alternatives of words become one `enum`, their meanings part of the description.
fn words(object: &mut Map<String, Value>) {
    let Some(choices) = object.get("oneOf").and_then(Value::as_array).cloned() else { return };
    let mut known: Vec<Value> = Vec::new();
    let mut told = String::new();
    for choice in &choices {
        if let Some(word) = choice.get("const") {
            let meaning = choice["description"].as_str().unwrap_or_default().trim_end_matches('.');
            told.push_str(&format!(" `{}`: {meaning}.", word.as_str().unwrap_or_default()));
            known.push(word.clone());
        }
        known.extend(choice["enum"].as_array().into_iter().flatten().cloned());
    }
    let before = object.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    object.insert("description".to_owned(), json!(format!("{before}{told}")));
    object.insert("type".to_owned(), json!("string"));
    object.insert("enum".to_owned(), Value::Array(known));
}

/// One line, with the default where the types know one and the words do not say it.
fn describe(object: &mut Map<String, Value>) {
    let Some(text) = object.get("description").and_then(Value::as_str) else { return };
    let mut text = text.replace('\n', " ");
    let told = match object.get("default") {
        Some(Value::String(default)) if !default.is_empty() => Some(default.clone()),
        Some(default @ (Value::Bool(_) | Value::Number(_))) => Some(default.to_string()),
        _ => None,
    };
    if let Some(default) = told.filter(|_| !text.contains("Default ")) {
        text.push_str(&format!(" Default `{default}`."));
    }
    object.insert("description".to_owned(), json!(text));
}

/// Texts of a mapping are bounded as well: the API server estimates the cost of rules from it.
fn bounded(mut schema: Value) -> Value {
    if schema["type"] == "string"
        && let Some(object) = schema.as_object_mut()
    {
        object.entry("maxLength").or_insert(json!(1024));
    }
    schema
}

/// `1.0` is `1`.
fn whole(value: Value) -> Value {
    if value.is_f64() && value.as_f64().is_some_and(|number| number == 0.0) {
        return json!(0);
    }
    value
}
