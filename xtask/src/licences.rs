//! Licences of everything that is linked in, against the list in `deny.toml`: the same list that
//! `cargo deny` reads on a CI machine, but checked without installing anything.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Packages whose licence is not allowed, one sentence each.
///
/// # Errors
/// When cargo does not tell or `deny.toml` has no list.
pub(crate) fn violations() -> Result<Vec<String>> {
    let allowed = allowed(&fs::read_to_string("deny.toml").context("deny.toml")?)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Only this platform's packages: those of others need not be downloaded to build.
    let output = command
        .args(["metadata", "--format-version", "1", "--filter-platform", env!("XTASK_TARGET")])
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or("none given");
        if !may_use(licence, &allowed) {
            found.push(format!("`{name}` has the licence {licence}, which deny.toml does not allow"));
        }
    }
    Ok(found)
}

/// The texts in the array `allow` of `deny.toml`.
fn allowed(deny: &str) -> Result<Vec<String>> {
    let (_, rest) = deny.split_once("\nallow = [").context("deny.toml has no `allow = [`")?;
    let (list, _) = rest.split_once(']').context("the list `allow` of deny.toml does not end")?;
    Ok(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Whether an SPDX expression can be met with the allowed licences alone.
fn may_use(expression: &str, allowed: &[String]) -> bool {
    // Older packages write `/` for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&tokens, &mut at, allowed);
    met && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(tokens, at, allowed);
    }
    met
}

fn all(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(tokens, at, allowed);
    }
    met
}

fn one(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(token) = tokens.get(*at) else { return false };
    *at += 1;
    if *token == "(" {
        let met = any(tokens, at, allowed);
        let closed = tokens.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    let mut name = (*token).to_owned();
    if tokens.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_as_spdx_says() {
        let allowed = allowed("[licenses]\nallow = [\"MIT\", \"Apache-2.0\"]\n").unwrap();
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "Apache-2.0 / MIT",
            "(MIT OR X) AND Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert!(may_use(good, &allowed), "{good}");
        }
        for bad in
            ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR X) AND Y", "none given", "", "(MIT", "Apache-2.0 WITH x"]
        {
            assert!(!may_use(bad, &allowed), "{bad}");
        }
    }
}
