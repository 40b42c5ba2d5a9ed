//! What is particular to the embedded engine: its folder, its file, its retention.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use conformance::workers::{Counter, Notes, all, fold_all, restored, sink_until, values};
use conformance::{append, lag, member, noise, producer, record};
use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Keep, Options, Retention};
use pricemonitor_eventlog::{Append, Error, EventLog, Layout, Position, Stop, Topic, Write};
use pricemonitor_model::{MonitorId, Time};

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Options::default()).unwrap()
}

fn log(store: &EmbeddedStore, partitions: u32) -> EmbeddedLog {
    store.monitor(&MonitorId::new(None, "m"), &Layout { partitions, ..Layout::default() }).unwrap()
}

fn refused(dir: &Path) -> Error {
    EmbeddedStore::open(dir, Options::default()).unwrap_err()
}

#[test]
fn a_second_process_is_refused_with_the_first_ones_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let error = refused(folder.path());
    assert!(matches!(error, Error::InUse(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert!(text.contains("--data-dir"), "{text}");
    let log = log(&store, 1);
    store.close();
    assert!(matches!(refused(folder.path()), Error::InUse(_)), "a log of it is still in use");
    drop(log);
    open(folder.path());
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).close();
    let file = folder.path().join("log.sqlite");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, Error::Newer(_)), "{error:?}");
    assert!(error.to_string().contains("format 99"), "{error}");
    let conn = rusqlite::Connection::open(&file).unwrap();
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_of_an_older_format_is_migrated_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    append(&mut producer(&log(&store, 1)), &[record("a", "old")]);
    store.close();
    // Format 1 knew no compression; a small batch is stored as it always was.
    let conn = rusqlite::Connection::open(folder.path().join("log.sqlite")).unwrap();
    conn.execute_batch("ALTER TABLE batches DROP COLUMN plain; PRAGMA user_version = 1").unwrap();
    drop(conn);
    let store = open(folder.path());
    let one = log(&store, 1);
    append(&mut producer(&one), &[record("a", &"new".repeat(1000))]);
    assert_eq!(values(&all(&one, Topic::Raw), "a"), ["old", &"new".repeat(1000)]);
}

#[test]
fn a_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let conn = rusqlite::Connection::open(folder.path().join("log.sqlite")).unwrap();
    conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, Error::Storage(_)) && error.to_string().contains("another program"), "{error:?}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("log.sqlite"), "not a database, ".repeat(1000)).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, Error::Storage(_)) && error.to_string().contains("damaged"), "{error:?}");
}

#[test]
fn damage_in_the_middle_of_the_file_is_told_and_never_read_as_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let before = log(&store, 1);
    let large = noise(1, 2000);
    for n in 0..200 {
        append(&mut producer(&before), &[record(&format!("k{n}"), &large)]);
    }
    drop(before);
    store.close();
    let file = folder.path().join("log.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
    bytes[from..to].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    // Either the opening notices, or the reading does.
    let error = match EmbeddedStore::open(folder.path(), Options::default()) {
        Err(error) => error,
        Ok(store) => {
            let layout = Layout { partitions: 1, ..Layout::default() };
            match store.monitor(&MonitorId::new(None, "m"), &layout) {
                Err(error) => error,
                Ok(log) => {
                    let mut notes = Notes::default();
                    let result = log.sink(&member("s", "one"), Topic::Raw, &mut notes, &Stop::new());
                    for seen in notes.seen.lock().unwrap().iter() {
                        assert_eq!(seen.value.as_deref(), Some(large.as_str()));
                    }
                    result.unwrap_err()
                }
            }
        }
    };
    assert!(matches!(error, Error::Storage(_)) && error.to_string().contains("damaged"), "{error:?}");
}

#[test]
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for dir in
        [file.as_path(), &file.join("below"), Path::new("/proc/pricemonitor"), Path::new("/sys/kernel")]
    {
        let error = refused(dir);
        assert!(matches!(error, Error::Storage(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&*dir.to_string_lossy()) && text.contains("--data-dir"), "{text}");
        assert_eq!(text.contains("is a file"), dir == file, "{text}");
    }
}

#[test]
fn another_number_of_partitions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    log(&store, 3);
    store.close();
    let store = open(folder.path());
    let layout = Layout { partitions: 4, ..Layout::default() };
    let error = store.monitor(&MonitorId::new(None, "m"), &layout).unwrap_err();
    assert!(matches!(error, Error::Position(_)), "{error:?}");
    assert!(error.to_string().contains("partitions: 3"), "{error}");
    assert!(store.monitor(&MonitorId::new(None, "none"), &Layout::default()).is_err(), "0 partitions");
    log(&store, 3);
}

#[test]
fn monitors_in_one_file_do_not_see_each_other_and_names_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let layout = Layout { partitions: 2, names: [("raw", "mine".to_owned())].into() };
    let (a, b) = (MonitorId::new(None, "a"), MonitorId::new(Some("ns"), "a"));
    let one = store.monitor(&a, &layout).unwrap();
    let two = store.monitor(&b, &Layout { partitions: 3, ..Layout::default() }).unwrap();
    append(&mut producer(&one), &[record("k", "one")]);
    append(&mut producer(&two), &[record("k", "two")]);
    assert_eq!(values(&all(&one, Topic::Raw), "k"), ["one"]);
    assert_eq!(values(&all(&two, Topic::Raw), "k"), ["two"]);
    assert_eq!((one.name(Topic::Raw), two.name(Topic::Raw)), ("mine", "ns.a.raw_prices"));
    // A second handle is the same log.
    let again = store.monitor(&a, &layout).unwrap();
    append(&mut producer(&again), &[record("k", "again")]);
    assert_eq!(lag(&one, "nobody", Topic::Raw), 2);
    let life = one.incarnation(Topic::Raw);
    drop((one, two, again));
    store.close();
    let store = open(folder.path());
    let renamed = store.monitor(&a, &Layout { partitions: 2, ..Layout::default() }).unwrap();
    assert_eq!(renamed.name(Topic::Raw), "default.a.raw_prices");
    assert_eq!(renamed.incarnation(Topic::Raw), life);
    assert_eq!(values(&all(&renamed, Topic::Raw), "k"), ["one", "again"]);
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        EmbeddedStore::open(folder.path(), Options { max_bytes: Some(1 << 20), ..Options::default() });
    let store = store.unwrap();
    let one = log(&store, 2);
    let mut door = producer(&one);
    let large = noise(1, 10_000);
    let mut acknowledged = Vec::new();
    let error = loop {
        let n = acknowledged.len().to_string();
        assert!(acknowledged.len() < 200, "the limit does not hold");
        match door.append("s", &[record(&n, &large)], Some(n.as_bytes())) {
            Ok(_) => acknowledged.push(n),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Retry(_)) && error.to_string().contains("no room"), "{error:?}");
    assert!(!acknowledged.is_empty());
    let status = one.status();
    assert!(status.unavailable.unwrap().contains("no room"));
    assert!(status.bytes.unwrap() >= 1 << 19);
    store.set_max_bytes(None).unwrap();
    door.append("s", &[record("after", "x")], Some(b"after")).unwrap();
    assert_eq!(one.status().unavailable, None);
    acknowledged.push("after".to_owned());
    drop((door, one));
    store.close();
    let store = open(folder.path());
    let mut keys: Vec<_> = all(&log(&store, 2), Topic::Raw).into_iter().filter_map(|seen| seen.key).collect();
    keys.sort();
    acknowledged.sort();
    assert_eq!(keys, acknowledged);
}

#[test]
fn state_is_compacted_while_it_is_worked_on_and_equals_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        EmbeddedStore::open(folder.path(), Options { batch_records: 10, ..Options::default() }).unwrap();
    let one = log(&store, 2);
    let mut door = producer(&one);
    let mut expected = std::collections::BTreeMap::new();
    for round in 0..40u64 {
        // 100 keys of 20 kB; each seventh goes away at times and may come again.
        let value = |n: u64| if n % 7 == round % 7 { "remove" } else { "x" };
        let records: Vec<Write> = (0..100).map(|n| record(&format!("k{n}"), value(n))).collect();
        append(&mut door, &records);
        for n in 0..100 {
            match value(n) {
                "remove" => expected.remove(&format!("k{n}")),
                _ => expected.insert(format!("k{n}"), expected.get(&format!("k{n}")).unwrap_or(&0) + 1),
            };
        }
        if round % 10 == 9 {
            let mut counter = Counter { weight: 20_000, ..Counter::default() };
            fold_all(&one, &member("fold", "one"), &mut counter);
        }
    }
    drop((door, one));
    store.close();
    // 80 MB of state was written, of which 2 MB count; the room of the rest is used again.
    let size = std::fs::metadata(folder.path().join("log.sqlite")).unwrap().len();
    assert!(size < 40 << 20, "{size}");
    let store = open(folder.path());
    let counts: std::collections::BTreeMap<String, u64> =
        restored(&log(&store, 2), "fold").into_values().flat_map(|(_, keys)| keys).collect();
    assert_eq!(counts, expected);
}

#[test]
fn a_record_that_is_too_large_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let log = log(&store, 1);
    let mut door = producer(&log);
    let huge = Write { value: Some(vec![b'x'; 9 << 20]), ..record("a", "") };
    let error = door.append("s", &[record("a", "1"), huge], None).unwrap_err();
    assert!(matches!(error, Error::TooLarge(_)), "{error:?}");
    append(&mut door, &[record("a", "2")]);
    assert_eq!(values(&all(&log, Topic::Raw), "a"), ["2"]);
}

/// A store whose clock is set by the test, and that keeps little.
struct Aging {
    folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
    keep: Keep,
}

const DAY: i64 = 86_400_000;

impl Aging {
    fn new(keep: Keep) -> Aging {
        Aging { folder: tempfile::tempdir().unwrap(), now: Arc::new(AtomicI64::new(1_700_000_000_000)), keep }
    }

    fn open(&self) -> EmbeddedStore {
        let now = self.now.clone();
        let retention =
            Retention { raw: self.keep, processed: self.keep, alerts: self.keep, dead_letters: self.keep };
        let clock = Arc::new(move || Time::from_millis(now.load(Ordering::SeqCst)));
        let maintenance = Duration::from_secs(3600);
        let options = Options { retention, clock, maintenance, ..Options::default() };
        EmbeddedStore::open(self.folder.path(), options).unwrap()
    }

    fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

fn day() -> Keep {
    Keep { age: Duration::from_secs(86_400), bytes: u64::MAX }
}

#[test]
fn old_records_go_once_everybody_has_read_them() {
    let aging = Aging::new(day());
    let store = aging.open();
    let log = log(&store, 2);
    let mut door = producer(&log);
    for n in 0..20 {
        append(&mut door, &[record(&format!("k{n}"), "old")]);
    }
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    let who = member("sink", "one");
    sink_until(&log, &who, Topic::Raw, &mut notes, "all", || seen.lock().unwrap().len() == 20).unwrap();
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    append(&mut door, &[record("k0", "unread")]);
    aging.pass(DAY / 2);
    assert_eq!(store.expire().unwrap(), 0, "nothing is old");
    aging.pass(DAY);
    append(&mut door, &[record("k0", "young")]);
    let gone = store.expire().unwrap();
    assert_eq!(gone, 40, "20 raw that both have read, 20 processed that nobody waits for");
    assert_eq!(lag(&log, "sink", Topic::Raw), 2, "what was not read stays, however old");
    assert_eq!(values(&all(&log, Topic::Raw), "k0"), ["unread", "young"]);
    // Who stands before what is left, is told.
    let start = Position { incarnation: log.incarnation(Topic::Raw), next_offset: 0 };
    let mut behind = Notes { positions: [(0, start), (1, start)].into(), ..Notes::default() };
    let error = log.sink(&member("late", "one"), Topic::Raw, &mut behind, &Stop::new()).unwrap_err();
    assert!(matches!(error, Error::Position(_)) && error.to_string().contains("retention"), "{error:?}");
}

#[test]
fn offsets_go_on_after_everything_was_deleted_and_the_log_reopened() {
    let aging = Aging::new(day());
    let store = aging.open();
    let one = log(&store, 1);
    append(&mut producer(&one), &[record("a", "1"), record("a", "2")]);
    fold_all(&one, &member("fold", "one"), &mut Counter::default());
    aging.pass(2 * DAY);
    assert_eq!(store.expire().unwrap(), 4);
    drop(one);
    store.close();
    let store = aging.open();
    let one = log(&store, 1);
    append(&mut producer(&one), &[record("a", "3")]);
    let seen = all(&one, Topic::Raw);
    assert_eq!(seen.iter().map(|seen| seen.offset).collect::<Vec<_>>(), [2]);
    fold_all(&one, &member("fold", "one"), &mut Counter::default());
    assert_eq!(values(&all(&one, Topic::Processed), "a"), ["3#3"]);
}

#[test]
fn the_size_limit_takes_the_oldest_and_room_is_given_back() {
    let aging = Aging::new(Keep { age: Duration::from_secs(86_400 * 365), bytes: 200_000 });
    let store = aging.open();
    let log = log(&store, 2);
    let mut door = producer(&log);
    let large = noise(1, 10_000);
    let mut largest = 0;
    for n in 0..600 {
        append(&mut door, &[record(&format!("k{n}"), &format!("{n}{large}"))]);
        if n % 20 == 19 {
            fold_all(&log, &member("fold", "one"), &mut Counter::default());
            store.expire().unwrap();
            largest = largest.max(std::fs::metadata(aging.folder.path().join("log.sqlite")).unwrap().len());
        }
    }
    let left = all(&log, Topic::Raw);
    assert!((10..=21).contains(&left.len()), "{} records of 10 kB in 200 kB", left.len());
    assert!(left.iter().any(|seen| seen.key.as_deref() == Some("k599")), "the newest is there");
    // 12 MB went through; the file is some of what is kept and some free pages.
    assert!(largest < 8 << 20, "{largest}");
}

#[test]
fn a_group_that_left_for_good_holds_nothing_for_ever() {
    let aging = Aging::new(day());
    let store = aging.open();
    let one = log(&store, 1);
    append(&mut producer(&one), &[record("a", "1")]);
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    let who = member("removed", "one");
    sink_until(&one, &who, Topic::Raw, &mut notes, "one", || seen.lock().unwrap().len() == 1).unwrap();
    append(&mut producer(&one), &[record("a", "2")]);
    drop(one);
    store.close();
    let store = aging.open();
    let one = log(&store, 1);
    aging.pass(3 * DAY);
    assert_eq!(store.expire().unwrap(), 1, "it may come back");
    aging.pass(5 * DAY);
    assert_eq!(store.expire().unwrap(), 1, "it was not heard of for a week");
    drop(one);
}

#[test]
fn a_clock_that_is_set_back_does_not_set_back_the_log() {
    let aging = Aging::new(day());
    let store = aging.open();
    let one = log(&store, 2);
    let first = append(&mut producer(&one), &[record("a", "1")]).at;
    aging.pass(-DAY);
    let second = append(&mut producer(&one), &[record("b", "2")]).at;
    assert_eq!(second, first);
    drop(one);
    store.close();
    let store = aging.open();
    let third = append(&mut producer(&log(&store, 2)), &[record("c", "3")]).at;
    assert_eq!(third, first, "not after a restart either");
}
