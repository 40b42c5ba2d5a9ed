//! Kafka's own compaction takes away what was overwritten and what was removed, and nothing that counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use conformance::workers::{Counter, all, fold_all, fold_until, restored, values};
use conformance::{append, lag, member, numbered, producer, record};
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{EventLog as _, Layout, Topic, Write};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::{kafka, wait};

const PARTITIONS: u32 = 2;
/// Of each kind; see [`Ledger::round`].
const KEYS: usize = 10;
/// Rounds that are folded before compaction is waited for.
const ROUNDS: usize = 12;
/// The round that removes keys, and the one in which some of them return.
const REMOVAL: usize = 3;
const RETURN: usize = 6;
/// A segment is closed by the first write after `segment.ms`. Only closed ones are compacted.
const PAUSE: Duration = Duration::from_millis(150);
/// Longest wait until the cluster has compacted.
const COMPACTED: Duration = Duration::from_secs(60);

/// Has the cluster close segments and compact them as soon as it can.
const AT_ONCE: &str = "segment.ms=100,min.cleanable.dirty.ratio=0.01,delete.retention.ms=100";

fn open(broker: &kafka::Kafka) -> KafkaLog {
    // What the engine says explains a test that fails.
    let _ = tracing_subscriber::fmt().with_env_filter("pricemonitor=debug").with_ansi(false).try_init();
    let connection = Connection { bootstrap_servers: broker.bootstrap(), properties: Default::default() };
    let (id, layout) =
        (MonitorId::new(None, "compacted"), Layout { partitions: PARTITIONS, ..Layout::default() });
    setup(&connection, &id, &layout, &Setup::default()).unwrap();
    let options = Options { linger: Duration::from_millis(5), ..Options::default() };
    KafkaLog::open(&connection, &id, &layout, options).unwrap()
}

fn compacts_at_once(broker: &kafka::Kafka, topic: &str) {
    let bootstrap = broker.bootstrap();
    let whose = ["--bootstrap-server", &bootstrap, "--entity-type", "topics", "--entity-name", topic];
    let alter = ["--alter", "--add-config", AT_ONCE];
    broker.tool("kafka.admin.ConfigCommand", &[whose.as_slice(), &alter].concat()).unwrap();
}

/// What was appended, and what must have become of it.
#[derive(Default)]
struct Ledger {
    rounds: usize,
    /// Records of the state beside its marks: one for each record of a round.
    written: usize,
    /// The state.
    counts: BTreeMap<String, u64>,
    /// What was said on processed, by key.
    told: BTreeMap<String, Vec<String>>,
}

impl Ledger {
    /// The next round of records. Some keys stay, some are removed for good, and some return after a while.
    fn round(&mut self) -> Vec<Write> {
        let round = self.rounds;
        self.rounds += 1;
        let number = round.to_string();
        let number = number.as_str();
        let goes = match round {
            0..REMOVAL => Some(number),
            REMOVAL => Some("remove"),
            _ => None,
        };
        let returns = if round < RETURN { goes } else { Some(number) };
        let mut records = Vec::new();
        for (kind, value) in [("stays", Some(number)), ("goes", goes), ("returns", returns)] {
            let Some(value) = value else { continue };
            for (partition, key) in (0..PARTITIONS).cycle().zip(numbered(kind, KEYS)) {
                records.push(Write { partition: Some(partition), ..record(&key, value) });
                self.note(key, value);
            }
        }
        records
    }

    /// What a [`Counter`] makes of a record.
    fn note(&mut self, key: String, value: &str) {
        let count = self.counts.remove(&key).unwrap_or(0) + 1;
        self.told.entry(key.clone()).or_default().push(format!("{value}#{count}"));
        self.written += 1;
        if value != "remove" {
            self.counts.insert(key, count);
        }
    }
}

/// A record of the state that a reader still sees, its marks among them.
struct Kept {
    offset: u64,
    tombstone: bool,
}

/// Of every partition.
fn kept(log: &KafkaLog) -> Vec<Vec<Kept>> {
    let of = |partition| {
        let mut kept = Vec::new();
        log.scan(Topic::State, partition, 0, None, &mut |record| {
            kept.push(Kept { offset: record.offset, tombstone: record.value.is_none() });
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        kept
    };
    (0..PARTITIONS).map(of).collect()
}

/// Who joins next gets the keys and counts that were committed, no other ones, and goes on where the fold stood.
fn restores_what_was_committed(log: &KafkaLog, ledger: &Ledger) {
    let stood: Vec<u64> =
        log.folded("fold").unwrap().into_iter().map(|position| position.unwrap().next_offset).collect();
    let found = restored(log, "fold");
    assert_eq!(found.values().map(|(next_offset, _)| *next_offset).collect::<Vec<_>>(), stood);
    let counts: BTreeMap<String, u64> = found.into_values().flat_map(|(_, counts)| counts).collect();
    assert_eq!(counts, ledger.counts);
}

#[test]
fn a_state_that_was_really_compacted_restores_to_what_was_committed() {
    // By itself a broker looks every 15 s whether there is something to compact.
    let properties = vec![("log.cleaner.backoff.ms".to_owned(), "100".to_owned())];
    let broker = kafka::Kafka::start(&kafka::Options { properties, ..kafka::Options::default() }).unwrap();
    let log = open(&broker);
    compacts_at_once(&broker, log.name(Topic::State));
    let (mut door, mut ledger, who) = (producer(&log), Ledger::default(), member("fold", "one"));
    fold_until(&log, &who, &mut Counter::default(), "every round is folded by itself", || {
        if lag(&log, "fold", Topic::Raw) > 0 {
            return false;
        }
        if ledger.rounds == ROUNDS {
            return true;
        }
        std::thread::sleep(PAUSE);
        append(&mut door, &ledger.round());
        false
    })
    .unwrap();
    let stood = log.folded("fold").unwrap();
    wait::until("most of what was written is gone, from the very first record on", COMPACTED, || {
        let kept = kept(&log);
        let gone = kept.iter().all(|part| part.first().is_some_and(|first| first.offset > 0));
        gone && 2 * kept.iter().map(Vec::len).sum::<usize>() < ledger.written
    })
    .unwrap();
    assert_eq!(log.folded("fold").unwrap(), stood, "compaction does not move the fold");
    restores_what_was_committed(&log, &ledger);

    // Tombstones go, too, once they were kept for a while and there is something else to compact. Each of these rounds
    // begins with a restore from what is left.
    wait::until("tombstones are gone", COMPACTED, || {
        append(&mut door, &ledger.round());
        fold_all(&log, &who, &mut Counter::default());
        !kept(&log).iter().flatten().any(|kept| kept.tombstone)
    })
    .unwrap();
    restores_what_was_committed(&log, &ledger);

    // Nothing is missed or done twice by who goes on from there.
    append(&mut door, &ledger.round());
    fold_all(&log, &who, &mut Counter::default());
    let seen = all(&log, Topic::Processed);
    for (key, told) in &ledger.told {
        assert_eq!(values(&seen, key), *told, "{key}");
    }
}
