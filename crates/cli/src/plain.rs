//! Text from outside, so that it can be shown on a terminal.

use std::fmt::Write as _;

/// The text with everything written out that could move the cursor, ring the bell, turn a line around or hide itself,
/// and bytes that are no text. Line breaks and tabs are written out too.
pub(crate) fn line(bytes: &[u8]) -> String {
    let mut plain = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(c, &mut plain));
        for byte in chunk.invalid() {
            let _ = write!(plain, "\\x{byte:02x}");
        }
    }
    plain
}

/// At most `width` characters of [`line`]; what is cut ends with `…`.
pub(crate) fn short(bytes: &[u8], width: usize) -> String {
    // Escapes only make it longer, and a character has at most four bytes.
    let plain = line(&bytes[..bytes.len().min(width.saturating_mul(4).saturating_add(4))]);
    if plain.chars().count() <= width {
        return plain;
    }
    plain.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn push(c: char, plain: &mut String) {
    match c {
        '\n' => plain.push_str("\\n"),
        '\r' => plain.push_str("\\r"),
        '\t' => plain.push_str("\\t"),
        c if is_hostile(c) => drop(write!(plain, "\\u{{{:x}}}", u32::from(c))),
        c => plain.push(c),
    }
}

/// Controls, direction marks, characters without a width, tags, and private ones.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{fffff}'
            | '\u{100000}'..='\u{10ffff}' | '\u{e000}'..='\u{f8ff}')
}

/// JSON on several lines, with every digit as it was; `None` for what is no JSON.
pub(crate) fn pretty(text: &str) -> Option<Vec<String>> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let (mut lines, mut now, mut depth, mut in_text, mut escaped) =
        (Vec::new(), String::new(), 0, false, false);
    let mut end = |now: &mut String, depth: usize| {
        lines.push(std::mem::take(now));
        now.push_str(&"  ".repeat(depth));
    };
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if in_text {
            push(c, &mut now);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                now.push(c);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(closing) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    now.push(closing);
                    continue;
                }
                depth += 1;
                end(&mut now, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                end(&mut now, depth);
                now.push(c);
            }
            ',' => {
                now.push(c);
                end(&mut now, depth);
            }
            ':' => now.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                in_text = c == '"';
                now.push(c);
            }
        }
    }
    lines.push(now);
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_do_something_to_a_terminal_is_written_out() {
        assert_eq!(line(b"a\x1b[31mred\x07\n\xff"), "a\\u{1b}[31mred\\u{7}\\n\\xff");
        assert_eq!(line("x\u{202e}y\u{200b}\u{9b}".as_bytes()), "x\\u{202e}y\\u{200b}\\u{9b}");
        assert_eq!(line("Käse 10 €".as_bytes()), "Käse 10 €");
        assert_eq!(short("äöüäöü".as_bytes(), 4), "äöü…");
        assert_eq!(short(&[0x1b; 10_000], 5), "\\u{1…");
        assert_eq!(short(b"four", 4), "four");
    }

    #[test]
    fn json_is_spread_over_lines_and_keeps_its_digits() {
        let text = r#"{"a":1.10,"b":[],"c":{"d":"x, {\"y\"}: \\","e":[ 1e3 , null]} , "f":{ }}"#;
        let lines = pretty(text).unwrap();
        let expected = [
            "{",
            "  \"a\": 1.10,",
            "  \"b\": [],",
            "  \"c\": {",
            "    \"d\": \"x, {\\\"y\\\"}: \\\\\",",
            "    \"e\": [",
            "      1e3,",
            "      null",
            "    ]",
            "  },",
            "  \"f\": {}",
            "}",
        ];
        assert_eq!(lines, expected);
        assert_eq!(pretty("{not json"), None);
        assert_eq!(pretty("\"\u{202e}\"").unwrap(), ["\"\\u{202e}\""]);
    }
}
