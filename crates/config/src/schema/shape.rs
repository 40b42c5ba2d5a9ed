//! The manifest's schema as a tree that is easy to walk: what [`crate::read`] checks against and
//! what the field reference is written from. Made from the JSON schema, hence from the types.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::spec::{ChannelSpec, PriceMonitor, RuleSpec, SourceSpec};

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A mapping with known fields.
    Object(Object),
    /// A mapping of any names to texts.
    Texts,
    /// A list.
    List(Box<Shape>),
    /// A text, with its pattern.
    Text { pattern: Option<String> },
    /// One of some words, each with its meaning.
    Choice(Vec<(String, String)>),
    /// `true` or `false`.
    Bool,
    /// A whole number from `min` to `max`, by its type.
    Whole { min: i128, max: i128 },
    /// An exact decimal.
    Decimal,
}

/// A mapping with known fields.
#[derive(Debug)]
pub(crate) struct Object {
    /// Name of the type.
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) fields: Vec<Field>,
    /// Whether other fields are passed over, as in `metadata`.
    pub(crate) open: bool,
    /// What the alternatives are called, and which there are.
    pub(crate) kinds: Option<(&'static str, &'static [&'static str])>,
}

/// A field of a mapping.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    pub(crate) doc: String,
    /// The value it has when absent, if the schema knows it.
    pub(crate) default: Option<Value>,
}

impl Object {
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Fields that come before others, in this order; the others by name.
const FIRST: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "spec",
    "sources",
    "rules",
    "channels",
    "storage",
    "kafka",
    "workers",
    "producer",
    "processor",
    "interval",
    "simulator",
    "file",
    "http",
    "path",
    "url",
    "match",
    "drop",
    "rise",
    "change",
    "below",
    "above",
    "percent",
    "absolute",
    "value",
    "min",
    "max",
    "raw",
];

/// The shape of a whole manifest.
pub(crate) fn manifest() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| {
        let schema = super::raw_schema::<PriceMonitor>();
        let none = Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
        shape("PriceMonitor", &schema, definitions)
    })
}

fn shape(name: &str, schema: &Value, definitions: &Map<String, Value>) -> Shape {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return shape(name, definitions.get(name).unwrap_or(&Value::Null), definitions);
    }
    if name == "DecimalText" {
        return Shape::Decimal;
    }
    if let Some(words) = words(schema) {
        return Shape::Choice(words);
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => {
            Shape::Object(object(name, schema, definitions))
        }
        Some("object") => Shape::Texts,
        Some("array") => Shape::List(Box::new(shape("", &schema["items"], definitions))),
        Some("boolean") => Shape::Bool,
        Some("integer") => whole(schema),
        _ => Shape::Text { pattern: schema["pattern"].as_str().map(str::to_owned) },
    }
}

fn words(schema: &Value) -> Option<Vec<(String, String)>> {
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().map(|word| (text(word), String::new())).collect());
    }
    if let Some(word) = schema.get("const") {
        return Some(vec![(text(word), text(&schema["description"]))]);
    }
    let choices = schema["oneOf"].as_array()?;
    Some(choices.iter().flat_map(|choice| words(choice).unwrap_or_default()).collect())
}

fn object(name: &str, schema: &Value, definitions: &Map<String, Value>) -> Object {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.map(|(name, property)| Field {
        name: name.clone(),
        shape: shape("", property, definitions),
        required: required.contains(&name.as_str()),
        doc: text(&property["description"]),
        default: property.get("default").filter(|value| !value.is_null()).cloned(),
    });
    let mut fields: Vec<Field> = fields.collect();
    // JSON has no order, people do.
    fields.sort_by_key(|field| FIRST.iter().position(|name| *name == field.name).unwrap_or(FIRST.len()));
    let kinds = match name {
        "SourceSpec" => Some(("source", SourceSpec::KINDS)),
        "RuleSpec" => Some(("rule", RuleSpec::KINDS)),
        "ChannelSpec" => Some(("channel", ChannelSpec::KINDS)),
        _ => None,
    };
    Object {
        name: name.to_owned(),
        doc: text(&schema["description"]),
        fields,
        open: name == "Metadata",
        kinds,
    }
}

fn whole(schema: &Value) -> Shape {
    match schema["format"].as_str() {
        Some("uint64") => Shape::Whole { min: 0, max: i128::from(u64::MAX) },
        _ => Shape::Whole { min: 0, max: i128::from(u32::MAX) },
    }
}

/// A doc comment or a word, on one line.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('\n', " ")
}
