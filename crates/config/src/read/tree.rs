//! YAML text to a tree in which every value knows its line.
//!
//! Values stay the text they were written as: what a text means (a number, `true`, words) is
//! decided by the field it stands in, so that `10.00` keeps its digits where a price is wanted.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::problem::Problem;

/// Most bytes of a text.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Most values in a text once its aliases are followed: a few lines of them can mean billions.
const MAX_NODES: usize = 50_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// One value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Line it starts on, from 1.
    pub(super) line: u32,
    /// The value.
    pub(super) value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A text, and whether it stood without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// Fields in the order of the text; names may repeat.
    Map(Vec<Entry>),
}

/// One field.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u32,
    pub(super) node: Node,
}

/// What the words of YAML's core schema make of a text without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number,
    /// `yes`, `no`, `on`, `off`: true and false for some readers, text for others.
    Ambiguous,
    Text,
}

/// Reads a scalar without quotes as YAML does.
pub(super) fn plain_meaning(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    if ["yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Plain::Ambiguous;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let special = ["inf", "nan"]
        .iter()
        .any(|word| digits.strip_prefix('.').is_some_and(|digits| digits.eq_ignore_ascii_case(word)));
    let starts = digits.strip_prefix('.').unwrap_or(digits).starts_with(|c: char| c.is_ascii_digit());
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0o"));
    let number = match hexadecimal {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => starts && digits.parse::<f64>().is_ok(),
    };
    if number || special { Plain::Number } else { Plain::Text }
}

/// A collection that is being read.
enum Open {
    List { line: u32, anchor: usize, items: Vec<Node> },
    Map { line: u32, anchor: usize, entries: Vec<Entry>, key: Option<(String, u32)> },
}

struct Builder {
    open: Vec<Open>,
    roots: Vec<Node>,
    /// Finished values with an anchor, and how many values each holds.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

/// Reads every document of `text`; documents without content are left out.
///
/// # Errors
/// The first thing that is not YAML, or is more of it than a manifest can need.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Problem> {
    if text.len() > MAX_BYTES {
        let message = format!("the text has {} bytes, a manifest has at most {MAX_BYTES}", text.len());
        return Err(Problem::new("", message));
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder { open: Vec::new(), roots: Vec::new(), anchors: HashMap::new(), nodes: 0 };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let mark = error.marker();
            let message = format!("not YAML: {}, at column {}", error.info(), mark.col() + 1);
            Problem::new("", message).on_line(line_number(mark.line()))
        })?;
        let line = line_number(span.start.line());
        builder.event(event, line).map_err(|message| Problem::new("", message).on_line(line))?;
    }
    Ok(builder.roots)
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: u32) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced = text_tag(tag.as_deref())?;
                let plain = style == ScalarStyle::Plain && !forced;
                let value = Value::Scalar { text: text.into_owned(), plain };
                self.count(1)?;
                self.finish(Node { line, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(Open::List { line, anchor, items: Vec::new() }, tag.as_deref())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.start(Open::Map { line, anchor, entries: Vec::new(), key: None }, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err("an anchor holds an alias of itself: write the value out".to_owned());
                };
                let (mut node, size) = (node.clone(), *size);
                if self.open.len() + depth(&node) > MAX_DEPTH {
                    return Err(too_deep());
                }
                self.count(size)?;
                // Problems are told where the alias stands: that is where the value is wrong.
                node.line = line;
                self.finish(node, 0)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values, aliases included: write a smaller manifest"));
        }
        Ok(())
    }

    fn start(&mut self, open: Open, tag: Option<&Tag>) -> Result<(), String> {
        if text_tag(tag)? {
            return Err("the tag `!!str` stands before something that is not a text".to_owned());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.count(1)?;
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::List { line, anchor, items }) => {
                self.finish(Node { line, value: Value::List(items) }, anchor)
            }
            Some(Open::Map { line, anchor, entries, .. }) => {
                self.finish(Node { line, value: Value::Map(entries) }, anchor)
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size(&node)));
            self.count(size(&node))?;
        }
        match self.open.last_mut() {
            None => {
                if !is_null(&node) {
                    self.roots.push(node);
                }
            }
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some((key, line)) => entries.push(Entry { key, line, node }),
                None => match node.value {
                    Value::Scalar { text, plain: true } if text == "<<" => {
                        return Err("merge keys (`<<`) are not supported: write the fields out".to_owned());
                    }
                    Value::Scalar { text, .. } => *key = Some((text, node.line)),
                    _ => return Err("the name of a field must be a word, not a list or a mapping".to_owned()),
                },
            },
        }
        Ok(())
    }
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels: a manifest needs no more than ten")
}

/// Whether the tag says that the value is a text.
fn text_tag(tag: Option<&Tag>) -> Result<bool, String> {
    let Some(tag) = tag else { return Ok(false) };
    match tag.core_suffix() {
        Some("str") => Ok(true),
        _ if tag.original() == "!" => Ok(true),
        Some(_) => Ok(false),
        None => Err(format!(
            "the tag `{}` is not supported: leave it out",
            crate::nearest::shown(&tag.original())
        )),
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|e| 1 + size(&e.node)).sum::<usize>(),
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|e| depth(&e.node)).max().unwrap_or(0),
    }
}

/// Whether the value says "nothing".
pub(super) fn is_null(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, plain: true } if plain_meaning(text) == Plain::Null)
}

/// Whether the value is a number, a word or a text, in words.
pub(super) fn described(node: &Node) -> &'static str {
    match &node.value {
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
        Value::Scalar { plain: false, .. } => "a text",
        Value::Scalar { text, .. } => match plain_meaning(text) {
            Plain::Null => "nothing",
            Plain::Bool(_) => "true or false",
            Plain::Number => "a number",
            Plain::Ambiguous | Plain::Text => "a text",
        },
    }
}
