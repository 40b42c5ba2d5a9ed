//! Documents as values of jq.

use jaq_json::{Map, Val};

/// Deepest nesting of a document, as serde_json has it.
const NESTING: usize = 128;

/// Reads one JSON value, strictly: no comments, no `NaN`, nothing behind it. Numbers keep their
/// digits.
///
/// # Errors
/// What is wrong and where.
pub(super) fn json(text: &str) -> Result<Val, String> {
    // jaq's own parser takes more than JSON, and recurses as deep as the text says; this check
    // does neither.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| format!("not JSON: {error}"))?;
    if nesting(text) > NESTING {
        return Err(format!("nested more than {NESTING} levels deep"));
    }
    jaq_json::read::parse_single(text.as_bytes()).map_err(|error| format!("not JSON: {error}"))
}

/// How deep the brackets of valid JSON go.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads CSV with a header into an array of objects with text values. Lines may end in CR, LF or
/// both; the delimiter is whichever of `,` `;` and tab the header holds most of.
///
/// # Errors
/// What is wrong, with the line where that is known.
pub(super) fn csv(text: &str) -> Result<Val, String> {
    let header = text.trim_start_matches(['\r', '\n']).split(['\r', '\n']).next().unwrap_or_default();
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    // The last of equals: a header of one column gets the comma.
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter));
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter.unwrap_or(b',')).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| explain(&error))?.clone();
    let names: Vec<&str> = names.iter().map(str::trim).collect();
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(format!("the column `{}` stands twice in the header", twice.1));
    }
    let keys: Vec<Val> = names.iter().map(|name| Val::from((*name).to_owned())).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| explain(&error))?;
        let values = record.iter().map(|text| Val::from(text.to_owned()));
        rows.push(Val::obj(keys.iter().cloned().zip(values).collect::<Map>()));
    }
    Ok(rows.into_iter().collect())
}

fn explain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} fields, the header has {expected_len}")
        }
        _ => format!("not CSV: {error}"),
    }
}
