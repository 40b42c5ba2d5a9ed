//! Topics are made as wanted, never changed, and never taken from somebody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use conformance::workers::{Counter, fold_all};
use conformance::{append, member, producer, record, until};
use futures::executor::block_on;
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, SetUp, Setup, setup, teardown};
use pricemonitor_eventlog::{Append as _, Error, EventLog as _, Layout, Result, Stop, Topic, Write};
use pricemonitor_model::{Incarnation, MonitorId};
use pricemonitor_testkit::kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

static BROKER: LazyLock<kafka::Kafka> =
    LazyLock::new(|| kafka::Kafka::start(&kafka::Options::default()).unwrap());

fn connection() -> Connection {
    Connection { bootstrap_servers: BROKER.bootstrap(), properties: Default::default() }
}

fn layout(raw: Option<&str>) -> Layout {
    Layout { partitions: 2, names: raw.map(|name| ("raw", name.to_owned())).into_iter().collect() }
}

fn set_up(id: &MonitorId, layout: &Layout, adopt: bool) -> Result<SetUp> {
    setup(&connection(), id, layout, &Setup { adopt, ..Setup::default() })
}

fn try_to_open(id: &MonitorId, layout: &Layout) -> Result<KafkaLog> {
    let options = Options { group_prefix: format!("{id}."), ..Options::default() };
    KafkaLog::open(&connection(), id, layout, options)
}

fn open(id: &MonitorId, layout: &Layout) -> KafkaLog {
    try_to_open(id, layout).unwrap()
}

/// What another tool does that writes.
fn feed(topic: &str, partition: i32, records: &[(&str, &str)]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", BROKER.bootstrap()).create().unwrap();
    for (key, value) in records {
        let record = BaseRecord::to(topic).partition(partition).key(*key).payload(*value);
        assert!(producer.send(record).is_ok());
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// Deletes a topic of two partitions and makes it again, as somebody would who does not know of setup.
fn make_anew(topic: &str) {
    delete(topic);
    make(topic, 2, &[]);
}

/// The id of a topic, as Kafka's own tool tells it.
fn id_of(topic: &str) -> String {
    let bootstrap = BROKER.bootstrap();
    let told = BROKER
        .tool("TopicCommand", &["--bootstrap-server", &bootstrap, "--describe", "--topic", topic])
        .unwrap();
    let (_, id) = told.split_once("TopicId: ").unwrap();
    id.split_whitespace().next().unwrap().to_owned()
}

/// Records in both partitions of raw, all folded.
fn work(id: &MonitorId) -> KafkaLog {
    let log = open(id, &layout(None));
    let of = |partition| Write { partition: Some(partition), ..record("a", "1") };
    append(&mut producer(&log), &[of(0), of(1), of(0), of(1)]);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    log
}

fn make(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", BROKER.bootstrap()).create().unwrap();
    let new = settings
        .iter()
        .fold(NewTopic::new(name, partitions, TopicReplication::Fixed(1)), |new, (name, value)| {
            new.set(name, value)
        });
    for made in block_on(admin.create_topics(&[new], &AdminOptions::new())).unwrap() {
        made.unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
}

fn delete(name: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", BROKER.bootstrap()).create().unwrap();
    for gone in block_on(admin.delete_topics(&[name], &AdminOptions::new())).unwrap() {
        gone.unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
}

fn position<T>(result: Result<T>, words: &str) {
    let Err(error) = result else { panic!("not refused: {words}") };
    assert!(matches!(&error, Error::Position(text) if text.contains(words)), "{words} in: {error:?}");
}

#[test]
fn a_second_setup_makes_nothing_and_finds_everything_as_wanted() {
    let id = MonitorId::new(None, "twice");
    let first = set_up(&id, &layout(None), false).unwrap();
    assert_eq!((first.made.len(), first.adopted_from), (6, None));
    assert_eq!(set_up(&id, &layout(None), false).unwrap(), SetUp::default());
    let more = Setup { replication: Some(2), ..Setup::default() };
    let found = setup(&connection(), &id, &layout(None), &more).unwrap();
    assert_eq!(found.differences.iter().filter(|found| found.setting == "replication factor").count(), 6);
}

#[test]
fn setups_that_run_at_once_agree() {
    for round in 0..4 {
        let id = MonitorId::new(None, &format!("at-once-{round}"));
        // Each begins to work as soon as its own setup is done; what it works in must stay what it is.
        let one = || {
            let made = set_up(&id, &layout(None), false).unwrap().made.len();
            (made, open(&id, &layout(None)).incarnation(Topic::Raw))
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            running.into_iter().map(|running| running.join().unwrap()).collect()
        });
        assert!(all.iter().map(|(made, _)| made).sum::<usize>() >= 6, "{all:?}");
        assert_eq!(set_up(&id, &layout(None), false).unwrap(), SetUp::default());
        let log = open(&id, &layout(None));
        assert!(all.iter().all(|(_, life)| *life == log.incarnation(Topic::Raw)), "{all:?}");
        drop(producer(&log));
    }
}

#[test]
fn a_raw_topic_that_was_made_anew_has_another_life() {
    let id = MonitorId::new(None, "anew");
    set_up(&id, &layout(None), false).unwrap();
    let before = open(&id, &layout(None)).incarnation(Topic::Raw);
    delete("default.anew.raw_prices");
    assert_eq!(set_up(&id, &layout(None), false).unwrap().made, ["default.anew.raw_prices"]);
    let after = open(&id, &layout(None)).incarnation(Topic::Raw);
    assert_ne!(before, after);
    assert_eq!(set_up(&id, &layout(None), false).unwrap(), SetUp::default());
    assert_eq!(open(&id, &layout(None)).incarnation(Topic::Raw), after);
}

#[test]
fn a_raw_topic_that_another_tool_made_anew_is_refused_until_setup_gives_it_another_life() {
    let id = MonitorId::new(None, "replaced");
    let raw = format!("{id}.raw_prices");
    assert_eq!(set_up(&id, &layout(None), false).unwrap().begun_anew, None);
    let (first, before) = (id_of(&raw), work(&id).incarnation(Topic::Raw));
    // It has more records than the old one had: by its offsets nobody would notice.
    make_anew(&raw);
    for partition in 0..2 {
        feed(&raw, partition, &[("a", "9"); 100]);
    }
    let second = id_of(&raw);
    assert_ne!(first, second);
    let Err(Error::Position(why)) = try_to_open(&id, &layout(None)) else { panic!("not refused") };
    for words in [raw.as_str(), first.as_str(), second.as_str(), "`pricemonitor setup`"] {
        assert!(why.contains(words), "{words} in: {why}");
    }

    let done = set_up(&id, &layout(None), false).unwrap();
    assert_eq!((done.made.len(), done.begun_anew.as_deref()), (0, Some(raw.as_str())));
    let log = open(&id, &layout(None));
    assert_ne!(log.incarnation(Topic::Raw), before);
    // Who stood in the old one says so, as if setup had made the new one.
    let fold = log.fold(&member("fold", "one"), &mut Counter::default(), &Stop::new());
    position(fold, "the topics were made anew");
    assert_eq!(set_up(&id, &layout(None), false).unwrap().begun_anew, None);
    assert_eq!(open(&id, &layout(None)).incarnation(Topic::Raw), log.incarnation(Topic::Raw));
}

#[test]
fn a_state_that_is_gone_is_made_anew_beside_a_raw_topic_that_another_tool_made_anew() {
    let id = MonitorId::new(None, "both-gone");
    set_up(&id, &layout(None), false).unwrap();
    drop(work(&id));
    let state = format!("{id}.state");
    delete(&state);
    position(set_up(&id, &layout(None), false), "is gone");
    make_anew(&format!("{id}.raw_prices"));
    feed(&format!("{id}.raw_prices"), 0, &[("a", "1")]);
    let done = set_up(&id, &layout(None), false).unwrap();
    assert_eq!((done.made, done.begun_anew.is_some()), (vec![state], true));
    fold_all(&open(&id, &layout(None)), &member("fold", "one"), &mut Counter::default());
}

#[test]
fn a_worker_ends_when_another_tool_makes_its_raw_topic_anew_under_it() {
    let id = MonitorId::new(None, "under-it");
    set_up(&id, &layout(None), false).unwrap();
    let (log, stop) = (work(&id), Stop::new());
    let mut counter = Counter::default();
    let seen = counter.log.clone();
    let ended = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            loop {
                match log.fold(&member("fold", "one"), &mut counter, &stop) {
                    // As a supervisor would: it may pass.
                    Err(Error::Retry(_)) if !stop.is_stopped() => counter = Counter::default(),
                    ended => break ended,
                }
            }
        });
        let done = catch_unwind(AssertUnwindSafe(|| {
            until("it reads", || running.is_finished() || seen.lock().unwrap().settled);
            let raw = format!("{id}.raw_prices");
            make_anew(&raw);
            for partition in 0..2 {
                feed(&raw, partition, &[("a", "9"); 1_000]);
            }
            // It looks once a minute, if nothing else tells it before.
            let end = Instant::now() + Duration::from_secs(100);
            while !running.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
            }
        }));
        stop.stop();
        let ended = running.join().unwrap();
        done.unwrap();
        ended
    });
    position(ended, "made anew");
}

#[test]
fn a_producer_ends_too_when_its_raw_topic_is_made_anew_though_it_reads_nothing() {
    let id = MonitorId::new(None, "under-a-producer");
    set_up(&id, &layout(None), false).unwrap();
    let log = open(&id, &layout(None));
    let mut door = producer(&log);
    make_anew(&format!("{id}.raw_prices"));
    let end = Instant::now() + Duration::from_secs(100);
    let ended = loop {
        match door.poll(Duration::from_millis(100)) {
            Ok(_) | Err(Error::Retry(_)) if Instant::now() < end => {}
            ended => break ended,
        }
    };
    position(ended, "made anew");
}

#[test]
fn a_mark_of_an_earlier_program_keeps_its_life_and_setup_adds_which_topic_it_is_of() {
    let id = MonitorId::new(None, "earlier");
    set_up(&id, &layout(None), false).unwrap();
    let raw = format!("{id}.raw_prices");
    let mark = format!(r#"{{"format":1,"monitor":"{id}","partitions":2,"incarnation":7,"raw":"{raw}"}}"#);
    feed(&format!("{id}.checkpoints"), 0, &[("_monitor", mark.as_str())]);
    assert_eq!(open(&id, &layout(None)).incarnation(Topic::Raw), Incarnation(7));
    assert_eq!(set_up(&id, &layout(None), false).unwrap(), SetUp::default());
    assert_eq!(open(&id, &layout(None)).incarnation(Topic::Raw), Incarnation(7));
    make_anew(&raw);
    position(try_to_open(&id, &layout(None)), "was deleted and made anew");
    set_up(&id, &layout(None), false).unwrap();
    assert_ne!(open(&id, &layout(None)).incarnation(Topic::Raw), Incarnation(7));
}

#[test]
fn topics_with_other_settings_are_told_and_left_as_they_are() {
    let id = MonitorId::new(None, "other-settings");
    make(
        "default.other-settings.state",
        2,
        &[("cleanup.policy", "delete"), ("max.message.bytes", "1000000")],
    );
    make(
        "default.other-settings.raw_prices",
        2,
        &[("retention.ms", "60000"), ("message.timestamp.type", "CreateTime")],
    );
    for _ in 0..2 {
        let found = set_up(&id, &layout(None), false).unwrap();
        let told: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
        for words in [
            "`default.other-settings.state` exists with cleanup.policy delete, wanted is compact",
            "`default.other-settings.state` exists with max.message.bytes 1000000, wanted is 9437184",
            "raw_prices` exists with retention.ms 60000, wanted is 604800000",
            "raw_prices` exists with message.timestamp.type CreateTime, wanted is LogAppendTime",
        ] {
            assert!(told.iter().any(|told| told.contains(words)), "{words} in {told:?}");
        }
        assert_eq!(found.not_compared, None);
    }
    make("default.three.raw_prices", 3, &[]);
    let three = set_up(&MonitorId::new(None, "three"), &layout(None), false);
    position(three, "exists with 3 partitions, the manifest says 2");
}

#[test]
fn topics_of_another_monitor_are_refused_unless_they_are_taken_over() {
    let (owner, other) = (MonitorId::new(Some("one"), "same"), MonitorId::new(Some("two"), "same"));
    let shared = layout(Some("shared_raw"));
    set_up(&owner, &shared, false).unwrap();
    let mut door = producer(&open(&owner, &shared));
    append(&mut door, &[record("a", "1")]);
    drop(door);
    // The mark stands beside the checkpoints, which the other does not see; that there are records, it sees.
    position(set_up(&other, &shared, false), "`shared_raw` exists and has records");
    position(
        teardown(&connection(), &other, &shared),
        "nothing says that `shared_raw` is a topic of two.same",
    );
    set_up(&other, &shared, true).unwrap();

    let mut borrowed = layout(None);
    borrowed.names = [("checkpoints", owner.as_str().to_owned() + ".checkpoints")].into();
    let third = MonitorId::new(None, "third");
    position(set_up(&third, &borrowed, false), "belongs to the monitor one.same, not to default.third");
    position(teardown(&connection(), &third, &borrowed), "belongs to the monitor one.same");
    let adopted = set_up(&third, &borrowed, true).unwrap();
    assert_eq!(adopted.adopted_from.as_deref(), Some("one.same"));
    drop(open(&third, &borrowed));
    position(
        KafkaLog::open(&connection(), &owner, &shared, Options::default()),
        "belongs to the monitor default.third",
    );
}

#[test]
fn monitors_of_the_same_name_in_two_namespaces_have_nothing_in_common() {
    let ids = ["one", "two"].map(|namespace| MonitorId::new(Some(namespace), "twins"));
    for id in &ids {
        assert_eq!(set_up(id, &layout(None), false).unwrap().made.len(), 6);
    }
    let mut first = producer(&open(&ids[0], &layout(None)));
    append(&mut first, &[record("a", "1")]);
    let second = open(&ids[1], &layout(None));
    assert!(conformance::workers::all(&second, Topic::Raw).is_empty());
    // The same instance of the same worker: neither fences the other.
    let mut door = producer(&second);
    append(&mut door, &[record("a", "2")]);
    append(&mut first, &[record("a", "3")]);
    assert_eq!(conformance::workers::all(&second, Topic::Raw).len(), 1);
    assert_eq!(teardown(&connection(), &ids[1], &layout(None)).unwrap().len(), 6);
    append(&mut first, &[record("a", "4")]);
}

#[test]
fn a_state_or_alerts_topic_that_is_gone_is_not_made_anew_beside_the_records_it_was_made_from() {
    for (gone, name) in [("state", "state"), ("price_alerts", "alerts")] {
        let id = MonitorId::new(None, &format!("lost-{name}"));
        set_up(&id, &layout(None), false).unwrap();
        let topic = format!("{id}.{gone}");
        delete(&topic);
        assert_eq!(
            set_up(&id, &layout(None), false).unwrap().made,
            std::slice::from_ref(&topic),
            "nothing was lost yet"
        );
        let log = open(&id, &layout(None));
        append(&mut producer(&log), &[record("a", "1")]);
        delete(&topic);
        position(set_up(&id, &layout(None), false), &format!("`{topic}` is gone"));
        delete(&format!("{id}.raw_prices"));
        assert_eq!(set_up(&id, &layout(None), false).unwrap().made.len(), 2, "all begins anew");
    }
}

#[test]
fn another_name_for_the_raw_topic_is_a_new_life_and_never_the_topic_of_somebody_else() {
    let id = MonitorId::new(None, "renamed");
    set_up(&id, &layout(Some("renamed-one")), false).unwrap();
    let before = open(&id, &layout(Some("renamed-one"))).incarnation(Topic::Raw);
    make("renamed-foreign", 2, &[]);
    let foreign = layout(Some("renamed-foreign"));
    position(set_up(&id, &foreign, false), "is `renamed-one` so far");
    position(teardown(&connection(), &id, &foreign), "is `renamed-one` so far");
    position(try_to_open(&id, &foreign), "is `renamed-one` so far");
    // Back, nothing has changed.
    set_up(&id, &layout(Some("renamed-one")), false).unwrap();
    assert_eq!(open(&id, &layout(Some("renamed-one"))).incarnation(Topic::Raw), before);
    // A name that is free, and one that is taken over, are other logs.
    set_up(&id, &layout(Some("renamed-two")), false).unwrap();
    let second = open(&id, &layout(Some("renamed-two"))).incarnation(Topic::Raw);
    set_up(&id, &foreign, true).unwrap();
    let third = open(&id, &foreign).incarnation(Topic::Raw);
    assert!(before != second && second != third && third != before, "{before:?} {second:?} {third:?}");
}
