//! `pricemonitor dead-letters` beside and without `pricemonitor up`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use common::{SOON, Setup, manifest, pricemonitor, refused, run};
use pricemonitor_eventlog::embedded::{EmbeddedStore, Options};
use pricemonitor_eventlog::{EventLog, Layout, Topic, Write};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::wait;

const SPEC: &str =
    "sources:\n- {name: market, interval: 100ms, simulator: {events: 1, seed: 1}}\nsuspend: true";

/// Puts records on the raw topic, as somebody else's client would on a cluster. Nobody else may have the folder.
fn put(setup: &Setup, records: &[(&[u8], &[u8])]) {
    let store = EmbeddedStore::open(&setup.data(), Options::default()).unwrap();
    let layout = Layout { partitions: 1, ..Layout::default() };
    let log = store.monitor(&MonitorId::new(None, "letters"), &layout).unwrap();
    let write = |(key, value): &(&[u8], &[u8])| Write {
        partition: None,
        key: Some(key.to_vec()),
        value: Some(value.to_vec()),
    };
    let records: Vec<(Topic, Write)> = records.iter().map(|record| (Topic::Raw, write(record))).collect();
    log.put(&records).unwrap();
}

fn letters(setup: &Setup, arguments: &[&str]) -> Finished {
    let mut command = pricemonitor();
    command.arg("dead-letters").arg(arguments[0]).arg("-f").arg(setup.manifest());
    command.arg("--data-dir").arg(setup.data()).args(&arguments[1..]);
    Process::start(&mut command).unwrap().wait(SOON).unwrap()
}

fn said(setup: &Setup, arguments: &[&str]) -> String {
    let finished = letters(setup, arguments);
    assert_eq!(finished.code(), Some(0), "{arguments:?}: {}", finished.output.all());
    finished.output.stdout
}

/// Runs `up` until the list has `count` lines of JSON, calls `then` beside it, and stops it.
fn processed(setup: &Setup, count: usize, then: impl FnOnce()) {
    let up = setup.up();
    let lines = || said(setup, &["list", "--format", "json"]).lines().count();
    wait::until("the letters to be written", SOON, || lines() == count).unwrap();
    then();
    assert_eq!(up.terminate(SOON).unwrap().code(), Some(0));
}

#[test]
fn dead_letters_are_listed_beside_up_and_put_back_once_it_is_stopped() {
    let setup = Setup::new(&manifest("letters", SPEC));
    let good = br#"{"v":1,"kind":"observation","source":"shop","item":"i","price":"1.10","currency":"EUR","observed_at":"2026-01-01T00:00:00Z"}"#;
    put(
        &setup,
        &[(b"shop/i", good), (b"shop/\x1b[2J", b"{\"price\": 1.10, \x07 broken"), (b"k", b"\xff\xfe")],
    );
    processed(&setup, 2, || {
        let list = said(&setup, &["list"]);
        assert!(list.starts_with("letters: 2 dead letters\n"), "{list}");
        assert!(list.contains("0:0") && list.contains("0:1") && list.contains("malformed"), "{list}");
        assert!(list.contains("shop/\\u{1b}[2J") && list.contains("\\xff\\xfe"), "{list}");
        assert!(!list.contains('\x1b') && !list.contains('\x07'), "nothing reaches the terminal: {list}");
        refused(&letters(&setup, &["retry", "0:0"]), 1, &["in use by another pricemonitor", "stop that one"]);
        assert!(
            said(&setup, &["retry", "--all", "--dry-run"]).starts_with("would put back 2 records: 0:0, 0:1")
        );
    });

    let show = said(&setup, &["show", "0:0"]);
    for part in [
        "raw record   partition 0, offset 1 ",
        "reason       malformed",
        "shop/\\u{1b}[2J",
        "1.10, \\u{7}",
        "retried      never",
    ] {
        assert!(show.contains(part), "`{part}` is not in: {show}");
    }
    assert!(!show.contains('\x1b') && !show.contains('\x07'), "{show}");
    let json = said(&setup, &["show", "0:1", "--format", "json"]);
    assert!(
        json.contains(r#""payload":{"base64":"//4="}"#) && json.contains(r#""monitor":"default.letters""#),
        "{json}"
    );
    assert_eq!(said(&setup, &["list", "--reason", "future"]), "letters: no dead letters\n");
    assert_eq!(said(&setup, &["list", "--limit", "1", "--format", "json"]).lines().count(), 1);
    assert_eq!(said(&setup, &["list", "--since", "1h", "--format", "json"]).lines().count(), 2);

    assert_eq!(said(&setup, &["retry", "0:0"]), "put back 1 record: 0:0\n");
    let twice = said(&setup, &["retry", "--all", "--reason", "malformed"]);
    assert!(
        twice.starts_with("put back 1 record: 0:1\n") && twice.contains("put back before: 1 (--again"),
        "{twice}"
    );
    assert!(said(&setup, &["list"]).matches("[retried]").count() == 2);
    assert!(said(&setup, &["retry", "0:0", "--again"]).starts_with("put back 1 record"));
    // As wrong as before: three more.
    processed(&setup, 5, || ());
}

#[test]
fn what_cannot_be_answered_is_told_with_the_way_out() {
    let setup = Setup::new(&manifest("letters", SPEC));
    refused(&letters(&setup, &["list"]), 1, &["there is no event log in", "--data-dir"]);
    assert!(!setup.data().exists(), "looking makes no folder");
    refused(&letters(&setup, &["retry", "--all"]), 1, &["there is no event log in"]);
    assert!(!setup.data().exists(), "nor does a retry");
    put(&setup, &[]);
    refused(&letters(&setup, &["show", "0:7"]), 1, &["no dead letter 0:7", "dead-letters list"]);
    refused(&letters(&setup, &["retry", "0:7"]), 1, &["no dead letter 0:7"]);
    refused(&letters(&setup, &["list", "--since", "soon"]), 1, &["--since soon", "24h"]);
    refused(&letters(&setup, &["list", "--monitor", "other"]), 1, &["no such monitor", "letters"]);
    for wrong in [&["show", "7"][..], &["retry"], &["retry", "--all", "0:7"]] {
        assert_eq!(letters(&setup, wrong).code(), Some(2), "{wrong:?}");
    }
    let help = run(&["dead-letters", "--help"]).output.stdout;
    assert!(help.contains("dead-letters retry -f monitor.yaml --all --reason future"), "{help}");
}
