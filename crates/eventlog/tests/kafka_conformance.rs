//! The Kafka engine keeps every promise of the event log, on a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::cell::RefCell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conformance::Bed;
use futures::executor::block_on;
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{Layout, Topic};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

/// One broker for all tests of this program; it ends with the process.
static BROKER: LazyLock<kafka::Kafka> =
    LazyLock::new(|| kafka::Kafka::start(&kafka::Options::default()).unwrap());
static MONITORS: AtomicU32 = AtomicU32::new(0);

const TOPICS: [Topic; 6] =
    [Topic::Raw, Topic::Processed, Topic::Alerts, Topic::Checkpoints, Topic::State, Topic::DeadLetters];

#[derive(Default)]
struct Cluster {
    made: RefCell<Option<(MonitorId, Layout, Vec<String>)>>,
}

impl Cluster {
    fn connection() -> Connection {
        Connection { bootstrap_servers: BROKER.bootstrap(), properties: Default::default() }
    }

    fn open(id: &MonitorId, layout: &Layout) -> KafkaLog {
        // One broker for all: groups of the same name must not meet.
        let options = Options { group_prefix: format!("{id}."), ..Options::default() };
        KafkaLog::open(&Cluster::connection(), id, layout, options).unwrap()
    }
}

impl Bed for Cluster {
    type Log = KafkaLog;

    fn fresh(&self, partitions: u32) -> KafkaLog {
        let id = MonitorId::new(None, &format!("m{}", MONITORS.fetch_add(1, Ordering::Relaxed)));
        let layout = Layout { partitions, ..Layout::default() };
        let made = setup(&Cluster::connection(), &id, &layout, &Setup::default()).unwrap().made;
        assert_eq!(made.len(), TOPICS.len());
        let log = Cluster::open(&id, &layout);
        let names = TOPICS.map(|topic| log.name(topic).to_owned()).to_vec();
        self.made.replace(Some((id, layout, names)));
        log
    }

    fn reopen(&self, log: KafkaLog) -> KafkaLog {
        drop(log);
        let made = self.made.borrow();
        let (id, layout, _) = made.as_ref().unwrap();
        Cluster::open(id, layout)
    }

    /// Allows small batches only on the topics. (Not none at all: the marks of aborted transactions must fit.)
    fn refuse_writes(&self, refuse: bool) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", BROKER.bootstrap()).create().unwrap();
        let made = self.made.borrow();
        let (_, _, names) = made.as_ref().unwrap();
        let configs: Vec<AlterConfig<'_>> = names
            .iter()
            .map(|name| {
                let policy = if name.ends_with("state") || name.ends_with("checkpoints") {
                    "compact"
                } else {
                    "delete"
                };
                AlterConfig::new(ResourceSpecifier::Topic(name))
                    .set("max.message.bytes", if refuse { "2048" } else { "9437184" })
                    .set("message.timestamp.type", "LogAppendTime")
                    .set("cleanup.policy", policy)
            })
            .collect();
        for result in block_on(admin.alter_configs(&configs, &AdminOptions::new())).unwrap() {
            result.unwrap();
        }
        // The broker takes a setting over a moment after it was told.
        std::thread::sleep(Duration::from_millis(500));
    }
}

conformance!(crate::Cluster::default());
