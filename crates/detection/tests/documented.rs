//! Every example of `docs/rules.md` does what its table says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::{HOUR, START, Tape, rule, span};
use pricemonitor_model::{Slot, Time, Transition};

struct Example {
    rule: String,
    rows: Vec<Vec<String>>,
}

/// Each YAML block with the table behind it.
fn examples() -> Vec<Example> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md")).unwrap();
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line == "```yaml" {
            examples.push(Example { rule: String::new(), rows: Vec::new() });
            inside = true;
        } else if line.starts_with("```") {
            inside = false;
        } else if inside {
            examples.last_mut().unwrap().rule.extend([line, "\n"]);
        } else if let Some(cells) = line.strip_prefix("| ").filter(|cells| !cells.starts_with("seen ")) {
            let cells =
                cells.strip_suffix('|').unwrap().split('|').map(|cell| cell.trim().to_owned()).collect();
            examples.last_mut().unwrap().rows.push(cells);
        }
    }
    examples
}

/// `13:05` on the day of [`START`].
fn clock(text: &str) -> Time {
    let (hours, minutes) = text.split_once(':').unwrap();
    START.plus(span(&format!("{hours}h")) + span(minutes))
}

/// What a cell promises: nothing, or a transition with its sentence.
fn promised(cell: &str) -> Option<(Transition, String)> {
    let sentence = || cell.split('`').nth(1).expect("a sentence in backticks").to_owned();
    if cell.starts_with("**told**") {
        Some((Transition::Firing, sentence()))
    } else if cell.starts_with("**resolved**") {
        Some((Transition::Resolved, sentence()))
    } else {
        assert!(!cell.contains('`') && (!cell.contains("**") || cell == "**counted**"), "{cell}");
        None
    }
}

#[test]
fn every_example_does_what_its_table_says() {
    let examples = examples();
    assert!(examples.len() >= 13, "{} examples", examples.len());
    for Example { rule: text, rows } in examples {
        assert!(rows.len() >= 2, "an example without a table: {text}");
        let mut tape = Tape::new(vec![rule(&text)]);
        tape.reload = true;
        for row in rows {
            let suppressed = tape.suppressed();
            let (alerts, what) = match &row[..] {
                [seen, price, what] => (see(&mut tape, seen, None, price), what),
                [seen, slot, _, what] if slot == "tick" => (tape.tick(clock(seen)), what),
                [seen, slot, price, what] => (see(&mut tape, seen, Some(slot), price), what),
                other => panic!("{other:?}"),
            };
            let told = alerts
                .iter()
                .map(|alert| (alert.transition, alert.summary.strip_prefix("i: ").unwrap().to_owned()));
            assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(promised(what)), "{text}{row:?}");
            assert_eq!(tape.suppressed() > suppressed, what == "**counted**", "{text}{row:?}");
        }
    }
}

fn see(tape: &mut Tape, seen: &str, slot: Option<&str>, price: &str) -> common::Told {
    let mut o = common::quote(price, 0);
    o.observed_at = clock(seen);
    if let Some(slot) = slot {
        let start = clock(slot);
        o.slot = Some(Slot { start, end: start.plus(HOUR) });
        (o.currency, o.unit) = ("EUR".into(), Some("c/kWh".into()));
    }
    tape.see(o).1
}
