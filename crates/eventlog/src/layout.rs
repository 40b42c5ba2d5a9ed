//! The topics of a monitor's log: how many partitions, and what they are called.

use std::collections::BTreeMap;

use pricemonitor_model::MonitorId;

use crate::{Error, Result, Topic};

/// The largest key and value together, in bytes.
pub(crate) const LARGEST: usize = 8 * 1024 * 1024;
/// The largest batch of a topic on a cluster, in bytes: a record and what is around it.
pub(crate) const LARGEST_BATCH: &str = "9437184";

/// Every topic with its part's name in manifests and files, and the end of its default name.
pub(crate) const TOPICS: [(Topic, &str, &str); 6] = [
    (Topic::Raw, "raw", "raw_prices"),
    (Topic::Processed, "processed", "processed_prices"),
    (Topic::Alerts, "alerts", "price_alerts"),
    (Topic::Checkpoints, "checkpoints", "checkpoints"),
    (Topic::State, "state", "state"),
    (Topic::DeadLetters, "dead_letters", "dead_letters"),
];

/// Refuses a topic that only workers write.
pub(crate) fn open_to_all(topic: Topic) -> Result<()> {
    if matches!(topic, Topic::State | Topic::Checkpoints) {
        let (_, part, _) = TOPICS[topic as usize];
        return Err(Error::Worker(format!("only workers write to the topic `{part}`")));
    }
    Ok(())
}

/// The shape of a monitor's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Partitions of every topic (dead letters have one), 1 to 1024. Cannot be changed later.
    pub partitions: u32,
    /// Names for topics by their part: `raw`, `processed`, `alerts`, `checkpoints`, `state`,
    /// `dead_letters`. Without one a topic is called `<monitor id>.<default name>`. Here a name is
    /// what messages call the topic; it may be changed.
    pub names: BTreeMap<&'static str, String>,
}

impl Layout {
    /// How many partitions `topic` has.
    pub(crate) fn partitions(&self, topic: Topic) -> u32 {
        if topic == Topic::DeadLetters { 1 } else { self.partitions }
    }

    /// Whether the topic's name is the manifest's choice, and so may also be that of somebody else's topic.
    pub(crate) fn names_itself(&self, topic: Topic) -> bool {
        self.names.contains_key(TOPICS[topic as usize].1)
    }

    /// What `topic` of the monitor is called.
    pub(crate) fn name(&self, id: &MonitorId, topic: Topic) -> String {
        let (_, part, default) = TOPICS[topic as usize];
        self.names.get(part).cloned().unwrap_or_else(|| format!("{id}.{default}"))
    }
}
