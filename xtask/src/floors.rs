//! The floors of the house: who may stand on whom (ARCHITECTURE.md). Nothing imports upward, and
//! rooms of one floor do not import each other.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Every package and all it may depend on. A package that is not here has no place yet.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("detection", &["model"]),
    ("eventlog", &["model"]),
    ("store", &["model"]),
    ("sources", &["model", "config"]),
    ("notify", &["model", "config"]),
    ("workers", &["model", "config", "detection", "eventlog", "store", "sources", "notify"]),
    ("dashboard", &["model", "config", "detection", "eventlog", "store", "sources", "notify"]),
    (
        "cli",
        &["model", "config", "detection", "eventlog", "store", "sources", "notify", "workers", "dashboard"],
    ),
    ("operator", &["model", "config"]),
    ("testkit", &["model"]),
    ("xtask", &[]),
];

/// The violations, one sentence each; none is well.
///
/// # Errors
/// When cargo does not tell.
pub(crate) fn violations() -> Result<Vec<String>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = command
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(judge(&serde_json::from_slice(&output.stdout)?))
}

/// A package's name as the floors know it: its folder's name.
fn room(package: &str) -> &str {
    match package {
        "pricemonitor" => "cli",
        other => other.strip_prefix("pricemonitor-").unwrap_or(other),
    }
}

fn judge(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = room(package["name"].as_str().unwrap_or_default());
        let Some((_, allowed)) = ALLOWED.iter().find(|(room, _)| *room == name) else {
            found.push(format!("`{name}` has no place: add it to ARCHITECTURE.md and xtask/src/floors.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Packages of this workspace have a path.
            if dependency["path"].is_null() {
                continue;
            }
            let on = room(dependency["name"].as_str().unwrap_or_default());
            let for_tests = dependency["kind"] == "dev";
            if !(allowed.contains(&on) || for_tests && on == "testkit") {
                let how = if for_tests { "its tests depend" } else { "it depends" };
                found.push(format!(
                    "`{name}` must not stand on `{on}`: {how} on it (allowed: {})",
                    if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") }
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(package: &str, on: &str, kind: &str) -> Vec<String> {
        let kind = if kind.is_empty() { Value::Null } else { kind.into() };
        judge(&serde_json::json!({"packages": [{"name": package, "dependencies": [
            {"name": on, "path": "/p", "kind": kind}, {"name": "serde", "kind": null}]}]}))
    }

    #[test]
    fn downward_is_allowed_upward_and_sideways_are_not() {
        assert_eq!(house("pricemonitor-workers", "pricemonitor-store", ""), [""; 0]);
        assert_eq!(house("pricemonitor", "pricemonitor-workers", ""), [""; 0]);
        assert_eq!(house("pricemonitor-model", "pricemonitor-config", "").len(), 1);
        assert_eq!(house("pricemonitor-store", "pricemonitor-eventlog", "").len(), 1);
        assert_eq!(house("pricemonitor-workers", "pricemonitor-dashboard", "dev").len(), 1);
    }

    #[test]
    fn the_testkit_is_for_tests_alone_and_a_new_room_must_be_placed() {
        assert_eq!(house("pricemonitor", "pricemonitor-testkit", "dev"), [""; 0]);
        assert_eq!(house("pricemonitor", "pricemonitor-testkit", "").len(), 1);
        assert!(house("pricemonitor-attic", "pricemonitor-model", "")[0].contains("no place"));
    }
}
