//! What can be said of the charts without Helm: they agree with the code and with themselves. `UPDATE=1` writes what is
//! generated anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[path = "support/values.rs"]
mod values;

fn chart(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts").join(name)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn charts_have_the_version_of_the_programs() {
    for name in ["pricemonitor-operator", "pricemonitor-operator-crds"] {
        let about = text(&chart(name).join("Chart.yaml"));
        for field in ["version", "appVersion"] {
            let line = format!("\n{field}: {}\n", env!("CARGO_PKG_VERSION"));
            assert!(about.contains(&line), "{name}: {field}");
        }
    }
}

#[test]
fn every_value_is_explained_and_the_readme_says_so() {
    let chart = chart("pricemonitor-operator");
    let all = values::read(&text(&chart.join("values.yaml")));
    assert!(all.len() > 40, "{all:?}");
    for value in &all {
        assert!(value.why.ends_with(['.', ':']), "{}: {:?}", value.path, value.why);
    }
    let readme = values::readme(&all);
    let path = chart.join("README.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &readme).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == readme,
        "{} is not what values.yaml says: run `UPDATE=1 cargo test -p pricemonitor-operator`",
        path.display()
    );
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let chart = chart("pricemonitor-operator");
    let schema: Value = serde_json::from_str(&text(&chart.join("values.schema.json"))).unwrap();
    let mut known = Vec::new();
    leaves(&schema, "", &mut known);
    // What Helm hands down from a chart above.
    known.retain(|path| path != "global");
    let there: Vec<String> =
        values::read(&text(&chart.join("values.yaml"))).into_iter().map(|value| value.path).collect();
    let is_part =
        |path: &str, of: &str| path == of || path.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'));
    let strange: Vec<_> =
        known.iter().filter(|path| !there.iter().any(|value| is_part(path, value))).collect();
    assert!(strange.is_empty(), "only in the schema: {strange:?}");
    let missing: Vec<_> =
        there.iter().filter(|value| !known.iter().any(|path| is_part(path, value))).collect();
    assert!(missing.is_empty(), "only in values.yaml: {missing:?}");
}

/// Paths of fields that hold no fields with names of ours.
fn leaves(schema: &Value, path: &str, found: &mut Vec<String>) {
    let closed = schema["additionalProperties"] == Value::Bool(false);
    match schema["properties"].as_object().filter(|_| closed) {
        Some(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(field, &path, found);
            }
        }
        None => found.push(path.to_owned()),
    }
}
