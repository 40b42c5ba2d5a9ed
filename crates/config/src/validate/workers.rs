//! How the workers run on a cluster. What depends on the cluster's own defaults (whether there is a
//! database, how many partitions where nobody says) is judged by the operator.

use super::{Checks, exactly_one};
use crate::nearest::shown;
use crate::secrets::{valid_key, valid_name};
use crate::spec::workers::{SourceVolume, Texts};
use crate::spec::{
    AutoscalingSpec, CsvSpec, CsvVolume, DashboardSpec, PodSpec, PriceMonitorSpec, ResourcesSpec, WorkerSpec,
};

const MOST_PODS: u32 = 1_000;

/// `spec.workers` and `spec.image`.
pub(super) fn check(checks: &mut Checks, spec: &PriceMonitorSpec) {
    if let Some(image) = &spec.image
        && !is_image(image)
    {
        let message =
            "must be a container image such as `registry.example.org/pricemonitor:1.2.3`, without blanks";
        checks.tell("spec.image", message);
    }
    let Some(workers) = &spec.workers else { return };
    let partitions = spec.kafka.as_ref().and_then(|kafka| kafka.partitions);
    let each = [
        ("producer", &workers.producer, false),
        ("processor", &workers.processor, true),
        ("storage", &workers.storage, true),
        ("alert", &workers.alert, false),
    ];
    for (name, worker, by_partition) in each {
        let Some(worker) = worker else { continue };
        let path = format!("spec.workers.{name}");
        self::worker(checks, &path, worker);
        if let Some(autoscaling) = &worker.autoscaling {
            let bound = Bound { by_partition, partitions };
            self::autoscaling(checks, &format!("{path}.autoscaling"), autoscaling, bound);
        }
    }
    if let Some(worker) = &workers.storage {
        let csv = spec.storage.as_ref().and_then(|storage| storage.csv.as_ref());
        one_writer(checks, worker, csv);
    }
    if let Some(dashboard) = &workers.dashboard {
        self::dashboard(checks, dashboard);
    }
    if let Some(pod) = &workers.pod {
        self::pod(checks, pod);
    }
}

/// Where a file source's file comes from.
pub(super) fn volume(checks: &mut Checks, path: &str, volume: &SourceVolume) {
    let given = [
        ("configMap", volume.config_map.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
    ];
    checks.take(path, exactly_one("place", &given));
    if let Some(map) = &volume.config_map {
        name(checks, format!("{path}.configMap.name"), "a ConfigMap", &map.name);
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        let path = format!("{path}.persistentVolumeClaim.claimName");
        name(checks, path, "a PersistentVolumeClaim", &claim.claim_name);
    }
}

/// The volume of the CSV file.
pub(super) fn csv_volume(checks: &mut Checks, volume: &CsvVolume) {
    let path = "spec.storage.csv.volume";
    if let Some(claim) = &volume.claim_name {
        name(checks, format!("{path}.claimName"), "a PersistentVolumeClaim", claim);
        if volume.size.is_some() || volume.storage_class_name.is_some() {
            let message =
                "has `claimName` beside `size` or `storageClassName`: these are for a claim that is made";
            checks.tell(path, message);
        }
    }
    if let Some(class) = &volume.storage_class_name {
        name(checks, format!("{path}.storageClassName"), "a StorageClass", class);
    }
    if let Some(size) = &volume.size {
        quantity(checks, format!("{path}.size"), size);
    }
}

fn worker(checks: &mut Checks, path: &str, worker: &WorkerSpec) {
    range(checks, format!("{path}.replicas"), worker.replicas, 0, MOST_PODS);
    if worker.replicas.is_some() && worker.autoscaling.is_some() {
        let message = "has both `replicas` and `autoscaling`: with autoscaling the cluster chooses, so leave \
                       `replicas` out";
        checks.tell(path, message);
    }
    if let Some(resources) = &worker.resources {
        self::resources(checks, &format!("{path}.resources"), resources);
    }
}

/// What the number of pods depends on.
#[derive(Clone, Copy)]
struct Bound {
    by_partition: bool,
    partitions: Option<u32>,
}

fn autoscaling(checks: &mut Checks, path: &str, spec: &AutoscalingSpec, bound: Bound) {
    range(checks, format!("{path}.minReplicas"), spec.min_replicas, 1, MOST_PODS);
    range(checks, format!("{path}.maxReplicas"), Some(spec.max_replicas), 1, MOST_PODS);
    range(checks, format!("{path}.targetCpuUtilization"), spec.target_cpu_utilization, 1, 1_000);
    range(checks, format!("{path}.targetLag"), spec.target_lag, 1, 1_000_000_000);
    if let Some(min) = spec.min_replicas
        && min > spec.max_replicas
    {
        let message = format!("must not be above `maxReplicas` ({}), is {min}", spec.max_replicas);
        checks.tell(format_args!("{path}.minReplicas"), message);
    }
    if spec.target_cpu_utilization.is_some() && spec.target_lag.is_some() {
        checks.tell(path, "has both `targetCpuUtilization` and `targetLag`: keep one");
    }
    if !bound.by_partition && spec.target_lag.is_some() {
        let message = "is for processor and storage alone: use `targetCpuUtilization`";
        checks.tell(format_args!("{path}.targetLag"), message);
    }
    if let Some(partitions) = bound.partitions.filter(|_| bound.by_partition)
        && spec.max_replicas > partitions
    {
        let message = format!(
            "must not be above spec.kafka.partitions ({partitions}), is {}: more would stand by",
            spec.max_replicas
        );
        checks.tell(format_args!("{path}.maxReplicas"), message);
    }
}

/// A CSV file has one writer.
fn one_writer(checks: &mut Checks, storage: &WorkerSpec, csv: Option<&CsvSpec>) {
    if csv.is_none() {
        return;
    }
    let why = "spec.storage.csv is a file, which has one writer";
    if let Some(replicas) = storage.replicas.filter(|replicas| *replicas > 1) {
        checks.tell("spec.workers.storage.replicas", format!("must be 0 or 1, not {replicas}: {why}"));
    }
    if storage.autoscaling.is_some() {
        checks.tell("spec.workers.storage.autoscaling", format!("cannot be: {why}"));
    }
}

fn dashboard(checks: &mut Checks, spec: &DashboardSpec) {
    let path = "spec.workers.dashboard";
    range(checks, format!("{path}.replicas"), spec.replicas, 0, 100);
    range(checks, format!("{path}.service.port"), spec.service.as_ref().and_then(|it| it.port), 1, 65_535);
    if let Some(resources) = &spec.resources {
        self::resources(checks, &format!("{path}.resources"), resources);
    }
    if spec.allowed_hosts.len() > 32 {
        let message = format!("has {} entries, at most 32 are allowed", spec.allowed_hosts.len());
        checks.tell(format_args!("{path}.allowedHosts"), message);
    }
    for (n, host) in spec.allowed_hosts.iter().enumerate() {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
        if !(1..=253).contains(&host.len()) || !host.bytes().all(known) {
            let message = format!("`{}` is not a host name such as `prices.example.org`", shown(host));
            checks.tell(format_args!("{path}.allowedHosts[{n}]"), message);
        }
    }
    if let Some(token) = &spec.token {
        checks.secret(format_args!("{path}.token"), token);
    }
}

fn pod(checks: &mut Checks, pod: &PodSpec) {
    let path = "spec.workers.pod";
    for (member, texts) in
        [("nodeSelector", &pod.node_selector), ("labels", &pod.labels), ("annotations", &pod.annotations)]
    {
        keyed(checks, &format!("{path}.{member}"), texts, member != "annotations");
    }
    let seconds = pod.termination_grace_period_seconds;
    range(checks, format!("{path}.terminationGracePeriodSeconds"), seconds, 5, 3_600);
    if let Some(class) = &pod.priority_class_name {
        name(checks, format!("{path}.priorityClassName"), "a PriorityClass", class);
    }
    for (n, secret) in pod.image_pull_secrets.iter().enumerate() {
        name(checks, format!("{path}.imagePullSecrets[{n}].name"), "a Secret", &secret.name);
    }
    for (member, count, most) in
        [("tolerations", pod.tolerations.len(), 32), ("imagePullSecrets", pod.image_pull_secrets.len(), 16)]
    {
        if count > most {
            let message = format!("has {count} entries, at most {most} are allowed");
            checks.tell(format_args!("{path}.{member}"), message);
        }
    }
}

fn resources(checks: &mut Checks, path: &str, spec: &ResourcesSpec) {
    for (member, texts) in [("requests", &spec.requests), ("limits", &spec.limits)] {
        keyed(checks, &format!("{path}.{member}"), texts, false);
        for (key, text) in texts {
            quantity(checks, format!("{path}.{member}.{}", shown(key)), text);
        }
    }
}

/// Names as labels have: `example.org/name`.
fn keyed(checks: &mut Checks, path: &str, texts: &Texts, label_values: bool) {
    if texts.len() > 64 {
        checks.tell(path, format!("has {} entries, at most 64 are allowed", texts.len()));
    }
    for (key, value) in texts {
        let (prefix, name) = key.split_once('/').unwrap_or(("a", key));
        let edges = |text: &str| {
            let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            edge(text.as_bytes().first()) && edge(text.as_bytes().last())
        };
        let right = name.len() <= 63 && valid_key(name) && edges(name) && valid_name(prefix);
        if !right {
            let message = format!("`{}` is not a key such as `example.org/name`", shown(key));
            checks.tell(path, message);
        } else if label_values && !(value.is_empty() || value.len() <= 63 && valid_key(value) && edges(value))
        {
            let message = format!(
                "`{}` is not a label's value: at most 63 letters, digits, `-`, `_` and `.`",
                shown(value)
            );
            checks.tell(format_args!("{path}.{}", shown(key)), message);
        }
    }
}

fn name(checks: &mut Checks, path: String, what: &str, text: &str) {
    if !valid_name(text) {
        checks.tell(path, format!("must be the name of {what}: lower-case letters, digits, `-` and `.`"));
    }
}

fn range(checks: &mut Checks, path: String, value: Option<u32>, min: u32, max: u32) {
    if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
        checks.tell(path, format!("must be from {min} to {max}, not {value}"));
    }
}

fn quantity(checks: &mut Checks, path: String, text: &str) {
    const UNITS: &[&str] = &["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if text.len() > 32 || !digits(whole) || !digits(fraction) || !UNITS.contains(&unit) {
        checks.tell(path, format!("`{}` is not a quantity such as `500m` or `128Mi`", shown(text)));
    }
}

fn is_image(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'/' | b':' | b'@');
    text.len() <= 512
        && text.bytes().all(known)
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests;
