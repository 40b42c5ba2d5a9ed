//! Documents that must agree with the project: every link leads somewhere, and every promise names
//! tests that exist. (What is generated from the code is compared by the tests of the crate that
//! generates it.)

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Checks all documents; tells whether they are in order.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn check() -> Result<bool> {
    let mut complaints = Vec::new();
    let documents = documents()?;
    for document in &documents {
        let text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
        complaints.extend(dead_links(document, &text));
        complaints.extend(missing_tests(document, &text));
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("{} documents looked at, {} complaints", documents.len(), complaints.len());
    Ok(complaints.is_empty())
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [".", "docs"] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Links to files of the project that are not there.
fn dead_links(document: &Path, text: &str) -> Vec<String> {
    let folder = document.parent().unwrap_or(Path::new("."));
    let mut dead = Vec::new();
    for rest in text.split("](").skip(1) {
        let target = rest.split([')', ' ']).next().unwrap_or_default();
        let file = target.split('#').next().unwrap_or_default();
        let outside = target.contains("://") || target.starts_with("mailto:");
        if !outside && !file.is_empty() && !folder.join(file).exists() {
            dead.push(format!("{}: the link to {target} leads nowhere", document.display()));
        }
    }
    dead
}

/// Tests named as `` `path/to/file.rs::name_of_the_test` `` that are not there. Without a name the
/// file alone must exist.
fn missing_tests(document: &Path, text: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for span in text.split('`').skip(1).step_by(2) {
        let (file, name) = match span.split_once(".rs::") {
            Some((file, name)) if !file.contains(char::is_whitespace) => (format!("{file}.rs"), name),
            _ => continue,
        };
        let code = fs::read_to_string(&file).unwrap_or_default();
        // A suite that several engines run takes the engine as a parameter.
        if !code.contains(&format!("fn {name}(")) && !code.contains(&format!("fn {name}<")) {
            missing.push(format!("{}: there is no test `{name}` in {file}", document.display()));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nowhere_is_told_and_others_are_not() {
        // Tests run in the package's folder.
        let text = "[a](Cargo.toml) [b](src/main.rs#x) [c](https://example.org/) [d](#here) [e](no/such.md)";
        let dead = dead_links(Path::new("README.md"), text);
        assert_eq!(dead, ["README.md: the link to no/such.md leads nowhere"]);
    }

    #[test]
    fn a_promise_with_an_invented_test_is_told() {
        let text =
            "`src/docs.rs::a_promise_with_an_invented_test_is_told` and `src/docs.rs::invented`, `a::b`";
        let missing = missing_tests(Path::new("p.md"), text);
        assert_eq!(missing, ["p.md: there is no test `invented` in src/docs.rs"]);
    }
}
