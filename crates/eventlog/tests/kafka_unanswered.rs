//! Commits whose answer never comes: the cluster has them, the client gives up waiting. Only what is in the log says
//! what happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::time::Duration;

use conformance::workers::{Counter, all, values};
use conformance::{append, lag, member, producer, record, until};
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{Append, Error, EventLog, Layout, Ownership, Stop, Topic};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::kafka;

/// A request to end a transaction (KIP-98): behind its length stands the number of the call.
fn ends_transaction(bytes: &[u8]) -> bool {
    bytes.get(4..6) == Some(&[0, 26])
}

fn log(broker: &kafka::Kafka, name: &str, bootstrap: String) -> KafkaLog {
    let id = MonitorId::new(None, name);
    let layout = Layout { partitions: 2, ..Layout::default() };
    let of = |bootstrap: String| Connection { bootstrap_servers: bootstrap, properties: Default::default() };
    setup(&of(broker.bootstrap()), &id, &layout, &Setup::default()).unwrap();
    let options = Options { linger: Duration::from_millis(5), ..Options::default() };
    KafkaLog::open(&of(bootstrap), &id, &layout, options).unwrap()
}

fn broker() -> kafka::Kafka {
    kafka::Kafka::start(&kafka::Options { proxy: true, ..kafka::Options::default() }).unwrap()
}

#[test]
fn an_append_whose_answer_is_lost_is_not_known_and_its_checkpoint_says_that_it_happened() {
    let broker = broker();
    let proxy = broker.proxy().unwrap();
    let log = log(&broker, "unanswered", proxy.address());
    let mut door = producer(&log);
    append(&mut door, &[record("key", "0")]);
    proxy.mute_after(ends_transaction);
    let lost = door.append("s", &[record("key", "1")], Some(b"1"));
    assert!(proxy.has_muted());
    proxy.unmute();
    assert!(matches!(lost, Err(Error::Ambiguous(_))), "{lost:?}");
    let mut known = None;
    until("the checkpoint is told again", || match door.poll(Duration::from_millis(50)) {
        Ok(Some(Ownership::Gained { checkpoints, .. })) => {
            known = checkpoints.into_iter().find(|(source, _)| source == "s");
            true
        }
        Ok(_) | Err(Error::Retry(_)) => false,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(known.map(|(_, last)| last).as_deref(), Some(&b"1"[..]));
    // Who has nothing to append after that is ready all the same.
    until("it is well again", || {
        door.poll(Duration::from_millis(50)).unwrap();
        log.status().unavailable.is_none()
    });
    append(&mut door, &[record("key", "2")]);
    assert_eq!(values(&all(&log, Topic::Raw), "key"), ["0", "1", "2"]);
}

#[test]
fn a_fold_whose_commit_is_not_answered_answers_every_record_once() {
    let broker = broker();
    let proxy = broker.proxy().unwrap();
    // Only the fold is reached through the proxy.
    let log = log(&broker, "unheard", proxy.address());
    let mut door = producer(&self::log(&broker, "unheard", broker.bootstrap()));
    let (stop, mut counter) = (Stop::new(), Counter::default());
    let seen = counter.log.clone();
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| log.fold(&member("fold", "one"), &mut counter, &stop));
        let commits = |enough: usize| {
            until("the next commit", || folding.is_finished() || seen.lock().unwrap().commits >= enough);
        };
        append(&mut door, &[record("key", "0")]);
        commits(1);
        proxy.mute_after(ends_transaction);
        append(&mut door, &[record("key", "1")]);
        until("the commit is given up", || proxy.has_muted() && log.status().unavailable.is_some());
        proxy.unmute();
        append(&mut door, &[record("key", "2")]);
        commits(2);
        until("all is folded", || folding.is_finished() || lag(&log, "fold", Topic::Raw) == 0);
        stop.stop();
        folding.join().unwrap().unwrap();
    });
    assert_eq!(values(&all(&log, Topic::Processed), "key"), ["0#1", "1#2", "2#3"]);
}
