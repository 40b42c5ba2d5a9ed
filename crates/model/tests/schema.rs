//! The JSON Schemas in `docs/schema` say what the wire format is: they and the code cannot drift apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use pricemonitor_model::admission::{MAX_LABELS, MAX_NAME, MAX_TEXT, MAX_URL};
use pricemonitor_model::letter::MAX_REPEATED;
use pricemonitor_model::price::parse_decimal;
use pricemonitor_model::wire::{self, OnDeadLetters, Raw};
use pricemonitor_model::{
    Admission, Admitted, Alert, AlertId, AsWritten, Availability, Coordinates, DeadLetter, Decimal,
    Direction, Incarnation, Labels, Observation, Outcome, PriceEvent, PriceKind, Retried, Severity, Side,
    Slot, Tick, Time, Transition, admission,
};
use serde_json::{Map, Value, json};

const FILES: [&str; 6] = ["observation", "tick", "price-event", "alert", "dead-letter", "retried"];
const NOW: Time = Time::from_seconds(1_767_567_600);

struct Schema {
    document: Value,
    schemas: Schemas,
    index: SchemaIndex,
}

fn schema(name: &str) -> Schema {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schema/{name}.json"));
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.set_default_draft(Draft::V2020_12);
    compiler.add_resource("file:///schema.json", document.clone()).unwrap();
    let index = compiler
        .compile("file:///schema.json", &mut schemas)
        .unwrap_or_else(|error| panic!("{name}: {error:#}"));
    Schema { document, schemas, index }
}

impl Schema {
    fn takes(&self, record: &Value) -> Result<(), String> {
        self.schemas.validate(record, self.index).map_err(|error| format!("{error:#}"))
    }
}

/// What the program reads of a record of this kind, written again.
fn read(name: &str, value: &[u8]) -> Result<Vec<u8>, String> {
    let mut again = Vec::new();
    match name {
        // As the readers of raw do: what is read must also be acceptable.
        "observation" | "tick" => {
            match admission::admit(&Admission::default(), 0, None, Some(value), NOW)
                .map_err(|e| e.to_string())?
            {
                Admitted::Observation(observation) => wire::write_observation(&observation, &mut again),
                Admitted::Tick(tick) => wire::write_tick(&tick, &mut again),
                Admitted::Foreign => return Err("another kind".to_owned()),
            }
        }
        "price-event" => {
            let event = wire::read_event(value).map_err(|error| error.to_string())?.ok_or("another kind")?;
            wire::write_event(&event, &mut again);
        }
        "alert" => {
            let alert = wire::read_alert(value).map_err(|error| error.to_string())?.ok_or("another kind")?;
            wire::write_alert(&alert, &mut again);
        }
        _ => match wire::read_dead_letters(value).map_err(|error| error.to_string())? {
            OnDeadLetters::Letter(letter) => wire::write_dead_letter(&letter, &mut again),
            OnDeadLetters::Retried(retried) => wire::write_retried(&retried, &mut again),
            OnDeadLetters::Other => return Err("another kind".to_owned()),
        },
    }
    Ok(again)
}

fn decimal(text: &str) -> Decimal {
    parse_decimal(text).unwrap()
}

/// A record of every kind with every member that it may have. Without `..`, so that a new member must come here.
fn full() -> Vec<(&'static str, Vec<u8>)> {
    let labels = || Labels::new().with("event", "arena-17");
    let slot = Some(Slot { start: NOW, end: NOW.plus(900_000) });
    let coordinates = Coordinates { incarnation: Incarnation(7), partition: 2, offset: 41 };
    let observation = Observation {
        source: "s".into(),
        item: "i".into(),
        labels: labels(),
        price: decimal("1.50"),
        base: Some(decimal("1.25")),
        currency: "EUR".into(),
        unit: Some("c/kWh".into()),
        observed_at: NOW,
        slot,
        availability: Some(Availability::PreOrder),
        quantity: Some(3),
        url: Some("https://example.org".into()),
        as_written: Some(AsWritten { price: "1,50".into(), start: Some("a".into()), end: Some("b".into()) }),
    };
    let tick = Tick { source: "s".into(), at: NOW, outcome: Outcome::Unchanged, complete: true };
    let event = PriceEvent {
        source: "s".into(),
        item: "i".into(),
        labels: labels(),
        price: decimal("1.50"),
        previous: Some(decimal("1.00")),
        delta: Some(decimal("0.50")),
        percent: Some(decimal("50.0")),
        direction: Direction::Rise,
        currency: "EUR".into(),
        unit: Some("c/kWh".into()),
        observed_at: NOW,
        slot,
        coordinates,
    };
    let alert = Alert {
        id: AlertId::from_text("0123456789abcdef0123456789abcdef"),
        monitor: "default.m".into(),
        rule: "r".into(),
        transition: Transition::Firing,
        severity: Severity::Critical,
        channels: Some(vec!["discord".to_owned()]),
        source: "s".into(),
        item: "i".into(),
        price_kind: PriceKind::Base,
        labels: labels(),
        price: decimal("1.50"),
        reference: Some(decimal("2")),
        percent: Some(decimal("-25.0")),
        side: Some(Side::Below),
        currency: "EUR".into(),
        unit: Some("c/kWh".into()),
        observed_at: NOW,
        slot,
        url: Some("https://example.org".into()),
        summary: "it fell".into(),
        coordinates,
    };
    let large = [0xff; MAX_REPEATED + 1];
    let letter = DeadLetter::of("malformed", "why", coordinates, NOW, Some(b"key"), Some(&large));
    let retried = Retried { partition: 0, offset: 12, coordinates, at: NOW };
    let mut records = FILES.map(|name| (name, Vec::new()));
    wire::write_observation(&observation, &mut records[0].1);
    wire::write_tick(&tick, &mut records[1].1);
    wire::write_event(&event, &mut records[2].1);
    wire::write_alert(&alert, &mut records[3].1);
    wire::write_dead_letter(&letter, &mut records[4].1);
    wire::write_retried(&retried, &mut records[5].1);
    records.to_vec()
}

/// The names of every object's members, by the path to it. Labels have names of their own.
fn written(path: &str, value: &Value, names: &mut BTreeSet<String>) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        let path = format!("{path}/{name}");
        if name != "labels" {
            written(&path, value, names);
        }
        names.insert(path);
    }
}

/// The names that a schema knows, by the path to them.
fn known(root: &Value, path: &str, schema: &Value, names: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return known(root, path, root.pointer(&reference[1..]).unwrap(), names);
    }
    for choice in schema["oneOf"].as_array().into_iter().flatten() {
        known(root, path, choice, names);
    }
    for (name, schema) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        let path = format!("{path}/{name}");
        known(root, &path, schema, names);
        names.insert(path);
    }
}

#[test]
fn what_is_written_is_in_the_schema_and_what_is_in_the_schema_is_written() {
    for (name, record) in full() {
        let schema = schema(name);
        let value: Value = serde_json::from_slice(&record).unwrap();
        schema.takes(&value).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (mut in_record, mut in_schema) = (BTreeSet::new(), BTreeSet::new());
        written("", &value, &mut in_record);
        known(&schema.document, "", &schema.document, &mut in_schema);
        // A key is text or bytes; the record has one of each.
        in_schema.retain(|path| path != "/key/base64");
        assert_eq!(in_record, in_schema, "{name}");
        assert_eq!(read(name, &record).unwrap(), record, "{name} is read as it was written");
    }
}

#[test]
fn the_examples_of_a_schema_are_records_that_are_read() {
    for name in FILES {
        let schema = schema(name);
        let examples = schema.document["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            schema.takes(example).unwrap_or_else(|error| panic!("{name}: {error}"));
            read(name, &serde_json::to_vec(example).unwrap())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn what_a_record_must_have_the_schema_requires() {
    for (name, record) in full() {
        let schema = schema(name);
        let whole: Value = serde_json::from_slice(&record).unwrap();
        let required: BTreeSet<&str> = schema.document["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        for member in whole.as_object().unwrap().keys() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(member);
            let bytes = serde_json::to_vec(&without).unwrap();
            let needed = required.contains(member.as_str());
            assert_eq!(schema.takes(&without).is_err(), needed, "{name} without {member}");
            assert_eq!(read(name, &bytes).is_err(), needed, "{name} without {member}, read");
        }
    }
}

/// A member's path, what is put there, and whether that is a record of the kind.
type Case = (&'static str, Value, bool);

fn judged_alike(name: &str, cases: Vec<Case>) {
    let schema = schema(name);
    let (_, record) = full().into_iter().find(|(of, _)| *of == name).unwrap();
    let whole: Value = serde_json::from_slice(&record).unwrap();
    for (path, value, good) in cases {
        let mut changed = whole.clone();
        let (parent, member) = path.rsplit_once('/').unwrap();
        changed
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .insert(member.to_owned(), value.clone());
        let bytes = serde_json::to_vec(&changed).unwrap();
        let (by_schema, by_code) = (schema.takes(&changed), read(name, &bytes));
        assert_eq!(by_schema.is_ok(), good, "{name} with {path} = {value}: the schema says {by_schema:?}");
        assert_eq!(by_code.is_ok(), good, "{name} with {path} = {value}: the code says {by_code:?}");
    }
}

fn long(length: usize) -> Value {
    Value::String("x".repeat(length))
}

fn times(path: &'static str) -> Vec<Case> {
    vec![
        (path, json!("2026-01-04T22:45:00Z"), true),
        (path, json!("2026-01-04T22:45:00.1234567+02:00"), true),
        (path, json!("2026-01-04T22:45:00"), false),
        (path, json!("2026-01-04"), false),
        (path, json!("yesterday"), false),
        (path, json!(1_767_567_600), false),
        (path, Value::Null, false),
    ]
}

#[test]
fn schema_and_reader_agree_on_observations() {
    let many = |count: usize| -> Value {
        (0..count).map(|n| (format!("l{n}"), json!("v"))).collect::<Map<_, _>>().into()
    };
    let mut cases = times("/observed_at");
    cases.retain(|(_, value, _)| *value != json!("2026-01-04T22:45:00.1234567+02:00"));
    cases.extend(vec![
        ("/v", json!(2), false),
        ("/v", json!("1"), false),
        ("/kind", json!("observatio"), false),
        ("/unheard_of", json!({"deep": [1]}), true),
        ("/source", long(MAX_NAME), true),
        ("/source", long(MAX_NAME + 1), false),
        ("/source", json!(""), false),
        ("/source", json!(7), false),
        ("/item", long(MAX_TEXT), true),
        ("/item", long(MAX_TEXT + 1), false),
        ("/item", json!(""), false),
        ("/currency", json!(""), false),
        ("/currency", long(17), false),
        ("/unit", Value::Null, true),
        ("/unit", long(MAX_NAME + 1), false),
        ("/url", long(MAX_URL), true),
        ("/url", long(MAX_URL + 1), false),
        ("/labels", json!({}), true),
        ("/labels", many(MAX_LABELS), true),
        ("/labels", many(MAX_LABELS + 1), false),
        ("/labels", json!({"": "v"}), false),
        ("/labels", json!({"n": 1}), false),
        ("/labels", json!([]), false),
        ("/labels", json!({"n": "x".repeat(MAX_TEXT + 1)}), false),
        ("/price", json!("0.123456789"), true),
        ("/price", json!("0.1234567891"), false),
        ("/price", json!("-999999999999"), true),
        ("/price", json!("9999999999999"), false),
        ("/price", json!(12.5), true),
        ("/price", json!(-3), true),
        ("/price", json!(2_000_000_000_000_i64), false),
        ("/price", json!("1,50"), false),
        ("/price", json!("+1"), false),
        ("/price", json!(" 1"), false),
        ("/price", json!(""), false),
        ("/price", json!(true), false),
        ("/price", Value::Null, false),
        ("/base", Value::Null, true),
        ("/base", json!(0), true),
        ("/base", json!("free"), false),
        ("/slot", Value::Null, true),
        ("/slot", json!({"start": "2026-01-04T22:45:00Z"}), false),
        ("/slot", json!([]), false),
        ("/slot/end", json!("2027-01-04T22:45:00Z"), true),
        ("/availability", json!("in_stock"), true),
        ("/availability", json!("out_of_stock"), true),
        ("/availability", json!("sold"), false),
        ("/availability", Value::Null, true),
        ("/quantity", json!(0), true),
        ("/quantity", json!(u32::MAX), true),
        ("/quantity", json!(u64::from(u32::MAX) + 1), false),
        ("/quantity", json!(-1), false),
        ("/quantity", json!(1.5), false),
        ("/as_written", Value::Null, true),
        ("/as_written", json!({}), false),
        ("/as_written/price", json!(""), false),
        ("/as_written/start", long(MAX_TEXT + 1), false),
    ]);
    judged_alike("observation", cases);
}

#[test]
fn schema_and_reader_agree_on_ticks() {
    let mut cases = times("/at");
    cases.extend(vec![
        ("/outcome", json!("ok"), true),
        ("/outcome", json!("failed"), true),
        ("/outcome", json!("perhaps"), false),
        ("/complete", json!(false), true),
        ("/complete", json!("yes"), false),
        ("/source", json!(""), false),
        ("/v", json!(2), false),
    ]);
    judged_alike("tick", cases);
}

#[test]
fn schema_and_reader_agree_on_what_the_processor_writes() {
    for (name, record) in full() {
        if matches!(name, "observation" | "tick") {
            continue;
        }
        let members: Value = serde_json::from_slice(&record).unwrap();
        judged_alike(name, vec![("/v", json!(2), false), ("/kind", json!("x"), false)]);
        for wrong in
            ["coordinates", "observed_at", "log_time", "at", "direction", "transition", "severity", "slot"]
        {
            if members.get(wrong).is_some() {
                let path: &'static str = Box::leak(format!("/{wrong}").into_boxed_str());
                judged_alike(name, vec![(path, json!("wrong"), false), (path, json!(7), false)]);
            }
        }
    }
    judged_alike(
        "dead-letter",
        vec![
            ("/payload", json!("text"), true),
            ("/payload", json!({"base64": "/w=="}), true),
            ("/payload", json!({}), false),
            ("/payload", json!(7), false),
            ("/payload_bytes", json!(-1), false),
            ("/truncated", json!("no"), false),
        ],
    );
    judged_alike(
        "alert",
        vec![
            ("/side", json!("above"), true),
            ("/side", json!("left"), false),
            ("/channels", json!([]), true),
        ],
    );
    judged_alike(
        "retried",
        vec![("/offset", json!(-1), false), ("/partition", json!(u64::from(u32::MAX) + 1), false)],
    );
}

#[test]
fn a_record_of_a_newer_version_is_not_taken_for_a_broken_one() {
    let (_, observation) = full().remove(0);
    let newer = String::from_utf8(observation).unwrap().replace("\"v\":1", "\"v\":2");
    assert!(matches!(wire::read_raw(newer.as_bytes()), Err(wire::WireError::Newer(2))));
    assert!(matches!(wire::read_raw(br#"{"v":1,"kind":"of somebody else"}"#), Ok(Raw::Other)));
}
