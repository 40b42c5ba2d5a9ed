//! What must hold of a resource on a cluster, beside what holds of every manifest.

use std::path::{Component, Path};

use pricemonitor_config::spec::ResourcesSpec;
use pricemonitor_config::{PriceMonitor, Problem};

/// Everything that is wrong with a resource, defaults filled in; none is well.
pub(crate) fn problems(monitor: &PriceMonitor) -> Vec<Problem> {
    let mut out = monitor.settings().err().unwrap_or_default();
    let mut tell = |path: String, message: &str| out.push(Problem::new(path, message));
    if !monitor.metadata.name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let message = "must begin with a letter on a cluster: names of Services begin with it";
        tell("metadata.name".to_owned(), message);
    }
    let spec = &monitor.spec;
    let kafka = spec.kafka.as_ref();
    if kafka.and_then(|kafka| kafka.bootstrap_servers.as_ref()).is_none() {
        let message = "is missing: a cluster needs Apache Kafka, here or as the operator's default";
        tell("spec.kafka.bootstrapServers".to_owned(), message);
    }
    let storage = spec.storage.as_ref();
    let postgres = storage.is_some_and(|storage| storage.postgres.is_some());
    if !postgres && storage.and_then(|storage| storage.csv.as_ref()).is_none() {
        let message = "names neither `postgres` nor `csv`: history must be kept somewhere";
        tell("spec.storage".to_owned(), message);
    }
    let workers = spec.workers.clone().unwrap_or_default();
    if !postgres && workers.dashboard.is_some_and(|dashboard| dashboard.enabled) {
        let message = "needs spec.storage.postgres: the page shows what is there";
        tell("spec.workers.dashboard.enabled".to_owned(), message);
    }
    // Where nobody says, a topic has one partition.
    if kafka.and_then(|kafka| kafka.partitions).is_none() {
        for (name, worker) in [("processor", &workers.processor), ("storage", &workers.storage)] {
            let scaling = worker.as_ref().and_then(|worker| worker.autoscaling.as_ref());
            if scaling.is_some_and(|scaling| scaling.max_replicas > 1) {
                let path = format!("spec.workers.{name}.autoscaling.maxReplicas");
                tell(path, "must not be above 1, as there is one partition: give spec.kafka.partitions");
            }
        }
    }
    let each = [
        ("producer", &workers.producer),
        ("processor", &workers.processor),
        ("storage", &workers.storage),
        ("alert", &workers.alert),
    ];
    for (name, worker) in each {
        let Some(worker) = worker else { continue };
        let by_cpu = worker.autoscaling.as_ref().is_some_and(|scaling| scaling.target_lag.is_none());
        let asks = |it: &ResourcesSpec| it.requests.contains_key("cpu") || it.limits.contains_key("cpu");
        if by_cpu && !worker.resources.as_ref().is_none_or(asks) {
            let message = "is missing: autoscaling goes by the part of the requested CPU that is used";
            tell(format!("spec.workers.{name}.resources.requests.cpu"), message);
        }
    }
    for (n, source) in spec.sources.iter().enumerate() {
        let Some(file) = &source.file else { continue };
        let path = format!("spec.sources[{n}].file");
        if file.volume.is_none() {
            let message = "is missing: a pod has the file from a `configMap` or a `persistentVolumeClaim`";
            tell(format!("{path}.volume"), message);
        }
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(&file.path).components().all(inside) {
            tell(format!("{path}.path"), "must be relative and without `..`: it is a way within the volume");
        }
    }
    out
}
