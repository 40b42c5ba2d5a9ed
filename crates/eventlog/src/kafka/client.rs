//! How clients of the cluster are configured.

use std::collections::BTreeMap;
use std::fmt;

use pricemonitor_model::MonitorId;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::LARGEST_BATCH;

/// Where the cluster is, and how to be let in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// `host:port`, several with commas.
    pub bootstrap_servers: String,
    /// Properties of librdkafka for the connection, such as `security.protocol`. May hold secrets.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be passwords and keys.
        let names: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("Connection")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("properties", &names)
            .finish()
    }
}

/// How a member fetches what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// Whatever is there, as soon as it is there.
    AtOnce,
    /// Not before there is much, or a while has passed: each fetch costs the cluster as much as many records.
    Gathered,
}

/// How long a member may be silent before others take its partitions (milliseconds). A transaction may
/// last no longer: a dead member must not hold back readers for longer than it holds its partitions.
const SESSION: &str = "6000";

impl Connection {
    /// What all clients share.
    fn base(&self, name: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (property, value) in &self.properties {
            config.set(property, value);
        }
        let loud = self.properties.contains_key("debug");
        config.set_log_level(if loud { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", format!("pricemonitor-{name}"))
            // A cluster that restarts is found again within a second, not within ten.
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    /// Asks about topics, and makes them.
    pub(super) fn admin(&self) -> ClientConfig {
        self.base("admin")
    }

    /// Asks where partitions end, whatever is committed of them.
    pub(super) fn asker(&self) -> ClientConfig {
        let mut config = self.base("asker");
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// Asks up to where partitions are decided.
    pub(super) fn settled_asker(&self) -> ClientConfig {
        let mut config = self.base("asker");
        config.set("isolation.level", "read_committed");
        config
    }

    /// Reads partitions that it is told, outside of any group.
    pub(super) fn reader(&self, id: &MonitorId) -> ClientConfig {
        let mut config = self.base("reader");
        config
            // librdkafka wants a name even where no group is joined, and asks for its coordinator, for which there must be
            // a right; nothing is ever committed to it.
            .set("group.id", format!("{id}.reader"))
            .set("enable.partition.eof", "true");
        reading(&mut config);
        config
    }

    /// Reads a whole partition as fast as it comes: while one batch is taken in, others are fetched.
    pub(super) fn restorer(&self, id: &MonitorId) -> ClientConfig {
        let mut config = self.reader(id);
        config
            .set("fetch.message.max.bytes", "262144")
            .set("queued.max.messages.kbytes", "1024")
            .set("fetch.queue.backoff.ms", "1");
        config
    }

    /// A member of a group.
    pub(super) fn member(&self, group: &str, instance: &str, fetch: Fetch) -> ClientConfig {
        let mut config = self.base(instance);
        config
            .set("group.id", group)
            // Static membership (KIP-345): a restarted process has its partitions back at once.
            .set("group.instance.id", instance)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION)
            // The session of one that dies ends so much earlier at most, and the others hear of it so much later.
            .set("heartbeat.interval.ms", "500");
        reading(&mut config);
        // Who has nothing to read asks ten times a second, for as long as the program runs; what comes ends the wait. Nothing
        // that was assigned meanwhile is read before it is over.
        config.set("fetch.wait.max.ms", "100");
        if fetch == Fetch::Gathered {
            config.set("fetch.min.bytes", "65536");
        }
        config
    }

    /// A producer of transactions. A second one of the same name fences the first (KIP-98). It tells of every record
    /// that was taken only if `told`: that costs as much as the record itself.
    pub(super) fn producer(&self, transactional_id: &str, told: bool) -> ClientConfig {
        let mut config = self.base(transactional_id);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", SESSION)
            .set("delivery.report.only.error", if told { "false" } else { "true" })
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("message.max.bytes", LARGEST_BATCH)
            .set("linger.ms", "1")
            // As Java's: the same key falls into the same partition, whoever writes it.
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "65536");
        config
    }
}

fn reading(config: &mut ClientConfig) {
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        // A position outside of the log is an operator's decision.
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "20")
        // What is fetched of a partition at once is unpacked at once, to many times of that: it bounds the memory more
        // than the queue does, which is one for all partitions of a member and takes no more fetches while it is full.
        // Then it is looked again soon: the default of a second stalls a fast reader.
        .set("fetch.message.max.bytes", "131072")
        .set("queued.max.messages.kbytes", "256")
        .set("fetch.queue.backoff.ms", "2")
        .set("queued.min.messages", "100000");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_connection_are_not_shown() {
        let properties = [("sasl.password".to_owned(), "hunter2".to_owned())].into();
        let connection = Connection { bootstrap_servers: "k:9092".to_owned(), properties };
        let shown = format!("{connection:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
