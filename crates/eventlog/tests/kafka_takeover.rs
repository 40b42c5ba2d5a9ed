//! A member that dies in the middle of a transaction, and is not started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::process::{Command, Stdio};
use std::time::Duration;

use conformance::workers::{Counter, all, fold_all, values};
use conformance::{append, lag, member, producer, record, until};
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{EventLog, Layout, Stop, Topic, Write};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::kafka;

/// Bootstrap servers of the child.
const CHILD: &str = "PRICEMONITOR_TEST_TAKEOVER_CHILD";

/// Both partitions of an append come in one transaction of the fold.
const LINGER: Duration = Duration::from_millis(500);

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

/// The child's work: it answers partition 0, and then hangs before it answers partition 1, with the transaction open.
/// Does nothing when run as a test.
#[test]
fn child_process() {
    let Ok(bootstrap) = std::env::var(CHILD) else { return };
    let hang = |batch: &pricemonitor_eventlog::Batch<'_>| {
        while batch.records.iter().any(|record| record.value == Some(b"hang")) {
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    };
    let mut fold = Counter { hook: Some(Box::new(hang)), ..Counter::default() };
    let _ = open(&bootstrap).fold(&member("fold", "gone"), &mut fold, &Stop::new());
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
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the child works", || lag(&log, "fold", Topic::Raw) == 0);
    let end = || log.ends(Topic::State).unwrap()[0].end;
    let before = end();
    append(&mut door, &in_each(["1", "hang"]));
    until("the child has written to partition 0", || end() > before);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut heir = Counter::default();
    fold_all(&log, &member("fold", "heir"), &mut heir);
    let seen = all(&log, Topic::Processed);
    assert_eq!(values(&seen, "key0"), ["0#1", "1#2"]);
    assert_eq!(values(&seen, "key1"), ["0#1", "hang#2"]);
}
