//! The CSV file, killed at every byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, unreachable_pub)]
#[path = "suite/common.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{LIFE, START, price, rows};
use pricemonitor_model::{AsWritten, Incarnation, Observation, Slot, Time};
use pricemonitor_store::csv::{CsvSink, Look, Standing, look};
use pricemonitor_store::{Error, Written};

const HEADER: &str = "received_timestamp,price,startDate,endDate,source\n";

fn history() -> Vec<Observation<'static>> {
    (0..6)
        .map(|n| {
            let start = START.plus(n * 3_600_000);
            let mut o = Observation::new("spot", "FI", price("1.5"), "EUR", START.plus(n * 1500));
            o.slot = Some(Slot { start, end: start.plus(3_600_000) });
            let text = |text: String| Some(text.into());
            if n % 3 > 0 {
                o.as_written = Some(AsWritten {
                    price: format!("{n}.500").into(),
                    start: if n % 3 == 1 { text(format!("2026-06-25T{n:02}:00:00+03:00")) } else { None },
                    end: text(format!("a \"quoted\", {n}")),
                });
            }
            o
        })
        .collect()
}

fn sidecar(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.pos", path.display()))
}

/// Appends what is missing, in batches of `size`, as the log would give it.
fn feed(path: &Path, size: usize) {
    let history = history();
    let all = rows(&history, 0);
    let mut sink = CsvSink::open(path, "electricity-price-monitor").unwrap();
    let from = sink.position(0).map_or(0, |(_, next)| next) as usize;
    for batch in all[from..].chunks(size) {
        let next = batch.last().unwrap().offset + 1;
        sink.append(LIFE, 0, batch, next).unwrap();
        assert_eq!(sink.position(0), Some((LIFE, next)));
    }
}

fn expected() -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    feed(&path, 6);
    fs::read_to_string(path).unwrap()
}

#[test]
fn lines_are_as_the_source_wrote_them_and_else_canonical() {
    let text = expected();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(format!("{}\n", lines[0]), HEADER);
    assert_eq!(
        lines[1],
        "2026-03-25T00:00:00,1.5,2026-03-25T00:00:00.000Z,2026-03-25T01:00:00.000Z,electricity-price-monitor"
    );
    assert_eq!(
        lines[2],
        "2026-03-25T00:00:01,1.500,2026-06-25T01:00:00+03:00,\"a \"\"quoted\"\", 1\",electricity-price-monitor"
    );
    assert_eq!(
        lines[3],
        "2026-03-25T00:00:03,2.500,2026-03-25T02:00:00.000Z,\"a \"\"quoted\"\", 2\",electricity-price-monitor"
    );
}

#[test]
fn a_quote_begins_and_ends_when_it_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/prices.csv");
    let seen = [Observation::new("s", "i", price("-0.10"), "USD", Time::from_seconds(1))];
    CsvSink::open(&path, "a,b").unwrap().append(LIFE, 3, &rows(&seen, 0), 1).unwrap();
    let line = "1970-01-01T00:00:01,-0.10,1970-01-01T00:00:01.000Z,1970-01-01T00:00:01.000Z,\"a,b\"\n";
    assert_eq!(fs::read_to_string(path).unwrap(), format!("{HEADER}{line}"));
}

/// The states that a kill can leave: the file grown by some bytes with the old sidecar, some bytes of the
/// next sidecar beside it, and the new sidecar. From each, the file becomes exactly what it should be.
#[test]
fn a_kill_at_any_byte_costs_nothing_and_doubles_nothing() {
    let want = expected();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    let draft = PathBuf::from(format!("{}.pos.tmp", path.display()));
    let history = history();
    let all = rows(&history, 0);
    // Snapshots before and after each append.
    let mut steps: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut sink = CsvSink::open(&path, "electricity-price-monitor").unwrap();
    steps.push((fs::read(&path).unwrap(), fs::read(sidecar(&path)).unwrap()));
    for batch in all.chunks(2) {
        sink.append(LIFE, 0, batch, batch.last().unwrap().offset + 1).unwrap();
        steps.push((fs::read(&path).unwrap(), fs::read(sidecar(&path)).unwrap()));
    }
    drop(sink);
    let mut crashes = 0;
    let mut crash = |csv: &[u8], pos: Option<&[u8]>, tmp: Option<&[u8]>| {
        for (file, bytes) in [(&sidecar(&path), pos), (&draft, tmp)] {
            match bytes {
                Some(bytes) => fs::write(file, bytes).unwrap(),
                None => drop(fs::remove_file(file)),
            }
        }
        fs::write(&path, csv).unwrap();
        feed(&path, 2 + crashes % 5);
        assert_eq!(fs::read_to_string(&path).unwrap(), want);
        crashes += 1;
    };
    // While the file is made.
    let (header, first) = &steps[0];
    (0..=header.len()).for_each(|n| crash(&header[..n], None, None));
    (0..=first.len()).for_each(|n| crash(header, None, Some(&first[..n])));
    // While it grows.
    for step in steps.windows(2) {
        let ((old, old_pos), (new, new_pos)) = (&step[0], &step[1]);
        (old.len()..=new.len()).for_each(|n| crash(&new[..n], Some(old_pos), None));
        (0..=new_pos.len()).step_by(7).for_each(|n| crash(new, Some(old_pos), Some(&new_pos[..n])));
        crash(new, Some(new_pos), None);
        // A file system may leave old bytes or zeros behind the acknowledged length.
        let torn = [&old[..], &[0; 100]].concat();
        crash(&torn, Some(old_pos), None);
    }
    assert!(crashes > 800, "{crashes}");
}

#[test]
fn what_was_appended_is_passed_over_and_partitions_stand_for_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    let history = history();
    let mut sink = CsvSink::open(&path, "x").unwrap();
    sink.append(LIFE, 0, &rows(&history[..4], 0), 4).unwrap();
    let again = sink.append(LIFE, 0, &rows(&history[..4], 0), 4).unwrap();
    assert_eq!(again, Written { rows: 0, duplicates: 4 });
    let more = sink.append(LIFE, 0, &rows(&history[2..6], 2), 6).unwrap();
    assert_eq!(more, Written { rows: 2, duplicates: 2 });
    sink.append(LIFE, 1, &rows(&history[..1], 0), 1).unwrap();
    // Ticks alone.
    sink.append(LIFE, 1, &[], 9).unwrap();
    drop(sink);
    let sink = CsvSink::open(&path, "x").unwrap();
    assert_eq!(
        (sink.position(0), sink.position(1), sink.position(2)),
        (Some((LIFE, 6)), Some((LIFE, 9)), None)
    );
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1 + 6 + 1);
}

#[test]
fn another_life_of_the_topic_is_not_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    let history = history();
    let mut sink = CsvSink::open(&path, "x").unwrap();
    sink.append(LIFE, 0, &rows(&history[..1], 0), 1).unwrap();
    let error = sink.append(Incarnation(5), 0, &rows(&history[1..], 0), 5).unwrap_err();
    assert!(matches!(&error, Error::Incarnation(_)), "{error}");
    sink.append(LIFE, 0, &rows(&history[1..2], 1), 2).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
}

#[test]
fn somebody_elses_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    for text in
        ["mine\n", &format!("{HEADER}2026-01-01T00:00:00,1,2,3,x\n"), "received_timestamp;price\n", "\n"]
    {
        fs::write(&path, text).unwrap();
        let error = CsvSink::open(&path, "x").unwrap_err();
        assert!(matches!(&error, Error::Foreign(_)), "{error}");
        assert!(error.to_string().contains("was not written by PriceMonitor"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(!sidecar(&path).exists());
    }
}

#[test]
fn a_file_that_others_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    feed(&path, 3);
    let good = fs::read_to_string(&path).unwrap();
    let refused = |text: Option<&str>, word: &str| {
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = CsvSink::open(&path, "x").unwrap_err();
        assert!(matches!(&error, Error::Foreign(_)) && error.to_string().contains(word), "{error}");
    };
    refused(Some(&good[..good.len() - 1]), "shortened");
    refused(Some(&good.replace("1.5", "1,5")), "changed");
    refused(Some(&good.replacen('2', "3", 1)), "changed");
    refused(None, "shortened or removed");
    fs::write(&path, &good).unwrap();
    CsvSink::open(&path, "x").unwrap();
    for (text, newer) in [("", false), ("{}", false), ("{\"format\":1}", false), ("{\"format\":2}", true)] {
        fs::write(sidecar(&path), text).unwrap();
        let error = CsvSink::open(&path, "x").unwrap_err();
        assert_eq!(matches!(error, Error::Newer(_)), newer, "{error}");
    }
}

#[test]
fn after_a_failed_write_the_same_batch_makes_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    let history = history();
    let all = rows(&history, 0);
    let mut sink = CsvSink::open(&path, "electricity-price-monitor").unwrap();
    sink.append(LIFE, 0, &all[..3], 3).unwrap();
    // A folder in the place of the draft: the lines are written, the sidecar cannot be.
    let draft = PathBuf::from(format!("{}.pos.tmp", path.display()));
    fs::create_dir(&draft).unwrap();
    assert!(sink.append(LIFE, 0, &all[3..5], 5).is_err());
    assert_eq!(sink.position(0), Some((LIFE, 3)));
    assert!(CsvSink::open(&path, "x").unwrap_err().is_transient(), "nobody else has it meanwhile");
    fs::remove_dir(&draft).unwrap();
    sink.append(LIFE, 0, &all[3..4], 4).unwrap();
    sink.append(LIFE, 0, &all[3..], 6).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected());
}

#[test]
fn one_at_a_time_has_the_file_and_the_next_one_knows_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    let history = history();
    let all = rows(&history, 0);
    let mut one = CsvSink::open(&path, "electricity-price-monitor").unwrap();
    one.append(LIFE, 0, &all[..2], 2).unwrap();
    // The first one is in the middle of a batch.
    let torn = [fs::read(&path).unwrap().as_slice(), b"2026-03-25T00:0"].concat();
    fs::write(&path, &torn).unwrap();
    let error = CsvSink::open(&path, "electricity-price-monitor").unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("prices.csv is being written by another process"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), torn, "it is left alone");
    assert!(matches!(look(&path).unwrap(), Look::Both(_)), "to look is allowed");
    one.append(LIFE, 0, &all[2..4], 4).unwrap();
    drop(one);
    feed(&path, 2);
    assert_eq!(fs::read_to_string(&path).unwrap(), expected());
}

#[test]
fn a_file_is_looked_at_without_being_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    assert_eq!(look(&path).unwrap(), Look::Nothing);
    feed(&path, 4);
    let whole = fs::read(&path).unwrap();
    let standing = |path: &Path| match look(path).unwrap() {
        Look::Both(standing) => standing,
        other => panic!("{other:?}"),
    };
    let length = whole.len() as u64;
    let expected = Standing { positions: [(0, (LIFE, 6))].into(), length, found: length, intact: true };
    assert_eq!(standing(&path), expected);
    fs::write(&path, [whole.as_slice(), b"half a li"].concat()).unwrap();
    assert_eq!(standing(&path), Standing { found: length + 9, ..expected.clone() });
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(standing(&path), Standing { found: length - 1, intact: false, ..expected.clone() });
    fs::write(&path, [&whole[..whole.len() - 2], b"X\n"].concat()).unwrap();
    assert_eq!(standing(&path), Standing { intact: false, ..expected.clone() });
    fs::remove_file(&path).unwrap();
    assert_eq!(standing(&path), Standing { found: 0, intact: false, ..expected });
    fs::write(&path, &whole).unwrap();
    fs::remove_file(sidecar(&path)).unwrap();
    assert_eq!(look(&path).unwrap(), Look::Alone);
    assert_eq!(fs::read(&path).unwrap(), whole);
}
