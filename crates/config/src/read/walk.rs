//! Holds a YAML tree against the manifest's shape: every unknown field, wrong type and missing
//! field at once, each with path and line.
//!
//! What comes out always has the right types: a value that is wrong is told and replaced by a
//! stand-in, so that everything else can be checked too.

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json};

use super::tree::{Entry, Node, Plain, Value, described, is_null, plain_meaning};
use crate::nearest::{listed, nearest, shown};
use crate::problem::Problem;
use crate::schema::shape::{Field, Object, Shape};
use crate::spec::patterns;

/// Where each path stands.
#[derive(Debug, Default)]
pub(crate) struct Lines(HashMap<String, u32>);

impl Lines {
    /// The line of a path, or of the nearest thing around it that is in the text.
    pub(crate) fn of(&self, path: &str) -> Option<u32> {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            let cut = path.rfind(['.', '['])?;
            path = &path[..cut];
        }
    }
}

/// A walk over one document.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) problems: Vec<Problem>,
    pub(super) lines: Lines,
}

impl Walk {
    /// The value that `node` means at `path`.
    pub(super) fn value(&mut self, path: &str, node: &Node, shape: &Shape) -> Json {
        match (shape, &node.value) {
            (Shape::Object(object), Value::Map(entries)) => self.object(path, node.line, entries, object),
            (Shape::Texts, Value::Map(entries)) => self.texts(path, entries),
            (Shape::List(item), Value::List(nodes)) => {
                let each = nodes.iter().enumerate().map(|(n, node)| {
                    let path = format!("{path}[{n}]");
                    self.lines.0.insert(path.clone(), node.line);
                    self.value(&path, node, item)
                });
                Json::Array(each.collect())
            }
            (_, Value::Scalar { text, plain }) => match scalar(text, *plain, shape) {
                Ok(value) => value,
                Err(message) => self.wrong(path, node, shape, message),
            },
            _ => self.wrong(path, node, shape, format!("must be {}, not {}", wanted(shape), described(node))),
        }
    }

    fn wrong(&mut self, path: &str, node: &Node, shape: &Shape, message: String) -> Json {
        self.tell(path, node.line, message);
        stand_in(shape)
    }

    fn tell(&mut self, path: &str, line: u32, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message).on_line(line));
    }

    fn object(&mut self, path: &str, line: u32, entries: &[Entry], object: &Object) -> Json {
        let mut out = Map::new();
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for entry in entries {
            let at = below(path, &entry.key);
            if let Some(first) = seen.insert(&entry.key, entry.line) {
                self.tell(&at, entry.line, format!("is given twice, first on line {first}"));
                continue;
            }
            match object.field(&entry.key) {
                Some(field) => self.field(&at, entry, field, object, &mut out),
                None if object.open || (path.is_empty() && entry.key == "status") => {}
                None => self.tell(&at, entry.line, unknown(&entry.key, &entry.node, object)),
            }
        }
        for field in object.fields.iter().filter(|field| field.required) {
            if !out.contains_key(&field.name) {
                self.tell(&below(path, &field.name), line, format!("is missing: {}", lower(&field.doc)));
                out.insert(field.name.clone(), stand_in(&field.shape));
            }
        }
        Json::Object(out)
    }

    fn field(
        &mut self,
        at: &str,
        entry: &Entry,
        field: &Field,
        object: &Object,
        out: &mut Map<String, Json>,
    ) {
        self.lines.0.insert(at.to_owned(), entry.line);
        if is_null(&entry.node) {
            let kind = object.kinds.is_some_and(|(_, kinds)| kinds.contains(&field.name.as_str()));
            if kind {
                let message = format!("holds nothing: write `{}: {{}}` or say more", field.name);
                self.tell(at, entry.line, message);
                out.insert(field.name.clone(), stand_in(&field.shape));
            }
            return;
        }
        let value = self.value(at, &entry.node, &field.shape);
        out.insert(field.name.clone(), value);
    }

    fn texts(&mut self, path: &str, entries: &[Entry]) -> Json {
        let text = Shape::Text { pattern: None };
        let mut out = Map::new();
        for entry in entries {
            let at = below(path, &entry.key);
            self.lines.0.insert(at.clone(), entry.line);
            let value = self.value(&at, &entry.node, &text);
            if out.insert(entry.key.clone(), value).is_some() {
                self.tell(&at, entry.line, "is given twice");
            }
        }
        Json::Object(out)
    }
}

/// `spec` and `rules` are `spec.rules`. A name that could be taken for more is put in quotes.
fn below(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match (plain, path.is_empty()) {
        (true, true) => shown(name),
        (true, false) => format!("{path}.{}", shown(name)),
        (false, _) => format!("{path}[\"{}\"]", shown(name)),
    }
}

fn unknown(name: &str, node: &Node, object: &Object) -> String {
    let known = || object.fields.iter().map(|field| field.name.as_str());
    let near = nearest(name, known());
    let kinds = object.kinds.filter(|_| near.is_none() || matches!(node.value, Value::Map(_)));
    match (near, kinds) {
        (Some(near), None) => format!("unknown field, did you mean `{near}`?"),
        (Some(near), Some((what, kinds))) => {
            let kinds = listed(kinds.iter().copied());
            format!("unknown field, did you mean `{near}`? Kinds of {what}: {kinds}")
        }
        (None, Some((what, kinds))) => {
            let others: Vec<&str> = known().filter(|name| !kinds.contains(name)).collect();
            let kinds = listed(kinds.iter().copied());
            format!("unknown field or kind of {what}. Kinds: {kinds}; other fields: {}", listed(others))
        }
        (None, None) => format!("unknown field. Known here: {}", listed(known())),
    }
}

/// What a scalar means where `shape` is wanted.
fn scalar(text: &str, plain: bool, shape: &Shape) -> Result<Json, String> {
    let meaning = if plain { plain_meaning(text) } else { Plain::Text };
    let not = |found: &str| Err(format!("must be {}, not {found}", wanted(shape)));
    match shape {
        Shape::Text { pattern } => match meaning {
            Plain::Text => Ok(Json::String(text.to_owned())),
            Plain::Null => not("nothing"),
            Plain::Number if is_measure(pattern.as_deref()) => {
                Err(format!("must be {} with a unit, not the number {}", wanted(shape), shown(text)))
            }
            _ => Err(format!("must be a text: write \"{}\" in quotes", shown(text))),
        },
        Shape::Choice(words) if words.iter().any(|(word, _)| word == text) => {
            Ok(Json::String(text.to_owned()))
        }
        Shape::Choice(words) => {
            let known = || words.iter().map(|(word, _)| word.as_str());
            let hint = match nearest(text, known()) {
                Some(near) if words.len() > 1 => format!(", did you mean `{near}`?"),
                _ => String::new(),
            };
            match words.as_slice() {
                [(only, _)] => Err(format!("must be `{only}`, not `{}`", shown(text))),
                _ => Err(format!("must be one of {}, not `{}`{hint}", listed(known()), shown(text))),
            }
        }
        Shape::Bool => match meaning {
            Plain::Bool(value) => Ok(Json::Bool(value)),
            _ => not(&format!("`{}`", shown(text))),
        },
        Shape::Whole { min, max } => match whole(text, plain, *min, *max) {
            Some(number) => Ok(Json::Number(number)),
            None => not(&format!("`{}`", shown(text))),
        },
        // Whether these are digits is judged with the rule's meaning in `validate`.
        Shape::Decimal => match meaning {
            Plain::Number | Plain::Text => Ok(Json::String(text.to_owned())),
            _ => not(&format!("`{}`", shown(text))),
        },
        Shape::Object(_) | Shape::Texts | Shape::List(_) => match meaning {
            Plain::Null => not("nothing"),
            // The text is not shown: it may be a secret that stands in the wrong place.
            Plain::Number => not("a number"),
            _ => not("a text"),
        },
    }
}

fn whole(text: &str, plain: bool, min: i128, max: i128) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if !plain || leading_zero || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i128 = text.parse().ok()?;
    if number < min || number > max {
        return None;
    }
    u64::try_from(number).ok().map(Number::from)
}

fn is_measure(pattern: Option<&str>) -> bool {
    pattern.is_some_and(|pattern| pattern == patterns::DURATION || pattern == patterns::SIZE)
}

/// What a shape wants, in words.
fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Object(object) => {
            let fields = object.fields.iter().filter(|field| field.required).map(|f| f.name.as_str());
            match listed(fields) {
                none if none == "none" => "a mapping".to_owned(),
                fields => format!("a mapping with {fields}"),
            }
        }
        Shape::Texts => "a mapping of names to texts".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Text { pattern } => match pattern.as_deref() {
            Some(patterns::DURATION) => "a duration such as `10s`".to_owned(),
            Some(patterns::SIZE) => "a size such as `10MiB`".to_owned(),
            _ => "a text".to_owned(),
        },
        Shape::Choice(words) => format!("one of {}", listed(words.iter().map(|(word, _)| word.as_str()))),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Whole { min, max } => format!("a whole number from {min} to {max}"),
        Shape::Decimal => "a decimal number such as `10` or `\"10.00\"`".to_owned(),
    }
}

/// A value of the right type for one that is wrong or missing.
fn stand_in(shape: &Shape) -> Json {
    match shape {
        Shape::Object(object) => {
            let required = object.fields.iter().filter(|field| field.required);
            Json::Object(required.map(|field| (field.name.clone(), stand_in(&field.shape))).collect())
        }
        Shape::Texts => Json::Object(Map::new()),
        Shape::List(_) => Json::Array(Vec::new()),
        Shape::Text { .. } => Json::String(String::new()),
        Shape::Choice(words) => words.first().map_or(Json::Null, |(word, _)| Json::String(word.clone())),
        Shape::Bool => Json::Bool(false),
        Shape::Whole { .. } => Json::Number(Number::from(1u8)),
        Shape::Decimal => Json::String("1".to_owned()),
    }
}

/// A doc comment as the end of a sentence: its first sentence, without the point.
fn lower(doc: &str) -> String {
    let sentence = doc.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
