//! Records of other people's clients: what follows the schema is taken, what does not becomes a dead letter with its
//! reason. The other client is Kafka's own, in Java.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{Error, EventLog, Layout, Member, Stop, Topic};
use pricemonitor_model::admission::MAX_AHEAD;
use pricemonitor_model::partition::partition_of;
use pricemonitor_model::wire::{self, OnDeadLetters};
use pricemonitor_model::{Admission, DeadLetter, MonitorId, Repeated};
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Database, HistoryWriter};
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::wait;
use pricemonitor_workers::processor::Processor;
use pricemonitor_workers::storage::HistorySink;
use pricemonitor_workers::{Metrics, MonitorMetrics, Witness, now};
use serde_json::Value;

const PARTITIONS: u32 = 3;
const SOON: Duration = Duration::from_secs(60);

/// One broker for all tests of this program; it ends with the process.
static BROKER: LazyLock<Kafka> = LazyLock::new(|| Kafka::start(&kafka::Options::default()).unwrap());

struct Bench {
    id: MonitorId,
    log: KafkaLog,
    admission: Arc<Admission>,
    metrics: MonitorMetrics,
    _folder: tempfile::TempDir,
    database: Database,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(name: &str) -> Bench {
        let id = MonitorId::new(None, name);
        let layout = Layout { partitions: PARTITIONS, ..Layout::default() };
        let connection = Connection { bootstrap_servers: BROKER.bootstrap(), properties: BTreeMap::new() };
        setup(&connection, &id, &layout, &Setup::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(Database::open_sqlite(&folder.path().join("prices.sqlite"))).unwrap();
        Bench {
            log: KafkaLog::open(&connection, &id, &layout, Options::default()).unwrap(),
            admission: Arc::new(Admission { partitions: Some(PARTITIONS), ..Admission::default() }),
            metrics: Metrics::new().unwrap().monitor(id.as_str()),
            _folder: folder,
            id,
            database,
            runtime,
        }
    }

    /// Kafka's console producer: a key, a tab and a value on each line.
    fn produce(&self, lines: &[(&str, &str)], more: &[&str]) {
        let text: String = lines.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
        let bootstrap = BROKER.bootstrap();
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", self.log.name(Topic::Raw)];
        arguments.extend(["--reader-property", "parse.key=true", "--reader-property", "null.marker=NULL"]);
        arguments.extend(more);
        BROKER.feed("ConsoleProducer", &arguments, &text).unwrap();
    }

    /// Kafka's console consumer: keys and values.
    fn consume(&self, topic: Topic, count: usize) -> Vec<(String, String)> {
        let (bootstrap, count) = (BROKER.bootstrap(), count.to_string());
        let arguments = [
            ["--bootstrap-server", &bootstrap],
            ["--topic", self.log.name(topic)],
            ["--isolation-level", "read_committed"],
            ["--formatter-property", "print.key=true"],
            ["--max-messages", &count],
            ["--timeout-ms", "30000"],
        ];
        let arguments: Vec<&str> = arguments.into_iter().flatten().chain(["--from-beginning"]).collect();
        let text = BROKER.tool("consumer.ConsoleConsumer", &arguments).unwrap();
        text.lines().filter_map(|line| line.split_once('\t')).map(|(k, v)| (k.into(), v.into())).collect()
    }

    fn member(&self, worker: &str) -> Member {
        Member { group: format!("{}.{worker}", self.id), instance: "one".to_owned() }
    }

    fn process(&self, stop: &Stop) -> Result<(), Error> {
        let (id, admission) = (self.id.clone(), self.admission.clone());
        let mut fold = Processor::new(id, admission, Vec::new(), Witness::none(), self.metrics.clone());
        self.log.fold(&self.member("processor"), &mut fold, stop)
    }

    fn store(&self, stop: &Stop) -> Result<(), Error> {
        let key = self.runtime.block_on(self.database.register(&self.id, SOON * 1_000_000, now())).unwrap();
        let (database, handle) = (self.database.clone(), self.runtime.handle().clone());
        let (admission, writer) = (self.admission.clone(), HistoryWriter::new(key));
        let mut sink =
            HistorySink::new(self.id.clone(), admission, database, writer, handle, self.metrics.clone());
        self.log.sink(&self.member("storage"), Topic::Raw, &mut sink, stop)
    }

    /// Runs processor and storage until both have read everything.
    fn work(&self) {
        let stop = Stop::new();
        let done = || {
            [self.member("processor"), self.member("storage")]
                .iter()
                .all(|who| self.log.lag(&who.group, Topic::Raw).unwrap().iter().all(|lag| lag.records == 0))
        };
        std::thread::scope(|scope| {
            let (processor, storage) =
                (scope.spawn(|| self.process(&stop)), scope.spawn(|| self.store(&stop)));
            let waited = wait::until("all to be read", SOON, done);
            stop.stop();
            processor.join().unwrap().unwrap();
            storage.join().unwrap().unwrap();
            waited.unwrap();
        });
    }

    fn values(&self, topic: Topic) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        for partition in 0..self.log.partitions(topic) {
            self.log
                .scan(topic, partition, 0, None, &mut |record| {
                    values.push(record.value.unwrap().to_vec());
                    Ok(ControlFlow::Continue(()))
                })
                .unwrap();
        }
        values
    }

    /// Items and prices in the database.
    fn rows(&self) -> BTreeSet<(String, String)> {
        let (mut rows, filter) = (BTreeSet::new(), Filter::default());
        let each = |row: pricemonitor_store::query::ExportRow| {
            assert!(rows.insert((row.item.clone(), row.price.to_string())), "a row was doubled");
            ControlFlow::Continue(())
        };
        self.runtime.block_on(self.database.export(&filter, each)).unwrap();
        rows
    }
}

/// The first example of the schema, on one line, with another item and more changes.
fn example(item: &str, change: impl FnOnce(&mut Value)) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/observation.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut example = schema["examples"][0].clone();
    example["item"] = item.into();
    change(&mut example);
    example.to_string()
}

#[test]
fn a_record_that_follows_the_schema_becomes_an_event_and_a_row() {
    let bench = Bench::new("follows");
    let items: Vec<String> = (0..12).map(|n| format!("seat-{n}")).collect();
    let keys: Vec<String> = items.iter().map(|item| format!("marketplace/{item}")).collect();
    let values: Vec<String> = items.iter().map(|item| example(item, |_| ())).collect();
    let mut lines: Vec<(&str, &str)> =
        keys.iter().zip(&values).map(|(key, value)| (key.as_str(), value.as_str())).collect();
    // What somebody else may do differently: a number, an offset, members of their own, records of their own kinds.
    let differently = example("seat-0", |record| {
        record["price"] = serde_json::json!(99.5);
        record["observed_at"] = "2026-01-05T01:45:00+02:00".into();
        record["note"] = serde_json::json!({"of": ["ours"]});
    });
    lines.push(("marketplace/seat-0", &differently));
    lines.push(("note", r#"{"v":1,"kind":"note","text":"not for you"}"#));
    bench.produce(&lines, &[]);
    bench.work();
    let mut expected: BTreeSet<(String, String)> =
        items.iter().map(|item| (item.clone(), "120.00".to_owned())).collect();
    expected.insert(("seat-0".to_owned(), "99.5".to_owned()));
    assert_eq!(bench.rows(), expected);
    assert!(bench.values(Topic::DeadLetters).is_empty());
    // And what we write is read by the other client.
    let events = bench.consume(Topic::Processed, 13);
    let mut seen = BTreeSet::new();
    for (key, value) in &events {
        let event = wire::read_event(value.as_bytes()).unwrap().unwrap();
        assert_eq!(key, &format!("{}/{}", event.source, event.item));
        assert_eq!(event.coordinates.partition, partition_of(key.as_bytes(), PARTITIONS), "murmur2, as Java");
        if event.price.to_string() == "99.5" {
            assert_eq!(event.previous.map(|previous| previous.to_string()).as_deref(), Some("120.00"));
        }
        seen.insert((event.item.to_string(), event.price.to_string()));
    }
    assert_eq!((events.len(), seen), (13, expected));
}

#[test]
fn a_record_that_does_not_follow_the_schema_is_a_dead_letter_with_its_reason() {
    let bench = Bench::new("does-not");
    let ahead = now().plus(MAX_AHEAD + 60_000).to_string();
    let broken = [
        ("malformed", "a/json", "{not json".to_owned()),
        ("malformed", "a/type", example("type", |record| record["price"] = true.into())),
        (
            "malformed",
            "a/member",
            example("member", |record| drop(record.as_object_mut().unwrap().remove("currency"))),
        ),
        ("malformed", "a/time", example("time", |record| record["observed_at"] = "yesterday".into())),
        ("malformed", "a/version", r#"{"kind":"observation"}"#.to_owned()),
        ("future", "a/future", example("future", |record| record["observed_at"] = ahead.clone().into())),
        ("out_of_range", "a/price", example("price", |record| record["price"] = "2000000000000".into())),
        ("too_long", "a/long", example(&"x".repeat(600), |_| ())),
        ("empty", "a/nothing", "NULL".to_owned()),
        ("empty", "a/source", example("source", |record| record["source"] = "".into())),
        ("wrong_partition", "NULL", example("no-key", |_| ())),
    ];
    let good = example("good", |_| ());
    let mut lines: Vec<(&str, &str)> = broken.iter().map(|(_, key, value)| (*key, value.as_str())).collect();
    lines.push(("marketplace/good", &good));
    bench.produce(&lines, &[]);
    // A client that does not let the key decide: all lines of a batch on one partition.
    let keys = ["p/0", "p/1", "p/2", "p/3", "p/4", "p/5", "p/6", "p/7"];
    let values: Vec<String> = keys.iter().map(|key| example(key, |_| ())).collect();
    let lines: Vec<(&str, &str)> = keys.iter().copied().zip(values.iter().map(String::as_str)).collect();
    bench.produce(&lines, &["--command-property", "partitioner.ignore.keys=true"]);
    bench.work();

    let values = bench.values(Topic::DeadLetters);
    let letters: Vec<DeadLetter<'_>> = values
        .iter()
        .map(|value| match wire::read_dead_letters(value).unwrap() {
            OnDeadLetters::Letter(letter) => letter,
            other => panic!("{other:?}"),
        })
        .collect();
    let text = |repeated: &Option<Repeated<'_>>| repeated.as_ref().map(|r| r.text().unwrap().to_owned());
    for (reason, key, value) in &broken {
        let key = (*key != "NULL").then(|| (*key).to_owned());
        let value = (value != "NULL").then(|| value.clone());
        let letter = letters
            .iter()
            .find(|letter| text(&letter.key) == key && text(&letter.payload) == value)
            .unwrap_or_else(|| panic!("no letter of {key:?}"));
        assert_eq!(letter.reason, *reason, "{key:?}: {}", letter.detail);
        assert!(!letter.truncated && !letter.detail.is_empty());
        if let Some(key) = key {
            assert_eq!(letter.coordinates.partition, partition_of(key.as_bytes(), PARTITIONS));
        }
    }
    // Of the client that ignores keys, whatever stands where it does not belong, and nothing else.
    let wrong: Vec<&DeadLetter<'_>> =
        letters.iter().filter(|letter| text(&letter.key).is_some_and(|key| key.starts_with("p/"))).collect();
    assert!(!wrong.is_empty() && wrong.len() < keys.len(), "{}", wrong.len());
    for letter in &wrong {
        let key = text(&letter.key).unwrap();
        assert_eq!(letter.reason, "wrong_partition");
        assert_ne!(letter.coordinates.partition, partition_of(key.as_bytes(), PARTITIONS));
        assert!(letter.detail.contains("murmur2"), "{}", letter.detail);
    }
    assert_eq!(letters.len(), broken.len() + wrong.len());
    assert_eq!(bench.values(Topic::Processed).len(), 1 + keys.len() - wrong.len());
    let mut right: BTreeSet<&str> = keys.into_iter().chain(["good"]).collect();
    wrong.iter().for_each(|letter| assert!(right.remove(text(&letter.key).unwrap().as_str())));
    let rows = bench.rows();
    assert_eq!(rows.iter().map(|(item, _)| item.as_str()).collect::<BTreeSet<_>>(), right);
}

#[test]
fn a_record_of_a_newer_version_stops_the_partition_and_is_no_dead_letter() {
    let bench = Bench::new("newer");
    let newer = example("seat-1", |record| record["v"] = 2.into());
    let items: Vec<String> = (2..14).map(|n| format!("seat-{n}")).collect();
    let keys: Vec<String> = items.iter().map(|item| format!("marketplace/{item}")).collect();
    let values: Vec<String> = items.iter().map(|item| example(item, |_| ())).collect();
    let behind = keys.iter().zip(&values).map(|(key, value)| (key.as_str(), value.as_str()));
    let lines: Vec<(&str, &str)> =
        [("marketplace/seat-1", newer.as_str())].into_iter().chain(behind).collect();
    bench.produce(&lines, &[]);
    let partition = |key: &str| partition_of(key.as_bytes(), PARTITIONS);
    let stopped = partition("marketplace/seat-1");
    let others = items.iter().zip(&keys).filter(|(_, key)| partition(key) != stopped);
    let others: BTreeSet<String> = others.map(|(item, _)| item.clone()).collect();
    assert!((1..items.len()).contains(&others.len()), "items on both sides: {others:?}");
    let stored = || bench.rows().into_iter().map(|(item, _)| item).collect::<BTreeSet<_>>();
    let answered = || {
        let events = bench.values(Topic::Processed);
        events.iter().map(|event| wire::read_event(event).unwrap().unwrap().item.to_string()).collect()
    };
    let stop = Stop::new();
    std::thread::scope(|scope| {
        let (processor, storage) = (scope.spawn(|| bench.process(&stop)), scope.spawn(|| bench.store(&stop)));
        let waited = wait::until("the other partitions to go on", SOON, || {
            stored() == others && answered() == others && bench.log.status().unavailable.is_some()
        });
        let why = bench.log.status().unavailable.unwrap_or_default();
        stop.stop();
        processor.join().unwrap().unwrap();
        storage.join().unwrap().unwrap();
        waited.unwrap();
        assert!(why.contains("wire version 2") && why.contains("upgrade"), "{why}");
        assert!(why.contains(&format!("-{stopped}-0")), "says which record: {why}");
    });
    assert!(bench.values(Topic::DeadLetters).is_empty());
    assert_eq!((stored(), answered()), (others.clone(), others));
    let stands = bench.log.folded("").unwrap()[stopped as usize];
    assert_eq!(stands.map_or(0, |at| at.next_offset), 0, "nothing behind it was taken");
}
