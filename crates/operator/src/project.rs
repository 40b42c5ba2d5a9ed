//! The manifest that each role runs: what it acts on and nothing else, so that a change rolls only
//! the pods that it concerns, and no pod sees secrets of another.

use pricemonitor_config::spec::{
    AtSpec, ChannelSpec, DiscordSpec, Metadata, PriceMonitorSpec, RuleSpec, SourceSpec, StorageSpec,
};
use pricemonitor_config::{PriceMonitor, SimulatorSpec};

use crate::build::paths;
use crate::role::Role;

/// What `role` runs of a monitor in `namespace`.
pub fn project(role: Role, monitor: &PriceMonitor, namespace: &str) -> PriceMonitor {
    let spec = &monitor.spec;
    let kafka = spec.kafka.clone().filter(|_| role != Role::Dashboard).map(|mut kafka| {
        if !matches!(role, Role::Setup | Role::Teardown) {
            kafka.replication_factor = None;
            kafka.retention = None;
        }
        kafka.deletion_policy = None;
        kafka
    });
    PriceMonitor {
        api_version: monitor.api_version.clone(),
        kind: monitor.kind.clone(),
        metadata: Metadata {
            name: monitor.metadata.name.clone(),
            namespace: Some(namespace.to_owned()),
            // The processor's is set where its manifest is written: it must not count as a change of its own.
            generation: None,
        },
        spec: PriceMonitorSpec {
            sources: spec.sources.iter().map(|source| self::source(role, source)).collect(),
            rules: rules(role, &spec.rules),
            channels: channels(role, &spec.channels),
            kafka,
            storage: storage(role, spec.storage.as_ref()),
            workers: None,
            image: None,
            suspend: false,
        },
    }
}

/// Only the producer opens sources; storage and processor judge their prices; to the others they are names.
fn source(role: Role, source: &SourceSpec) -> SourceSpec {
    let mut source = source.clone();
    match role {
        Role::Producer => {
            if let Some(file) = &mut source.file {
                file.path = paths::source_file(&source.name, file);
                file.volume = None;
            }
        }
        Role::Processor | Role::Storage => {
            source.interval = None;
            if let Some(file) = &mut source.file {
                file.volume = None;
            }
            if let Some(http) = &mut source.http {
                http.bearer_token = None;
            }
        }
        Role::Alert | Role::Dashboard | Role::Setup | Role::Teardown => {
            let simulator = Some(SimulatorSpec::default());
            source = SourceSpec { name: source.name, simulator, ..SourceSpec::default() };
        }
    }
    source
}

/// The processor judges by rules; the producer wants to know whether one depends on time.
fn rules(role: Role, rules: &[RuleSpec]) -> Vec<RuleSpec> {
    let at_starts = |rule: &&RuleSpec| {
        let levels = [&rule.below, &rule.above].into_iter().flatten();
        levels.into_iter().any(|level| level.at == AtSpec::Starts)
    };
    match role {
        Role::Processor => rules.to_vec(),
        Role::Producer => {
            let timed = rules.iter().filter(at_starts).map(|rule| RuleSpec { notify: None, ..rule.clone() });
            timed.collect()
        }
        _ => Vec::new(),
    }
}

/// The alert worker speaks to channels; to the processor they are names that rules mention.
fn channels(role: Role, channels: &[ChannelSpec]) -> Vec<ChannelSpec> {
    let named = |channel: &ChannelSpec| ChannelSpec {
        name: channel.name.clone(),
        discord: Some(DiscordSpec::default()),
        ..ChannelSpec::default()
    };
    match role {
        Role::Alert => channels.to_vec(),
        Role::Processor => channels.iter().map(named).collect(),
        _ => Vec::new(),
    }
}

fn storage(role: Role, storage: Option<&StorageSpec>) -> Option<StorageSpec> {
    let mut storage = storage.cloned()?;
    match role {
        Role::Producer | Role::Processor | Role::Teardown => return None,
        Role::Storage => {
            if let Some(csv) = &mut storage.csv {
                csv.volume = None;
            }
        }
        // Both register the monitor with its retention.
        Role::Alert => storage.csv = None,
        Role::Dashboard | Role::Setup => {
            storage.csv = None;
            storage.retention = None;
        }
    }
    Some(storage)
}
