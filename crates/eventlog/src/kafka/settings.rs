//! What topics are like: the settings that they are made with, and where those of others differ.

use std::collections::BTreeMap;
use std::fmt;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AlterConfig, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::asker::Shape;
use super::setup::options;
use super::trouble::explain;
use crate::{Error, LARGEST_BATCH, Result, Topic};

const DAY: u64 = 86_400_000;
/// What is said of the number of copies, which is no setting of Kafka's.
const REPLICATION: &str = "replication factor";

/// How topics are made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Copies of every record, or what the broker does by default. With 3 or more, one may be away.
    pub replication: Option<i32>,
    /// How long records are kept, in milliseconds, by topic; compacted topics have none.
    pub retention: BTreeMap<Topic, u64>,
    /// Takes topics over that belong to another monitor, or that have records and belong to nobody.
    pub adopt: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        let retention = [
            (Topic::Raw, 7 * DAY),
            (Topic::Processed, 7 * DAY),
            (Topic::Alerts, 7 * DAY),
            (Topic::DeadLetters, 30 * DAY),
        ];
        Setup { replication: None, retention: retention.into(), adopt: false }
    }
}

/// A topic is not as wanted. [`fmt::Display`] says so in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The topic's name.
    pub topic: String,
    /// Kafka's name of the setting, or `replication factor`.
    pub setting: String,
    /// What the topic has.
    pub found: String,
    /// What it would be made with.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { topic, setting, found, wanted } = self;
        write!(f, "`{topic}` exists with {setting} {found}, wanted is {wanted}; it was not changed")
    }
}

fn is_compacted(topic: Topic) -> bool {
    matches!(topic, Topic::State | Topic::Checkpoints)
}

/// The settings that a topic is made with. How many copies must be in sync is not among them while the number of
/// copies is not known.
pub(super) fn of(topic: Topic, setup: &Setup, replication: Option<i32>) -> BTreeMap<&'static str, String> {
    let mut settings = BTreeMap::from([
        ("max.message.bytes", LARGEST_BATCH.to_owned()),
        // The record's time is when the log took it, by the log's clock.
        ("message.timestamp.type", "LogAppendTime".to_owned()),
    ]);
    if let Some(copies) = replication {
        settings.insert("min.insync.replicas", if copies >= 3 { copies - 1 } else { 1 }.to_string());
    }
    if is_compacted(topic) {
        settings.insert("cleanup.policy", "compact".to_owned());
        // Small segments: only closed ones are compacted, a restore reads the rest, and whoever takes a partition over
        // has a second for that. The largest batch must fit.
        settings.insert("segment.bytes", "10485760".to_owned());
    } else {
        settings.insert("cleanup.policy", "delete".to_owned());
        let retention = setup.retention.get(&topic).copied().unwrap_or(7 * DAY);
        settings.insert("retention.ms", retention.to_string());
    }
    settings
}

/// Sets how many copies must be in sync on a topic that was just made with as many as the broker gives.
pub(super) fn in_sync(
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
    topic: Topic,
    setup: &Setup,
    made: Shape,
) -> Result<()> {
    if made.replication < 3 {
        return Ok(());
    }
    let settings = of(topic, setup, Some(made.replication));
    let alter =
        settings.iter().fold(AlterConfig::new(ResourceSpecifier::Topic(name)), |alter, (name, value)| {
            alter.set(name, value)
        });
    let doing = format!("cannot set min.insync.replicas of `{name}`");
    let results =
        block_on(admin.alter_configs(&[alter], &options())).map_err(|error| explain(&doing, &error))?;
    match results.into_iter().find_map(std::result::Result::err) {
        Some((_, code)) => Err(refused(&doing, code)),
        None => Ok(()),
    }
}

/// Where topics that exist differ from what is wanted, or why that cannot be told.
pub(super) fn compare(
    admin: &AdminClient<DefaultClientContext>,
    topics: &[(Topic, String, Shape)],
    setup: &Setup,
) -> (Vec<Difference>, Option<String>) {
    let mut differences = Vec::new();
    for (_, name, shape) in topics {
        if let Some(wanted) = setup.replication.filter(|wanted| *wanted != shape.replication) {
            differences.push(Difference {
                topic: name.clone(),
                setting: REPLICATION.to_owned(),
                found: shape.replication.to_string(),
                wanted: wanted.to_string(),
            });
        }
    }
    if topics.is_empty() {
        return (differences, None);
    }
    let asked: Vec<ResourceSpecifier<'_>> =
        topics.iter().map(|(_, name, _)| ResourceSpecifier::Topic(name)).collect();
    let found = match block_on(admin.describe_configs(&asked, &options())) {
        Ok(found) => found,
        Err(error) => return (differences, Some(explain("settings were not compared", &error).to_string())),
    };
    let mut not_compared = None;
    for ((topic, name, shape), found) in topics.iter().zip(found) {
        match found {
            // To who has no right to see them the cluster shows none.
            Ok(found) if found.get("cleanup.policy").is_none() => {
                not_compared.get_or_insert_with(|| {
                    format!(
                        "the settings of `{name}` were not compared: the user of `kafka.authentication` lacks the right to \
                         describe configurations"
                    )
                });
            }
            Ok(found) => {
                let wanted = of(*topic, setup, Some(setup.replication.unwrap_or(shape.replication)));
                differences.extend(differing(name, &wanted, &found));
            }
            Err(code) => {
                let doing = format!("the settings of `{name}` were not compared");
                not_compared.get_or_insert_with(|| refused(&doing, code).to_string());
            }
        }
    }
    (differences, not_compared)
}

fn differing(name: &str, wanted: &BTreeMap<&'static str, String>, found: &ConfigResource) -> Vec<Difference> {
    let found = found.entry_map();
    wanted
        .iter()
        // How a compacted topic is cut into files is told to nobody: it changes nothing that a record is.
        .filter(|(setting, _)| **setting != "segment.bytes")
        .filter_map(|(setting, wanted)| {
            let found = found.get(setting)?.value.as_ref()?;
            (found != wanted).then(|| Difference {
                topic: name.to_owned(),
                setting: (*setting).to_owned(),
                found: found.clone(),
                wanted: wanted.clone(),
            })
        })
        .collect()
}

/// What the cluster's code for one of several topics means.
pub(super) fn refused(doing: &str, code: Code) -> Error {
    match explain(doing, &KafkaError::AdminOp(code)) {
        // The cluster answered, and would answer the same again.
        Error::Retry(text) if !super::trouble::lost(code) => Error::Refused(text),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_copies_must_be_in_sync_that_one_of_three_may_be_away() {
        for topic in [Topic::Raw, Topic::DeadLetters, Topic::State, Topic::Checkpoints] {
            let demanded = |copies| of(topic, &Setup::default(), copies).remove("min.insync.replicas");
            for (copies, in_sync) in [(1, "1"), (2, "1"), (3, "2"), (5, "4")] {
                assert_eq!(demanded(Some(copies)).as_deref(), Some(in_sync), "{copies} copies of {topic:?}");
            }
            assert_eq!(demanded(None), None, "the number of copies is not known yet");
        }
    }
}
