//! Asking the cluster, with an end to every wait and the reason when there is no answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pricemonitor_model::MonitorId;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

use super::client::Connection;
use super::ear::{Ear, LOGIN, OTHER_HOST, UNKNOWN_AUTHORITY, UNVERIFIED};
use super::topic_id;
use super::trouble::{code, explain, lost};
use crate::{Error, Result};

/// Longest wait for an answer.
pub(super) const ASK: Duration = Duration::from_secs(10);
/// After so long the reason is looked at, so that a refusal is told at once.
const SLICE: Duration = Duration::from_millis(500);

/// What a topic is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) partitions: u32,
    pub(super) replication: i32,
}

/// Clients that read nothing. For any number of threads.
pub(super) struct Asker {
    client: BaseConsumer<Ear>,
    /// Is told of committed records alone.
    settled: BaseConsumer<Ear>,
    /// The log was opened by it.
    let_in: AtomicBool,
    pub(super) connection: Connection,
    pub(super) id: MonitorId,
}

impl Asker {
    pub(super) fn new(connection: &Connection, id: &MonitorId) -> Result<Asker> {
        let client = |config: ClientConfig| {
            let made = config.create_with_context(Ear::default());
            made.map_err(|error| explain("cannot make a client", &error))
        };
        let (client, settled) = (client(connection.asker())?, client(connection.settled_asker())?);
        let let_in = AtomicBool::new(false);
        Ok(Asker { client, settled, let_in, connection: connection.clone(), id: id.clone() })
    }

    /// Everything that a log needs was answered: from here on a login that is refused may pass.
    pub(super) fn was_let_in(&self) {
        self.let_in.store(true, Ordering::Relaxed);
    }

    /// What a topic is like; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Error::Refused`] when only a person can mend why there is no answer, [`Error::Retry`] else.
    pub(super) fn topic(&self, name: &str) -> Result<Option<Shape>> {
        let doing = format!("cannot ask about the topic `{name}`");
        self.ask(&self.client, &doing, |wait| {
            let metadata = self.client.fetch_metadata(Some(name), wait)?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                return Ok(None);
            };
            match topic.error().map(Code::from) {
                None => Ok(topic.partitions().first().map(|first| Shape {
                    partitions: topic.partitions().len() as u32,
                    replication: first.replicas().len() as i32,
                })),
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
                Some(code) => Err(KafkaError::MetadataFetch(code)),
            }
        })
    }

    /// The id of a topic that exists; `None` when the cluster has no ids (before Kafka 2.8) or does not tell it.
    ///
    /// # Errors
    /// As for [`Asker::topic`].
    pub(super) fn topic_id(&self, name: &str) -> Result<Option<String>> {
        let doing = format!("cannot ask for the id of the topic `{name}`");
        self.ask(&self.client, &doing, |wait| self.id_within(name, wait))
    }

    /// As [`Asker::topic_id`], for who cannot wait: `None`, too, when the answer does not come at once.
    pub(super) fn topic_id_at_once(&self, name: &str) -> Option<String> {
        self.id_within(name, SLICE).ok().flatten()
    }

    fn id_within(&self, name: &str, wait: Duration) -> KafkaResult<Option<String>> {
        // Whoever answers this is there. By itself the client would ask the controller, as far as it knows: that may have
        // gone since, and some services have none.
        let metadata = self.client.fetch_metadata(Some(name), wait)?;
        let answering = Some(metadata.orig_broker_id()).filter(|id| *id >= 0);
        let broker = answering.or_else(|| Some(metadata.brokers().first()?.id()));
        match topic_id::topic_id(self.client.client(), name, broker, wait) {
            // Who may not even know of a topic, or finds none, is told so by every other question.
            Err(KafkaError::MetadataFetch(
                Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic,
            )) => Ok(None),
            told => told,
        }
    }

    /// Oldest offset and high watermark of a partition.
    ///
    /// # Errors
    /// As for [`Asker::topic`].
    pub(super) fn ends(&self, topic: &str, partition: u32) -> Result<(u64, u64)> {
        let doing = format!("cannot ask where partition {partition} of `{topic}` ends");
        let (first, end) = self
            .ask(&self.client, &doing, |wait| self.client.fetch_watermarks(topic, partition as i32, wait))?;
        Ok((first.max(0) as u64, end.max(0) as u64))
    }

    /// Up to where every transaction of a partition is over (the last stable offset): what the cluster tells a reader of
    /// committed records as the end.
    ///
    /// # Errors
    /// As for [`Asker::topic`].
    pub(super) fn settled(&self, topic: &str, partition: u32) -> Result<u64> {
        let doing = format!("cannot ask up to where partition {partition} of `{topic}` is decided");
        let (_, settled) = self.ask(&self.settled, &doing, |wait| {
            self.settled.fetch_watermarks(topic, partition as i32, wait)
        })?;
        Ok(settled.max(0) as u64)
    }

    /// Tells an unknown authority from another host, by a connection that takes any host. Nobody logs in by it.
    fn why_unverified(&self) -> &'static str {
        let mut config = self.connection.asker();
        config.set("security.protocol", "ssl").set("ssl.endpoint.identification.algorithm", "none");
        let Ok(client) = config.create_with_context::<_, BaseConsumer<Ear>>(Ear::default()) else {
            return UNVERIFIED;
        };
        let answered = client.fetch_metadata(None, SLICE * 4).is_ok();
        while client.poll(Duration::ZERO).is_some() {}
        match client.context().refused() {
            Some(why) if why.contains(UNVERIFIED) => UNKNOWN_AUTHORITY,
            None if !answered && client.context().unreachable().is_none() => UNVERIFIED,
            _ => OTHER_HOST,
        }
    }

    /// Asks again and again, until there is an answer or nobody can be expected to give one.
    fn ask<T>(
        &self,
        client: &BaseConsumer<Ear>,
        doing: &str,
        mut once: impl FnMut(Duration) -> KafkaResult<T>,
    ) -> Result<T> {
        let end = Instant::now() + ASK;
        loop {
            let answer = once(SLICE);
            // The reasons wait in the client's queue; nobody else empties it.
            while client.poll(Duration::ZERO).is_some() {}
            let error = match answer {
                Ok(answer) => {
                    client.context().clear();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let told = self.told(client, doing, &error);
            if !matches!(told, Error::Retry(_)) || Instant::now() > end {
                return Err(told);
            }
            if !code(&error).is_some_and(lost) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// What it means that there is no answer.
    fn told(&self, client: &BaseConsumer<Ear>, doing: &str, error: &KafkaError) -> Error {
        match client.context().explain(doing, error) {
            // Who was let in before is perhaps only not let in yet, by a broker that starts.
            Error::Refused(why) if why.contains(LOGIN) && self.let_in.load(Ordering::Relaxed) => {
                Error::Retry(why)
            }
            Error::Refused(why) if why.contains(UNVERIFIED) => {
                Error::Refused(why.replace(UNVERIFIED, self.why_unverified()))
            }
            told => told,
        }
    }
}
