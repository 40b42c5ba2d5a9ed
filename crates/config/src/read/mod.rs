//! The strict reader: text to manifests, everything that is wrong with it at once.
//!
//! Strictness belongs here. What is already in a cluster is read by serde alone, which passes over
//! fields it does not know.

mod tree;
mod walk;

use crate::problem::{Problem, Problems};
use crate::schema::shape;
use crate::spec::{API_VERSION, KIND, PriceMonitor};

pub(crate) use walk::Lines;

/// One document of a text, well formed or not.
#[derive(Debug)]
pub(crate) struct Document {
    /// The manifest; where there are problems, stand-ins take the place of what is wrong. `None`
    /// when the document is something else altogether.
    pub(crate) monitor: Option<PriceMonitor>,
    /// What is wrong with its form.
    pub(crate) problems: Vec<Problem>,
    /// Where everything stands.
    pub(crate) lines: Lines,
}

/// Reads one or several YAML documents (`---` between them). `origin` names the text in messages:
/// a file name, or words such as `standard input`.
///
/// Only the form is judged: fields, types, what is missing. What the values mean is judged by
/// [`PriceMonitor::settings`]; [`crate::load`] does both.
///
/// # Errors
/// Everything that is wrong, with paths and lines: at the first place that is not YAML it ends.
pub fn read(text: &str, origin: &str) -> Result<Vec<PriceMonitor>, Problems> {
    let documents = documents(text, origin)?;
    let (mut monitors, mut problems) = (Vec::new(), Vec::new());
    for document in documents {
        monitors.extend(document.monitor);
        problems.extend(document.problems);
    }
    if problems.is_empty() { Ok(monitors) } else { Err(Problems::new(origin, problems)) }
}

/// The text in `bytes`, for [`read`].
///
/// # Errors
/// They are not UTF-8.
pub fn utf8<'a>(bytes: &'a [u8], origin: &str) -> Result<&'a str, Problems> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let message = "not a text in UTF-8: save the file in this encoding";
        let problem = Problem::new("", message).on_line(u32::try_from(line).unwrap_or(u32::MAX));
        Problems::new(origin, vec![problem])
    })
}

/// Every document that is not empty; at least one.
pub(crate) fn documents(text: &str, origin: &str) -> Result<Vec<Document>, Problems> {
    let fail = |problem| Problems::new(origin, vec![problem]);
    let roots = tree::documents(text).map_err(fail)?;
    if roots.is_empty() {
        let message = format!("holds no {KIND}: a manifest starts with `apiVersion: {API_VERSION}`");
        return Err(fail(Problem::new("", message)));
    }
    Ok(roots.iter().map(document).collect())
}

fn document(root: &tree::Node) -> Document {
    let mut walk = walk::Walk::default();
    if let Some(problem) = foreign(root) {
        return Document { monitor: None, problems: vec![problem], lines: walk.lines };
    }
    let shape = shape::manifest();
    let json = walk.value("", root, shape);
    let mut problems = walk.problems;
    let monitor = match serde_json::from_value(json) {
        Ok(monitor) => Some(monitor),
        // The shape comes from the same types, so that this says that the two disagree.
        Err(error) => {
            problems.push(Problem::new("", format!("cannot be read: {error}")).on_line(root.line));
            None
        }
    };
    Document { monitor, problems, lines: walk.lines }
}

/// A document that is something else than our manifest gets one message, not one for each field.
fn foreign(root: &tree::Node) -> Option<Problem> {
    let tree::Value::Map(entries) = &root.value else {
        let message = format!(
            "must be a mapping with `apiVersion`, `kind`, `metadata` and `spec`, not {}",
            tree::described(root)
        );
        return Some(Problem::new("", message).on_line(root.line));
    };
    for (name, wanted) in [("kind", KIND), ("apiVersion", API_VERSION)] {
        let Some(entry) = entries.iter().find(|entry| entry.key == name) else { continue };
        match &entry.node.value {
            tree::Value::Scalar { text, .. } if text != wanted && !tree::is_null(&entry.node) => {
                let message = format!("must be `{wanted}`, not `{}`", crate::nearest::shown(text));
                return Some(Problem::new(name, message).on_line(entry.line));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
