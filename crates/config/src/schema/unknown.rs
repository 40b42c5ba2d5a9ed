//! Fields that a resource has and the types do not: a newer definition may know more.

use serde_json::Value;

use super::shape::{self, Shape};

/// Paths of the fields of a resource's `spec` that are not known here, such as `spec.rules[0].loud`; in the order of
/// the resource. They are passed over by whoever reads it.
pub fn unknown_fields(resource: &Value) -> Vec<String> {
    let mut out = Vec::new();
    if let Shape::Object(root) = shape::manifest()
        && let (Some(field), Some(spec)) = (root.field("spec"), resource.get("spec"))
    {
        walk("spec", spec, &field.shape, &mut out);
    }
    out
}

fn walk(path: &str, value: &Value, shape: &Shape, out: &mut Vec<String>) {
    match (shape, value) {
        (Shape::Object(object), Value::Object(fields)) => {
            for (name, inner) in fields {
                let path = format!("{path}.{name}");
                match object.field(name) {
                    Some(field) => walk(&path, inner, &field.shape, out),
                    None if object.open => {}
                    None => out.push(path),
                }
            }
        }
        (Shape::List(item), Value::Array(items)) => {
            for (n, inner) in items.iter().enumerate() {
                walk(&format!("{path}[{n}]"), inner, item, out);
            }
        }
        _ => {}
    }
}
