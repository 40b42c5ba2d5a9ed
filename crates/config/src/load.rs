//! Text to monitors that are ready to run.

use std::collections::HashMap;
use std::path::Path;

use crate::nearest::shown;
use crate::problem::{Problem, Problems};
use crate::read::{self, Document};
use crate::settings::Monitor;

/// Reads and judges one or several YAML documents: [`read::read`], then
/// [`settings`](crate::PriceMonitor::settings) of each, with lines.
///
/// # Errors
/// Everything that is wrong with form and meaning, at once; also two monitors that share an id or a
/// CSV file.
pub fn load(text: &str, origin: &str) -> Result<Vec<Monitor>, Problems> {
    let (mut monitors, mut problems) = (Vec::new(), Vec::new());
    let (mut names, mut files) = (Seen::default(), Seen::default());
    for document in read::documents(text, origin)? {
        let told = told(&document);
        if let Some(manifest) = &document.monitor
            && document.problems.iter().all(|problem| !around("metadata", &problem.path))
        {
            let name = &manifest.metadata.name;
            let id = format!("{}.{name}", manifest.metadata.namespace.as_deref().unwrap_or("default"));
            let line = document.lines.of("metadata.name");
            if let Some(first) = names.earlier(&id, line) {
                let message =
                    format!("the monitor `{}` is there already{first}: names must differ", shown(&id));
                problems.push(Problem { path: "metadata.name".to_owned(), line, message });
            }
        }
        if let Ok(Some(monitor)) = &told
            && let Some(csv) = &monitor.csv
        {
            let line = document.lines.of("spec.storage.csv.path");
            if let Some(first) = files.earlier(&csv.path.to_string_lossy(), line) {
                let message = format!("another monitor writes this file already{first}: give each its own");
                problems.push(Problem { path: "spec.storage.csv.path".to_owned(), line, message });
            }
        }
        problems.extend(document.problems);
        match told {
            Ok(monitor) => monitors.extend(monitor),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(monitors) } else { Err(Problems::new(origin, problems)) }
}

/// What cannot run side by side in one process, in sentences: two monitors with one id, or with one
/// CSV file. `monitors` come with the name of the file that each is from; monitors of one text have
/// been compared by [`load`] already.
pub fn clashes<'a>(monitors: impl IntoIterator<Item = (&'a str, &'a Monitor)>) -> Vec<String> {
    let (mut ids, mut files, mut out) = (HashMap::new(), HashMap::<&Path, &str>::new(), Vec::new());
    for (origin, monitor) in monitors {
        if let Some(first) = ids.insert(monitor.id.as_str(), origin) {
            out.push(format!(
                "the monitor `{}` is in {first} and in {origin}: give one of them another name",
                monitor.id
            ));
        }
        if let Some(csv) = &monitor.csv
            && let Some(first) = files.insert(&csv.path, origin)
        {
            let path = csv.path.display();
            out.push(format!(
                "monitors of {first} and {origin} both write the CSV file {path}: give each its own"
            ));
        }
    }
    out
}

/// Names that were there before, and where.
#[derive(Default)]
struct Seen(HashMap<String, Option<u32>>);

impl Seen {
    /// Where `name` was before, as the end of a sentence.
    fn earlier(&mut self, name: &str, line: Option<u32>) -> Option<String> {
        if let Some(first) = self.0.get(name) {
            return Some(first.map(|line| format!(", on line {line}")).unwrap_or_default());
        }
        self.0.insert(name.to_owned(), line);
        None
    }
}

/// The meaning of a document, or what is wrong with it beyond its form.
fn told(document: &Document) -> Result<Option<Monitor>, Vec<Problem>> {
    let Some(manifest) = &document.monitor else { return Ok(None) };
    match manifest.settings() {
        Ok(monitor) => Ok(Some(monitor)),
        Err(problems) => {
            let new = problems.into_iter().filter(|problem| !explained(problem, &document.problems));
            Err(new.map(|problem| Problem { line: document.lines.of(&problem.path), ..problem }).collect())
        }
    }
}

/// Whether a problem of meaning only follows from one of form: a stand-in took the place of what
/// was wrong, and the problem is with the stand-in.
fn explained(problem: &Problem, form: &[Problem]) -> bool {
    form.iter().any(|first| {
        // Something that is missing may be what was misspelled.
        let counted = problem.message.starts_with("needs exactly one") && parent(&first.path) == problem.path;
        counted || around(&first.path, &problem.path) || looked_at(&first.path, &problem.path)
    })
}

/// Whether what is judged at `judged` depends on the value at `other`.
fn looked_at(other: &str, judged: &str) -> bool {
    if judged.contains(".notify[") {
        return other.starts_with("spec.channels");
    }
    if judged.ends_with(".match.source") {
        return other.starts_with("spec.sources");
    }
    let last = |path: &str| path[parent(path).len()..].to_owned();
    let siblings = parent(other) == parent(judged);
    siblings
        && match last(judged).as_str() {
            ".clear" => last(other) == ".value",
            ".max" => [".min", ".positive"].contains(&last(other).as_str()),
            ".partitions" => last(other) == ".key",
            ".rearm" => true,
            _ => false,
        }
}

/// `spec.rules` of `spec.rules.x`, `spec` of `spec.rules[2]`.
fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |cut| &path[..cut])
}

/// Whether `inner` is `outer` or below it.
fn around(outer: &str, inner: &str) -> bool {
    match inner.strip_prefix(outer) {
        Some(rest) => outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']),
        None => false,
    }
}

#[cfg(test)]
mod tests;
