//! Positions at rest: where nothing but marks of transactions follows, a position lies behind them. Else retention would
//! delete the marks some day, and the position would look as if records had been missed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::sync::LazyLock;
use std::time::Duration;

use conformance::workers::{Counter, Notes, all, fold_all, sink_until, values};
use conformance::{append, lag, member, producer, record, until};
use futures::executor::block_on;
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{Ends, Error, EventLog, Layout, Stop, Topic, Write};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::kafka;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

static BROKER: LazyLock<kafka::Kafka> =
    LazyLock::new(|| kafka::Kafka::start(&kafka::Options::default()).unwrap());
const SOON: Duration = Duration::from_secs(10);

fn open(name: &str, skip_deleted: bool) -> KafkaLog {
    // What the engine says explains a test that fails.
    let _ = tracing_subscriber::fmt().with_env_filter("pricemonitor=debug").with_ansi(false).try_init();
    let connection = Connection { bootstrap_servers: BROKER.bootstrap(), properties: Default::default() };
    let (id, layout) = (MonitorId::new(None, name), Layout { partitions: 2, ..Layout::default() });
    setup(&connection, &id, &layout, &Setup::default()).unwrap();
    let options = Options { group_prefix: format!("{id}."), skip_deleted, ..Options::default() };
    KafkaLog::open(&connection, &id, &layout, options).unwrap()
}

fn fresh(name: &str) -> KafkaLog {
    open(name, false)
}

fn in_each(value: &str) -> Vec<Write> {
    (0..2)
        .map(|partition| Write { partition: Some(partition), ..record(&format!("k{partition}"), value) })
        .collect()
}

/// What retention does when nothing has come for long: all records and marks go.
fn delete_everything(log: &KafkaLog, topic: Topic) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", BROKER.bootstrap()).create().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, ends) in (0..).zip(log.ends(topic).unwrap()) {
        list.add_partition_offset(log.name(topic), partition, Offset::Offset(ends.end as i64)).unwrap();
    }
    block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
    until("the records are deleted", || {
        log.ends(topic).unwrap().iter().all(|Ends { first, end }| first == end)
    });
}

#[test]
fn readers_that_had_read_everything_go_on_when_all_of_it_was_deleted_meanwhile() {
    let log = fresh("suspended");
    let (mut door, fold, sink) = (producer(&log), member("fold", "one"), member("sink", "one"));
    append(&mut door, &in_each("1"));
    append(&mut door, &in_each("2"));
    fold_all(&log, &fold, &mut Counter::default());
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    sink_until(&log, &sink, Topic::Raw, &mut notes, "all is read", || seen.lock().unwrap().len() == 4)
        .unwrap();
    // Both were stopped at once, and stay so for longer than records are kept.
    delete_everything(&log, Topic::Raw);
    append(&mut door, &in_each("3"));
    fold_all(&log, &fold, &mut Counter::default());
    assert_eq!(values(&all(&log, Topic::Processed), "k0"), ["1#1", "2#2", "3#3"]);
    sink_until(&log, &sink, Topic::Raw, &mut notes, "more is read", || seen.lock().unwrap().len() == 6)
        .unwrap();
    assert_eq!(values(&seen.lock().unwrap(), "k1"), ["1", "2", "3"]);
}

#[test]
fn who_missed_deleted_records_ends_with_the_remedy_and_goes_on_behind_them_when_told_to() {
    let log = fresh("missed");
    let (mut door, fold, sink) = (producer(&log), member("fold", "one"), member("sink", "one"));
    append(&mut door, &in_each("1"));
    fold_all(&log, &fold, &mut Counter::default());
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    sink_until(&log, &sink, Topic::Raw, &mut notes, "one is read", || seen.lock().unwrap().len() == 2)
        .unwrap();
    append(&mut door, &in_each("2"));
    delete_everything(&log, Topic::Raw);
    append(&mut door, &in_each("3"));
    let ends = [
        log.fold(&fold, &mut Counter::default(), &Stop::new()),
        log.sink(&sink, Topic::Raw, &mut notes, &Stop::new()),
    ];
    for end in ends {
        let told = matches!(&end, Err(Error::Position(why)) if why.contains("--skip-deleted"));
        assert!(told, "{end:?}");
    }
    let log = open("missed", true);
    fold_all(&log, &fold, &mut Counter::default());
    assert_eq!(values(&all(&log, Topic::Processed), "k0"), ["1#1", "3#2"], "the state is as it was");
    sink_until(&log, &sink, Topic::Raw, &mut notes, "three is read", || seen.lock().unwrap().len() == 4)
        .unwrap();
    assert_eq!(values(&seen.lock().unwrap(), "k1"), ["1", "3"]);
}

#[test]
fn a_reader_at_rest_stores_that_nothing_but_a_given_up_transaction_came() {
    let log = fresh("given-up");
    let mut door = producer(&log);
    append(&mut door, &in_each("1"));
    drop(door);
    let (mut counter, stop) = (Counter::default(), Stop::new());
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| log.fold(&member("fold", "one"), &mut counter, &stop));
        let storing = scope.spawn(|| log.sink(&member("sink", "one"), Topic::Raw, &mut notes, &stop));
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until("all is read", || seen.lock().unwrap().len() == 2 && lag(&log, "fold", Topic::Raw) == 0);
            give_up(&log);
            // A record and a mark of each of the two transactions; marks come after the answer.
            let ends = [4, 4];
            until("the marks are there", || {
                log.ends(Topic::Raw).unwrap().iter().map(|ends| ends.end).eq(ends)
            });
            until("the fold has stored where the partitions end", || {
                let folded = log.folded("fold").unwrap();
                folded.iter().map(|at| at.map_or(0, |at| at.next_offset)).eq(ends.iter().copied())
            });
            // The sink's own positions cannot be looked at while it runs; the group is told the same.
            until("the sink has told the group", || positions(&log, "default.given-up.sink") == ends);
        }));
        stop.stop();
        folding.join().unwrap().unwrap();
        storing.join().unwrap().unwrap();
        waited.unwrap();
    });
    let ends: Vec<u64> = log.ends(Topic::Raw).unwrap().iter().map(|ends| ends.end).collect();
    assert!(notes.positions.values().map(|at| at.next_offset).eq(ends), "{:?}", notes.positions);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

/// A transaction of another client that is given up.
fn give_up(log: &KafkaLog) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", BROKER.bootstrap())
        .set("transactional.id", "somebody-else")
        .create()
        .unwrap();
    producer.init_transactions(SOON).unwrap();
    producer.begin_transaction().unwrap();
    for partition in 0..2 {
        let record = BaseRecord::to(log.name(Topic::Raw)).partition(partition).key("k").payload("never");
        producer.send(record).unwrap();
    }
    producer.flush(SOON).unwrap();
    producer.abort_transaction(SOON).unwrap();
}

fn positions(log: &KafkaLog, group: &str) -> Vec<u64> {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", BROKER.bootstrap())
        .set("group.id", group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(log.name(Topic::Raw), 0, 1);
    let found = consumer.committed_offsets(list, SOON).unwrap();
    let offset = |offset| if let Offset::Offset(offset) = offset { offset as u64 } else { 0 };
    found.elements().iter().map(|element| offset(element.offset())).collect()
}
