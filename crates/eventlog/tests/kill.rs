//! `kill -9` at any moment: what was acknowledged is there, whole and once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use conformance::workers::{Counter, all, fold_all, restored};
use conformance::{gained, member, record};
use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Options};
use pricemonitor_eventlog::{Append, EventLog, Layout, Stop, Topic, Write};
use pricemonitor_model::MonitorId;

const FOLDER: &str = "PRICEMONITOR_TEST_KILL_FOLDER";
const PARTITIONS: u32 = 3;
const KEYS: u64 = 37;

fn open(dir: &Path) -> (EmbeddedStore, EmbeddedLog) {
    let store = EmbeddedStore::open(dir, Options::default()).unwrap();
    let layout = Layout { partitions: PARTITIONS, ..Layout::default() };
    let log = store.monitor(&MonitorId::new(None, "m"), &layout).unwrap();
    (store, log)
}

fn key(n: u64) -> String {
    format!("key{}", n % KEYS)
}

/// The child: appends numbered records and folds them, until it is killed. Does nothing when run as a test.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (_store, log) = open(Path::new(&folder));
    let folding = log.clone();
    std::thread::spawn(move || {
        folding.fold(&member("fold", "one"), &mut Counter::default(), &Stop::new()).unwrap();
    });
    let mut door = log.appender(&member("producer", "one")).unwrap();
    let (_, checkpoints) = gained(&mut door);
    let mut next: u64 = checkpoints.first().map_or(0, |(_, n)| String::from_utf8_lossy(n).parse().unwrap());
    let mut out = std::io::stdout();
    loop {
        let many = next % 50 + 1;
        let records: Vec<Write> = (next..next + many).map(|n| record(&key(n), &n.to_string())).collect();
        next += many;
        door.append("source", &records, Some(next.to_string().as_bytes())).unwrap();
        writeln!(out, "acknowledged {next}").unwrap();
    }
}

/// Runs the child for about `life` and kills it. Tells the last acknowledged number.
fn live_and_die(dir: &Path, life: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok()).last()
    });
    std::thread::sleep(life);
    assert_eq!(child.try_wait().unwrap(), None, "the child ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_whole_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12u64 {
        // From before the first append to in the middle of the work.
        let life = Duration::from_millis(40 + round * 53 % 300);
        acknowledged = live_and_die(folder.path(), life).unwrap_or(acknowledged);
        let (store, log) = open(folder.path());
        let mut door = log.appender(&member("producer", "one")).unwrap();
        let checkpoint =
            gained(&mut door).1.first().map_or(0, |(_, n)| String::from_utf8_lossy(n).parse().unwrap());
        drop(door);
        assert!(checkpoint >= acknowledged, "{acknowledged} was acknowledged, {checkpoint} is stored");
        check_raw(&log, checkpoint);
        check_fold(&log);
        drop(log);
        store.close();
    }
    assert!(acknowledged > 1000, "the child worked: {acknowledged}");
    let (_store, log) = open(folder.path());
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    let next = check_fold(&log);
    assert!(next >= acknowledged, "all was folded");
}

/// Raw holds exactly the numbers before `checkpoint`, in order by key.
fn check_raw(log: &EmbeddedLog, checkpoint: u64) {
    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for seen in all(log, Topic::Raw) {
        by_key.entry(seen.key.unwrap()).or_default().push(seen.value.unwrap().parse().unwrap());
    }
    let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    (0..checkpoint).for_each(|n| expected.entry(key(n)).or_default().push(n));
    assert!(by_key == expected, "raw is not exactly what was appended");
}

/// Processed, state and position tell the same story. Tells how many records were folded.
fn check_fold(log: &EmbeddedLog) -> u64 {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for seen in all(log, Topic::Processed) {
        let key = seen.key.unwrap();
        let count = told.entry(key).or_default();
        *count += 1;
        let value = seen.value.unwrap();
        assert_eq!(value.split_once('#').unwrap().1, count.to_string(), "{value}");
    }
    let state = restored(log, "fold");
    let counts: BTreeMap<String, u64> = state.values().flat_map(|(_, keys)| keys.clone()).collect();
    assert_eq!(counts, told);
    let folded = told.values().sum();
    assert_eq!(state.values().map(|(next, _)| next).sum::<u64>(), folded);
    folded
}
