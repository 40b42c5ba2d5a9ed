//! The manifest's schema, for editors and for the field reference; both are generated from the
//! types in [`crate::spec`].

mod reference;
pub(crate) mod shape;
mod structural;
mod unknown;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::spec::PriceMonitor;

pub use reference::manifest_reference;
pub use structural::structural_schema;
pub use unknown::unknown_fields;

/// The JSON Schema (2020-12) of a manifest, for editors: unknown fields are refused, as by
/// [`crate::read`]. The rules that Kubernetes judges stand in `x-kubernetes-validations`.
pub fn json_schema() -> Value {
    let mut schema = raw_schema::<PriceMonitor>();
    close(&mut schema);
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        for (name, definition) in definitions {
            // Kubernetes keeps more there than a monitor needs.
            if name != "Metadata" {
                close(definition);
            }
        }
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("status".to_owned(), json!({"description": "Written by the operator; ignored."}));
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!("PriceMonitor"));
    }
    schema
}

/// [`json_schema`] as the text of `docs/schema/price-monitor.json`.
pub fn json_schema_text() -> String {
    format!("{:#}\n", json_schema())
}

fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
    {
        object.insert("additionalProperties".to_owned(), json!(false));
    }
}

/// What schemars makes of the types, without `null`: a field that is absent is left out.
pub(crate) fn raw_schema<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = Value::from(generator.into_root_schema_for::<T>());
    without_null(&mut schema);
    schema
}

fn without_null(schema: &mut Value) {
    let Value::Object(object) = schema else {
        if let Value::Array(items) = schema {
            items.iter_mut().for_each(without_null);
        }
        return;
    };
    object.values_mut().for_each(without_null);
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if types.len() == 1 {
            let only = types.remove(0);
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({"type": "null"}));
        if choices.len() == 1
            && let Value::Object(only) = choices.remove(0)
        {
            object.remove("anyOf");
            for (name, value) in only {
                object.entry(name).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
