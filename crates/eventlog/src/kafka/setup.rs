//! Making the topics of a monitor, and the mark that says whose they are.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures::executor::block_on;
use pricemonitor_model::MonitorId;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::Message as _;
use serde::{Deserialize, Serialize};

use super::client::Connection;
use super::restore::{ASK, Restore};
use super::transaction::Transactions;
use super::trouble::explain;
use crate::layout::TOPICS;
use crate::{Error, LARGEST_BATCH, Layout, Result, Topic};

/// Key of the mark, in partition 0 of the checkpoints. No source has this name: names do not begin with `_`.
pub(super) const MARK: &[u8] = b"_monitor";
/// The newest format of the mark.
const FORMAT: u32 = 1;
/// Longest wait for a topic to be made or deleted.
const MAKE: Duration = Duration::from_secs(30);
const DAY: u64 = 86_400_000;

/// How topics are made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Copies of every record. With 3 or more, one may be away.
    pub replication: i32,
    /// How long records are kept, in milliseconds, by topic; compacted topics have none.
    pub retention: BTreeMap<Topic, u64>,
}

impl Default for Setup {
    fn default() -> Setup {
        let retention = [
            (Topic::Raw, 7 * DAY),
            (Topic::Processed, 7 * DAY),
            (Topic::Alerts, 7 * DAY),
            (Topic::DeadLetters, 30 * DAY),
        ];
        Setup { replication: 1, retention: retention.into() }
    }
}

/// Whose topics they are, and their life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mark {
    format: u32,
    monitor: String,
    partitions: u32,
    /// Life of the raw topic; another one when it was made anew.
    pub(super) incarnation: u64,
}

impl Mark {
    /// Refuses topics of another monitor.
    pub(super) fn belongs_to(&self, id: &MonitorId, layout: &Layout) -> Result<()> {
        let place = layout.name(id, Topic::Checkpoints);
        if self.format > FORMAT {
            return Err(Error::Newer(format!(
                "the mark in `{place}` has format {}, this program knows up to {FORMAT}: upgrade it",
                self.format
            )));
        }
        if self.monitor != id.as_str() {
            return Err(Error::Position(format!(
                "`{place}` belongs to the monitor {}, not to {id}: use other topic names",
                self.monitor
            )));
        }
        Ok(())
    }
}

/// Makes what is missing and says what it made. What exists is never changed. May run twice at a time: the
/// mark is written under one transactional id, so the second waits for the first.
///
/// # Errors
/// [`Error::Position`] for a topic with other partitions, or of another monitor.
pub fn setup(connection: &Connection, id: &MonitorId, layout: &Layout, setup: &Setup) -> Result<Vec<String>> {
    let admin: AdminClient<DefaultClientContext> =
        connection.admin().create().map_err(|error| explain("cannot make a client", &error))?;
    let asker: BaseConsumer =
        connection.asker().create().map_err(|error| explain("cannot make a client", &error))?;
    let mut made = Vec::new();
    let mut raw_is_new = false;
    for (topic, _, _) in TOPICS {
        let (name, wanted) = (layout.name(id, topic), layout.partitions(topic));
        match partitions(&asker, &name)? {
            Some(found) if found == wanted => {}
            Some(found) => {
                return Err(Error::Position(format!(
                    "`{name}` exists with {found} partitions, the manifest says {wanted}: nothing was changed; set \
                     `partitions: {found}`, or use other topics"
                )));
            }
            None => {
                let new = make(&admin, &name, topic, wanted, setup)?;
                wait_for(&asker, &name, wanted)?;
                raw_is_new |= new && topic == Topic::Raw;
                made.push(name);
            }
        }
    }
    mark(connection, &asker, id, layout, raw_is_new)?;
    Ok(made)
}

/// Deletes the topics of the monitor. Says which there were.
///
/// # Errors
/// [`Error::Position`] when they belong to another monitor; then nothing is deleted.
pub fn teardown(connection: &Connection, id: &MonitorId, layout: &Layout) -> Result<Vec<String>> {
    let admin: AdminClient<DefaultClientContext> =
        connection.admin().create().map_err(|error| explain("cannot make a client", &error))?;
    let asker: BaseConsumer =
        connection.asker().create().map_err(|error| explain("cannot make a client", &error))?;
    if partitions(&asker, &layout.name(id, Topic::Checkpoints))?.is_some()
        && let Some(mark) = read_mark(connection, &asker, id, layout)?
    {
        mark.belongs_to(id, layout)?;
    }
    let mut gone = Vec::new();
    for (topic, _, _) in TOPICS {
        let name = layout.name(id, topic);
        if partitions(&asker, &name)?.is_some() {
            let doing = format!("cannot delete `{name}`");
            let results = block_on(admin.delete_topics(&[&name], &options()))
                .map_err(|error| explain(&doing, &error))?;
            for result in results {
                if let Err((_, code)) = result {
                    return Err(Error::Storage(format!("{doing}: {code}")));
                }
            }
            gone.push(name);
        }
    }
    Ok(gone)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(MAKE)).request_timeout(Some(MAKE))
}

/// Makes a topic; `false` when another process was quicker.
fn make(
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
    topic: Topic,
    partitions: u32,
    setup: &Setup,
) -> Result<bool> {
    let in_sync = if setup.replication >= 3 { setup.replication - 1 } else { 1 }.to_string();
    let retention = setup.retention.get(&topic).copied().unwrap_or(7 * DAY).to_string();
    let mut new = NewTopic::new(name, partitions as i32, TopicReplication::Fixed(setup.replication))
        .set("min.insync.replicas", &in_sync)
        .set("max.message.bytes", LARGEST_BATCH)
        // The record's time is when the log took it, by the log's clock.
        .set("message.timestamp.type", "LogAppendTime");
    new = if matches!(topic, Topic::State | Topic::Checkpoints) {
        // Small segments: only closed ones are compacted, and a restore reads the rest.
        new.set("cleanup.policy", "compact").set("segment.bytes", "67108864")
    } else {
        new.set("retention.ms", &retention)
    };
    let doing = format!("cannot make the topic `{name}`");
    let results =
        block_on(admin.create_topics([&new], &options())).map_err(|error| explain(&doing, &error))?;
    match results.into_iter().next() {
        Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, code))) => Err(Error::Storage(format!("{doing}: {code}"))),
        _ => Ok(true),
    }
}

/// How many partitions a topic has; `None` when it does not exist.
pub(super) fn partitions(asker: &BaseConsumer, name: &str) -> Result<Option<u32>> {
    let doing = format!("cannot ask about the topic `{name}`");
    let metadata = asker.fetch_metadata(Some(name), ASK).map_err(|error| explain(&doing, &error))?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    Ok(topic
        .filter(|topic| topic.error().is_none())
        .map(|topic| topic.partitions().len() as u32)
        .filter(|partitions| *partitions > 0))
}

/// Brokers hear of a new topic one after the other.
fn wait_for(asker: &BaseConsumer, name: &str, wanted: u32) -> Result<()> {
    let end = std::time::Instant::now() + MAKE;
    while partitions(asker, name)? != Some(wanted) {
        if std::time::Instant::now() > end {
            return Err(Error::Retry(format!("the topic `{name}` was made but is not there yet")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The mark, if there is one.
pub(super) fn read_mark(
    connection: &Connection,
    asker: &BaseConsumer,
    id: &MonitorId,
    layout: &Layout,
) -> Result<Option<Mark>> {
    let topic = layout.name(id, Topic::Checkpoints);
    let mut mark = None;
    Restore::open(connection, asker, &topic, 0)?.read(|message| {
        if message.key() == Some(MARK) {
            mark = message.payload().map(<[u8]>::to_vec);
        }
        Ok(())
    })?;
    let read = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Storage(format!("the mark in `{topic}` cannot be read: {error}")))
    };
    mark.map(read).transpose()
}

/// Writes the mark where there is none, or a new life when the raw topic was made anew.
fn mark(
    connection: &Connection,
    asker: &BaseConsumer,
    id: &MonitorId,
    layout: &Layout,
    raw_is_new: bool,
) -> Result<()> {
    let topic = layout.name(id, Topic::Checkpoints);
    // Whoever else sets this monitor up is fenced from here on.
    let transactions = Transactions::open(connection, &format!("{id}.setup"))?;
    if let Some(known) = read_mark(connection, asker, id, layout)? {
        known.belongs_to(id, layout)?;
        if !raw_is_new {
            return Ok(());
        }
    }
    // 53 bits, so that the number survives a program that reads JSON numbers as doubles.
    let random = RandomState::new().hash_one(std::process::id());
    let incarnation = (random & 0x1f_ffff_ffff_ffff).max(1);
    let mark = Mark { format: FORMAT, monitor: id.to_string(), partitions: layout.partitions, incarnation };
    let bytes = serde_json::to_vec(&mark)
        .map_err(|error| Error::Worker(format!("the mark cannot be written: {error}")))?;
    transactions.begin()?;
    transactions.send(&topic, Some(0), Some(MARK), Some(&bytes))?;
    transactions.commit_alone()?;
    Ok(())
}
