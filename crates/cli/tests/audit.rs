//! `pricemonitor audit` says nothing of an installation that is whole, and finds what was planted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{SOON, Setup, manifest, pricemonitor, refused, run};
use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Options};
use pricemonitor_eventlog::{EventLog, Layout, Topic, Write};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::{read, wait};
use serde_json::Value;

const SPEC: &str = "
sources:
- {name: market, interval: 100ms, simulator: {events: 6, seed: 3}}
storage:
  csv: {path: prices.csv, source: audit}
";
const BROKEN: &str = "{\"v\":1, broken";

/// What `up` left behind after some hundred observations, alerts and a dead letter; made once.
static WHOLE: LazyLock<Setup> = LazyLock::new(|| {
    let setup = Setup::new(&manifest("audit", SPEC));
    with_log(&setup.data(), |log| {
        let write = Write { partition: Some(0), key: Some(b"k".to_vec()), value: Some(BROKEN.into()) };
        log.put(&[(Topic::Raw, write)]).unwrap();
    });
    let up = setup.up();
    let enough = || {
        let alerts = read::number(&setup.prices(), "SELECT count(*) FROM price_drop_alerts").unwrap_or(0);
        setup.rows() >= 400 && alerts >= 10
    };
    wait::until("enough to compare", SOON, enough).unwrap();
    // Beside the workers at work, whatever is on its way.
    for _ in 0..3 {
        let finished = audit(&setup.manifest(), &setup.data(), &[]);
        assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
        assert!(finished.output.stdout.starts_with("audit: clean\n"), "{}", finished.output.all());
    }
    assert_eq!(up.terminate(SOON).unwrap().code(), Some(0));
    setup
});

fn audit(manifest: &Path, data: &Path, arguments: &[&str]) -> Finished {
    let mut command = pricemonitor();
    command.arg("audit").arg("-f").arg(manifest).arg("--data-dir").arg(data).args(arguments);
    Process::start(&mut command).unwrap().wait(SOON).unwrap()
}

fn with_log<T>(data: &Path, then: impl FnOnce(&EmbeddedLog) -> T) -> T {
    let store = EmbeddedStore::open(data, Options::default()).unwrap();
    let layout = Layout { partitions: 1, ..Layout::default() };
    then(&store.monitor(&MonitorId::new(None, "audit"), &layout).unwrap())
}

/// Values of a topic.
fn values(log: &EmbeddedLog, topic: Topic) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    let mut each = |record: &pricemonitor_eventlog::Record<'_>| {
        values.push(record.value.unwrap().to_vec());
        Ok(ControlFlow::Continue(()))
    };
    log.scan(topic, 0, 0, None, &mut each).unwrap();
    values
}

/// A copy of what `up` left behind, to be damaged.
struct Copy {
    _place: Place,
    data: PathBuf,
}

impl Copy {
    fn new() -> Copy {
        let place = Place::new().unwrap();
        let data = place.at("data");
        fs::create_dir_all(&data).unwrap();
        for entry in fs::read_dir(WHOLE.data()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
        }
        Copy { _place: place, data }
    }

    fn prices(&self, statement: &str) {
        let database = rusqlite::Connection::open(self.data.join("prices.sqlite")).unwrap();
        assert!(database.execute(statement, []).unwrap() > 0, "{statement}");
    }

    fn csv(&self) -> PathBuf {
        self.data.join("prices.csv")
    }

    /// What the audit finds: the words with how often, and all of it as text.
    fn found(&self) -> (Vec<(String, u64)>, String) {
        let finished = audit(&WHOLE.manifest(), &self.data, &["--format", "json"]);
        let report: Value = serde_json::from_str(finished.output.stdout.trim()).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let of = |finding: &Value| {
            (finding["what"].as_str().unwrap().to_owned(), finding["count"].as_u64().unwrap())
        };
        let clean = findings.is_empty();
        assert_eq!(report["clean"], clean);
        assert_eq!(finished.code(), Some(if clean { 0 } else { 1 }), "{}", finished.output.all());
        if !clean {
            refused(&finished, 1, &["not clean: audit"]);
        }
        (findings.iter().map(of).collect(), report.to_string())
    }

    #[track_caller]
    fn finds(&self, expected: &[(&str, u64)]) -> String {
        let (found, text) = self.found();
        let found: Vec<(&str, u64)> = found.iter().map(|(what, count)| (what.as_str(), *count)).collect();
        assert_eq!(found, expected, "{text}");
        text
    }
}

#[test]
fn an_installation_that_is_whole_is_clean_and_says_what_was_compared() {
    let finished = audit(&WHOLE.manifest(), &WHOLE.data(), &[]);
    let text = &finished.output.stdout;
    assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
    let rows = WHOLE.rows();
    for part in [
        format!("{rows} observations with {rows} events"),
        format!("{rows} observations with {rows} rows"),
        format!("{rows} lines of"),
        "1 refused raw record with 1 dead letter".to_owned(),
    ] {
        assert!(text.contains(&part), "`{part}` is not in: {text}");
    }
    assert!(text.starts_with("audit: clean\n") && !text.contains("note"), "all has arrived: {text}");
    Copy::new().finds(&[]);
}

#[test]
fn a_missing_row_and_a_doubled_one_are_found_by_their_place() {
    let copy = Copy::new();
    copy.prices(
        "DELETE FROM price_history WHERE \"offset\" = (SELECT min(\"offset\") + 7 FROM price_history)",
    );
    let text = copy.finds(&[("missing_row", 1)]);
    let place = format!(
        "-0-{}",
        read::number(&WHOLE.prices(), "SELECT min(\"offset\") + 7 FROM price_history").unwrap()
    );
    assert!(text.contains(&place), "{place}: {text}");

    let copy = Copy::new();
    copy.prices(
        "INSERT INTO price_history SELECT series, at + 1, seen, stream, \"offset\", value, price, base, length, changed, current
         FROM price_history LIMIT 2",
    );
    copy.finds(&[("doubled_row", 2)]);

    // A row that comes from the broken record.
    let copy = Copy::new();
    copy.prices(
        "UPDATE price_history SET \"offset\" = 0 WHERE \"offset\" = (SELECT max(\"offset\") FROM price_history)",
    );
    copy.finds(&[("missing_row", 1), ("causeless_row", 1)]);
}

#[test]
fn a_torn_csv_file_is_found_however_it_was_torn() {
    let lines = |copy: &Copy| fs::read_to_string(copy.csv()).unwrap();
    let copy = Copy::new();
    fs::write(copy.csv(), lines(&copy) + "2026-01-01T00:00:00,1.").unwrap();
    copy.finds(&[("torn_file", 1)]);

    let copy = Copy::new();
    let text = lines(&copy);
    fs::write(copy.csv(), &text[..text.len() - 10]).unwrap();
    let (found, told) = copy.found();
    let words: Vec<&str> = found.iter().map(|(what, _)| what.as_str()).collect();
    assert!(words.contains(&"shortened_file") && words.contains(&"missing_line"), "{told}");

    // In the middle, with as many bytes as before: a line has lost its end to the next.
    let copy = Copy::new();
    let text = lines(&copy);
    let (at, _) = text.match_indices('\n').nth(5).unwrap();
    let torn = format!("{}{}{}", &text[..at], "x", &text[at + 1..]);
    fs::write(copy.csv(), torn).unwrap();
    copy.finds(&[("missing_line", 2), ("torn_line", 1)]);

    // A line in place of another of the same length, far from the end.
    let copy = Copy::new();
    let text = lines(&copy);
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let twin = (2..all.len() - 100).find(|n| all[*n].len() == all[1].len() && all[*n] != all[1]).unwrap();
    let mut changed = all.clone();
    changed[twin] = all[1];
    fs::write(copy.csv(), changed.concat()).unwrap();
    let text = copy.finds(&[("missing_line", 1), ("doubled_line", 1)]);
    assert!(text.contains(&format!("line {}", twin + 1)), "{text}");

    let copy = Copy::new();
    fs::remove_file(copy.data.join("prices.csv.pos")).unwrap();
    copy.finds(&[("changed_file", 1)]);
}

#[test]
fn a_missing_event_a_doubled_one_and_one_without_a_cause_are_found() {
    // The first batch of the processed topic.
    let copy = Copy::new();
    let first = with_log(&copy.data, |log| values(log, Topic::Processed));
    let log = rusqlite::Connection::open(copy.data.join("log.sqlite")).unwrap();
    let gone: u32 = log
        .query_row(
            "DELETE FROM batches WHERE id = (SELECT min(b.id) FROM batches b JOIN streams s ON s.id = b.id >> 43
             JOIN topics t ON t.id = s.topic WHERE t.topic = 'processed') RETURNING records",
            [],
            |row| row.get(0),
        )
        .unwrap();
    drop(log);
    copy.finds(&[("missing_event", gone.into())]);

    let copy = Copy::new();
    let causeless = String::from_utf8(first[1].clone()).unwrap();
    let offset = causeless.find("\"offset\":").unwrap();
    let causeless = format!("{}\"offset\":0}}}}", &causeless[..offset]);
    let put = |value: Vec<u8>| Write { partition: Some(0), key: None, value: Some(value) };
    with_log(&copy.data, |log| {
        log.put(&[(Topic::Processed, put(first[0].clone())), (Topic::Processed, put(causeless.into()))])
            .unwrap();
    });
    let text = copy.finds(&[("doubled_event", 1), ("causeless_event", 1)]);
    assert!(text.contains(&format!("again at 0:{}", first.len())), "{text}");
}

#[test]
fn doubled_and_missing_alerts_and_dead_letters_are_found() {
    let copy = Copy::new();
    let put = |value: &[u8]| Write { partition: Some(0), key: None, value: Some(value.to_vec()) };
    with_log(&copy.data, |log| {
        let (alerts, letters) = (values(log, Topic::Alerts), values(log, Topic::DeadLetters));
        log.put(&[(Topic::Alerts, put(&alerts[0])), (Topic::DeadLetters, put(&letters[0]))]).unwrap();
    });
    copy.finds(&[("doubled_dead_letter", 1), ("doubled_alert", 1)]);

    let copy = Copy::new();
    copy.prices("DELETE FROM price_drop_alerts WHERE seq = (SELECT min(seq) FROM price_drop_alerts)");
    copy.prices("UPDATE price_drop_alerts SET id = '00000000000000000000000000000abc' WHERE seq = (SELECT min(seq) FROM price_drop_alerts)");
    copy.finds(&[("missing_alert", 2), ("causeless_alert", 1)]);
}

#[test]
fn what_is_not_there_yet_is_a_note_and_a_wrong_position_is_wrong() {
    // Records that nobody has read.
    let copy = Copy::new();
    let raw = with_log(&copy.data, |log| {
        let raw = values(log, Topic::Raw);
        let observation =
            raw.iter().find(|value| value.starts_with(b"{\"v\":1,\"kind\":\"observation\"")).unwrap();
        let key = format!("market/{}", "late");
        log.put(&[(
            Topic::Raw,
            Write { partition: None, key: Some(key.into()), value: Some(observation.clone()) },
        )])
        .unwrap();
        raw.len()
    });
    let text = copy.finds(&[]);
    for who in ["processor", "history", "csv"] {
        assert!(text.contains(&format!("{who} is 1 record behind on partition 0")), "{text}");
    }
    // The log was replaced by an older copy.
    let copy = Copy::new();
    copy.prices("UPDATE sink_offsets SET next_offset = next_offset + 10 WHERE sink = 'history'");
    let text = copy.finds(&[("wrong_position", 1)]);
    assert!(text.contains(&format!("stands at {}, the partition ends at {raw}", raw + 10)), "{text}");
    // By one of another life.
    let copy = Copy::new();
    copy.prices("UPDATE sink_offsets SET incarnation = 7 WHERE sink = 'history'");
    let (found, told) = copy.found();
    assert!(found.iter().any(|(what, _)| what == "wrong_position"), "{told}");
}

#[test]
fn an_audit_without_an_installation_says_where_to_look() {
    let setup = Setup::new(&manifest("audit", SPEC));
    refused(&audit(&setup.manifest(), &setup.data(), &[]), 1, &["no event log in", "--data-dir"]);
    assert!(!setup.data().exists());
    assert!(run(&["audit", "--help"]).output.stdout.contains("Exit codes: 0 clean, 1 not clean"));
}
