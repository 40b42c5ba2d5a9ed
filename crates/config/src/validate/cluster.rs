//! The event log's names and sizes, and what is said for a cluster.

use std::collections::BTreeMap;

use super::{Checks, exactly_one, values};
use crate::nearest::shown;
use crate::secrets::{valid_key, valid_name};
use crate::settings::{KafkaSettings, TopicRetention};
use crate::spec::{
    AuthenticationKind, CaSource, KafkaSpec, KeySpec, ObjectRef, PostgresSpec, TopicRetentionSpec,
};

/// What the event log is to be like.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) partitions: u32,
    pub(super) topics: BTreeMap<&'static str, String>,
    pub(super) key: KeySpec,
    pub(super) kafka: KafkaSettings,
}

impl Log {
    /// Partitions for the check that a key stands where it belongs: it belongs there by its hash
    /// only where the key is the item.
    pub(super) fn checked_partitions(&self) -> Option<u32> {
        match self.key {
            KeySpec::Item => Some(self.partitions),
            KeySpec::SlotStart => None,
        }
    }
}

/// The event log that `kafka` asks for.
pub(super) fn settings(checks: &mut Checks, kafka: Option<&KafkaSpec>) -> Log {
    let mut log =
        Log { partitions: 1, topics: BTreeMap::new(), key: KeySpec::Item, kafka: KafkaSettings::default() };
    let Some(kafka) = kafka else { return log };
    log.key = kafka.key;
    log.partitions = kafka.partitions.unwrap_or(1);
    if !(1..=1_000).contains(&log.partitions) {
        checks.tell("spec.kafka.partitions", format!("must be from 1 to 1000, not {}", log.partitions));
    } else if kafka.key == KeySpec::SlotStart && log.partitions != 1 {
        let message = "must be 1 with `key: slotStart`: the slots of one series would be spread over several";
        checks.tell("spec.kafka.partitions", message);
    }
    topics(checks, kafka, &mut log.topics);
    cluster_only(checks, kafka);
    let retention = kafka.retention.as_ref().map(|retention| self::retention(checks, retention));
    log.kafka = KafkaSettings {
        bootstrap_servers: kafka.bootstrap_servers.clone(),
        replication_factor: kafka.replication_factor,
        retention: retention.unwrap_or_default(),
        authentication: kafka.authentication.clone(),
        tls: kafka.tls.clone(),
        groups: kafka.groups.clone().unwrap_or_default(),
        deletion_policy: kafka.deletion_policy.unwrap_or_default(),
    };
    log
}

fn topics(checks: &mut Checks, kafka: &KafkaSpec, out: &mut BTreeMap<&'static str, String>) {
    let Some(topics) = &kafka.topics else { return };
    for (name, topic) in [("raw", &topics.raw), ("processed", &topics.processed), ("alerts", &topics.alerts)]
    {
        let Some(topic) = topic else { continue };
        let path = format!("spec.kafka.topics.{name}");
        let Some(topic) = checks.take(&path, values::topic(topic)) else { continue };
        // A reader of one would meet the records of the other.
        if let Some((other, _)) = out.iter().find(|(_, taken)| **taken == topic) {
            checks.tell(&path, format!("`{}` is the topic `{other}` too: names must differ", shown(&topic)));
        }
        out.insert(name, topic);
    }
}

fn retention(checks: &mut Checks, retention: &TopicRetentionSpec) -> TopicRetention {
    let mut read = |name: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        checks.take(format_args!("spec.kafka.retention.{name}"), values::duration(text, "1h", "3650d"))
    };
    TopicRetention {
        raw: read("raw", &retention.raw),
        processed: read("processed", &retention.processed),
        alerts: read("alerts", &retention.alerts),
        dead_letters: read("deadLetters", &retention.dead_letters),
    }
}

fn cluster_only(checks: &mut Checks, kafka: &KafkaSpec) {
    if let Some(servers) = &kafka.bootstrap_servers {
        checks.take("spec.kafka.bootstrapServers", bootstrap(servers));
    }
    if let Some(factor) = kafka.replication_factor
        && !(1..=32).contains(&factor)
    {
        checks.tell("spec.kafka.replicationFactor", format!("must be from 1 to 32, not {factor}"));
    }
    if let Some(groups) = &kafka.groups {
        let groups =
            [("processor", &groups.processor), ("storage", &groups.storage), ("alert", &groups.alert)];
        for (name, group) in groups {
            if let Some(group) = group {
                let group = values::topic(group).map_err(|error| error.replace("a topic's", "a group's"));
                checks.take(format_args!("spec.kafka.groups.{name}"), group);
            }
        }
    }
    if let Some(authentication) = &kafka.authentication {
        object(checks, "spec.kafka.authentication.secretRef", &authentication.secret_ref);
        if authentication.kind == AuthenticationKind::Tls && kafka.tls.is_none() {
            let message = "`tls` logs in by a client certificate: add `spec.kafka.tls` (`tls: {}` trusts the system's \
                           authorities)";
            checks.tell("spec.kafka.authentication.type", message);
        }
    }
    if let Some(ca) = kafka.tls.as_ref().and_then(|tls| tls.ca_certificate.as_ref()) {
        certificate(checks, "spec.kafka.tls.caCertificate", ca);
    }
}

/// PostgreSQL's part.
pub(super) fn postgres(checks: &mut Checks, postgres: &PostgresSpec) {
    object(checks, "spec.storage.postgres.secretRef", &postgres.secret_ref);
    if let Some(ca) = postgres.tls.as_ref().and_then(|tls| tls.ca_certificate.as_ref()) {
        certificate(checks, "spec.storage.postgres.tls.caCertificate", ca);
    }
}

fn bootstrap(text: &str) -> Result<(), String> {
    let server = |server: &str| {
        let (host, port) = server.trim().rsplit_once(':')?;
        let host_ok = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@');
        (host_ok && port.parse::<u16>().is_ok_and(|port| port > 0)).then_some(())
    };
    if text.len() <= 1024 && text.split(',').all(|part| server(part).is_some()) {
        return Ok(());
    }
    Err("must be addresses such as `kafka-0:9092,kafka-1:9092`".to_owned())
}

fn object(checks: &mut Checks, path: &str, reference: &ObjectRef) {
    if !valid_name(&reference.name) {
        let message = "must be the name of a Secret: lower-case letters, digits, `-` and `.`";
        checks.tell(format_args!("{path}.name"), message);
    }
}

fn certificate(checks: &mut Checks, path: &str, ca: &CaSource) {
    let given =
        [("secretKeyRef", ca.secret_key_ref.is_some()), ("configMapKeyRef", ca.config_map_key_ref.is_some())];
    checks.take(path, exactly_one("place", &given));
    if let Some(reference) = &ca.secret_key_ref
        && let Err((member, message)) = values::secret(reference)
    {
        checks.tell(format_args!("{path}.secretKeyRef.{member}"), message);
    }
    if let Some(reference) = &ca.config_map_key_ref
        && !(valid_name(&reference.name) && valid_key(&reference.key))
    {
        checks.tell(format_args!("{path}.configMapKeyRef"), "must hold the name and a key of a ConfigMap");
    }
}
