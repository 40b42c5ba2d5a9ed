//! JSON values as YAML, for `crd`, `render` and the manifests that workers read: keys in order of
//! their names, texts quoted wherever a reader could take them for something else.

use std::fmt::Write as _;

use serde_json::Value;

/// One document, without `---`.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => mapping(&mut out, value, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, value, 0),
        other => {
            out.push_str(&scalar(other));
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, value: &Value, depth: usize) {
    for (n, (key, inner)) in value.as_object().into_iter().flatten().enumerate() {
        // The first key of an item stands behind its dash.
        if n > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        let _ = write!(out, "{}:", text(key));
        below(out, inner, depth);
    }
}

fn sequence(out: &mut String, value: &Value, depth: usize) {
    for item in value.as_array().into_iter().flatten() {
        indent(out, depth);
        out.push_str("- ");
        match item {
            Value::Object(fields) if !fields.is_empty() => mapping(out, item, depth + 1),
            other => {
                out.push_str(&scalar(other));
                out.push('\n');
            }
        }
    }
}

/// What stands behind a key.
fn below(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            mapping(out, value, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(out, value, depth);
        }
        Value::String(lines) if is_block(lines) => {
            out.push_str(" |\n");
            for line in lines.lines() {
                if !line.is_empty() {
                    indent(out, depth + 1);
                }
                out.push_str(line);
                out.push('\n');
            }
        }
        other => {
            let _ = writeln!(out, " {}", scalar(other));
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Several lines that a block keeps to the byte.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || !c.is_control())
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => self::text(text),
        // Lists in lists, and what is empty, in JSON, which is YAML.
        other => other.to_string(),
    }
}

/// Plain where that is a text to every reader of YAML 1.1 and 1.2, else in JSON's quotes.
fn text(text: &str) -> String {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    let known =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | '$' | '(' | ')');
    let word = text.to_ascii_lowercase();
    let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&word.as_str());
    // A colon within is fine, at the end it would make a key.
    let colons = !text.ends_with(':') && text.chars().all(|c| known(c) || c == ':');
    if first && colons && !reserved { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::document;

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        let value = json!({"a": ["x", "no", "1.0", "", "a: b", "a:b", "- x", "#", "x #y", {"b": {}, "c": []}],
            "n": 1, "t": true, "nothing": null, "9464": {"k": "v"}, "lines": "one\ntwo: x\n\n  three\n", "odd": " x\ny"});
        let wanted = "\"9464\":\n  k: v\na:\n- x\n- \"no\"\n- \"1.0\"\n- \"\"\n- \"a: b\"\n- a:b\n- \"- x\"\n- \"#\"\n\
                      - \"x #y\"\n- b: {}\n  c: []\nlines: |\n  one\n  two: x\n\n    three\n\"n\": 1\nnothing: null\n\
                      odd: \" x\\ny\"\nt: true\n";
        assert_eq!(document(&value), wanted);
    }
}
