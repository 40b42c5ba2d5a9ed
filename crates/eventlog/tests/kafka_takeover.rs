//! A member that dies in the middle of a transaction, and is not started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conformance::workers::{Counter, all, fold_all, values};
use conformance::{append, lag, member, producer, record, until};
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{EventLog, Layout, Stop, Topic, Write};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::kafka;

/// Bootstrap servers of the child.
const CHILD: &str = "PRICEMONITOR_TEST_TAKEOVER_CHILD";

/// What the child says when it hangs.
const HANGS: &str = "the child hangs";

/// Both partitions of an append come in one transaction of the fold, mostly.
const LINGER: Duration = Duration::from_millis(500);

/// Appends after which one must have come in one transaction.
const TRIES: usize = 20;

fn open(bootstrap: &str) -> KafkaLog {
    // What the engine says explains a test that fails.
    let _ = tracing_subscriber::fmt().with_env_filter("pricemonitor=debug").with_ansi(false).try_init();
    let connection = Connection { bootstrap_servers: bootstrap.to_owned(), properties: Default::default() };
    let (id, layout) = (MonitorId::new(None, "takeover"), Layout { partitions: 2, ..Layout::default() });
    setup(&connection, &id, &layout, &Setup::default()).unwrap();
    let options = Options { linger: LINGER, ..Options::default() };
    KafkaLog::open(&connection, &id, &layout, options).unwrap()
}

fn in_each(values: [&str; 2]) -> Vec<Write> {
    let one = |(partition, value): (u32, &&str)| Write {
        partition: Some(partition),
        ..record(&format!("key{partition}"), value)
    };
    (0..).zip(&values).map(one).collect()
}

/// The child's work: it answers one partition, and then hangs before it answers the other, with the transaction open.
/// Where both do not come in one transaction it answers both. Does nothing when run as a test.
#[test]
fn child_process() {
    let Ok(bootstrap) = std::env::var(CHILD) else { return };
    let mut fold = Counter::default();
    let log = fold.log.clone();
    let mut answered = None;
    fold.hook = Some(Box::new(move |batch| {
        if batch.records.iter().all(|record| record.value == Some(b"0")) {
            return Ok(());
        }
        let commits = log.lock().unwrap().commits;
        if answered.is_some_and(|(partition, then)| partition != batch.partition && then == commits) {
            println!("{HANGS}");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        answered = Some((batch.partition, commits));
        Ok(())
    }));
    let _ = open(&bootstrap).fold(&member("fold", "gone"), &mut fold, &Stop::new());
}

/// Whether the child has said that it hangs, by and by.
fn listen(child: &mut Child) -> Arc<AtomicBool> {
    let (hangs, out) = (Arc::new(AtomicBool::new(false)), child.stdout.take().unwrap());
    let heard = hangs.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            heard.fetch_or(line.contains(HANGS), Ordering::Relaxed);
        }
    });
    hangs
}

#[test]
fn what_a_dead_member_left_open_is_given_up_by_its_heir_without_waiting_for_the_cluster() {
    // A cluster that never looks after transactions whose time is over; others look every ten seconds.
    let never = ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "3600000");
    let properties = vec![(never.0.to_owned(), never.1.to_owned())];
    let broker = kafka::Kafka::start(&kafka::Options { properties, ..kafka::Options::default() }).unwrap();
    let log = open(&broker.bootstrap());
    let mut door = producer(&log);
    append(&mut door, &in_each(["0", "0"]));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, broker.bootstrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let hangs = listen(&mut child);
    until("the child works", || lag(&log, "fold", Topic::Raw) == 0);
    let written = || log.ends(Topic::State).unwrap().iter().map(|end| end.end).sum::<u64>();
    let mut tries = 0;
    while !hangs.load(Ordering::Relaxed) {
        assert!(tries < TRIES, "both partitions never came in one transaction");
        tries += 1;
        let (before, value) = (written(), tries.to_string());
        append(&mut door, &in_each([&value, &value]));
        let done = || hangs.load(Ordering::Relaxed) || lag(&log, "fold", Topic::Raw) == 0;
        until("the child has answered both partitions, or hangs between them", done);
        until("the child has written to one of them", || written() > before);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut heir = Counter::default();
    fold_all(&log, &member("fold", "heir"), &mut heir);
    let seen = all(&log, Topic::Processed);
    let want: Vec<String> = (0..=tries).map(|n| format!("{n}#{}", n + 1)).collect();
    assert_eq!(values(&seen, "key0"), want);
    assert_eq!(values(&seen, "key1"), want);
}
