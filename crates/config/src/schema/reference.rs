//! `docs/manifest.md`: every field with path, type, default and meaning.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::shape::{self, Field, Object, Shape};
use crate::nearest::listed;
use crate::spec::patterns;

const INTRODUCTION: &str = "\
<!-- Generated from crates/config by `UPDATE=1 cargo test -p pricemonitor-config`; do not edit. -->

# The manifest, field by field

One file describes one monitor; several in one file are separated by `---`. The same file runs on a
laptop (`pricemonitor up -f monitor.yaml`) and on a cluster (`kubectl apply -f monitor.yaml`).
`pricemonitor validate -f monitor.yaml` tells everything that is wrong with it at once.

- **Durations** are numbers with a unit, `ms`, `s`, `m`, `h`, `d` or `w`, one after the other: `10s`, `1h30m`.
- **Sizes** are a number and a unit, `B`, `KiB` or `MiB`: `10MiB`.
- **Decimals** are kept exactly as written, as numbers or as texts: `10`, `-0.5`, `\"10.00\"`. A
  cluster takes fractions as texts only: `\"-0.5\"`.
- **Names** are DNS labels: lower-case letters, digits and `-`, at most 63 characters, with a letter or digit at both ends.
- **Secrets** are never in the file. `secretKeyRef: {name: discord, key: url}` means the file
  `<secrets dir>/discord/url` (`--secrets-dir`), or the variable `PRICEMONITOR_SECRET_DISCORD_URL`; on a
  cluster, the key `url` of the Secret `discord`.
- **Paths** of files that are read are relative to the manifest, of files that are written to the data folder.

Editors check and complete a manifest with [the schema](schema/price-monitor.json): put a line with the way to it on
top of the file, such as this one for a file in `examples/`.

```yaml
# yaml-language-server: $schema=../docs/schema/price-monitor.json
```
";

/// The text of `docs/manifest.md`.
pub fn manifest_reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut told = BTreeSet::new();
    if let Shape::Object(object) = shape::manifest() {
        section(&mut out, "", object, &mut told);
    }
    out
}

/// One mapping: its table, then the mappings in it. A type that occurs twice is told once.
fn section(out: &mut String, path: &str, object: &Object, told: &mut BTreeSet<String>) {
    told.insert(object.name.clone());
    let title = if path.is_empty() { "The document".to_owned() } else { format!("`{path}`") };
    let _ = write!(
        out,
        "\n<a id=\"{}\"></a>\n\n## {title}\n\n{}\n\n| field | type | default | meaning |\n|---|---|---|---|\n",
        object.name,
        cell(&object.doc),
    );
    for field in &object.fields {
        row(out, field);
    }
    for field in &object.fields {
        let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
        let (path, inner) = match &field.shape {
            Shape::List(item) => (format!("{path}[]"), &**item),
            shape => (path, shape),
        };
        if let Shape::Object(object) = inner
            && !told.contains(&object.name)
        {
            section(out, &path, object, told);
        }
    }
}

fn row(out: &mut String, field: &Field) {
    let (meaning, said) = split_default(&field.doc);
    let default = match (&field.default, said) {
        _ if field.required => "**required**".to_owned(),
        (_, Some(said)) => said,
        (Some(value), None) => {
            format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }
        (None, None) => "–".to_owned(),
    };
    let words = match &field.shape {
        Shape::Choice(words) => words
            .iter()
            .filter(|(_, meaning)| !meaning.is_empty())
            .map(|(word, meaning)| format!("<br>`{word}`: {}", cell(meaning)))
            .collect(),
        _ => String::new(),
    };
    let _ = writeln!(
        out,
        "| `{}` | {} | {} | {}{words} |",
        field.name,
        kind(&field.shape),
        cell(&default),
        cell(&meaning),
    );
}

/// A doc comment without its sentence about the default, and that sentence's content.
fn split_default(doc: &str) -> (String, Option<String>) {
    let Some(start) = doc.find("Default ") else { return (doc.to_owned(), None) };
    let tail = &doc[start + "Default ".len()..];
    let end = tail.find(". ").unwrap_or_else(|| tail.trim_end_matches('.').len());
    let rest = tail.get(end + 1..).unwrap_or_default();
    let meaning = format!("{}{rest}", doc[..start].trim_end());
    (meaning, Some(tail[..end].to_owned()))
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Object(object) => format!("[mapping](#{})", object.name),
        Shape::Texts => "mapping of texts".to_owned(),
        Shape::List(item) => format!("list of {}", kind(item)),
        Shape::Text { pattern } => match pattern.as_deref() {
            Some(patterns::DURATION) => "duration",
            Some(patterns::SIZE) => "size",
            Some(patterns::NAME) => "name",
            _ => "text",
        }
        .to_owned(),
        Shape::Choice(words) => listed(words.iter().map(|(word, _)| word.as_str())).replace(" and ", " or "),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Whole { .. } => "whole number".to_owned(),
        Shape::Decimal => "decimal".to_owned(),
    }
}

/// A text that fits into a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").trim().to_owned()
}
