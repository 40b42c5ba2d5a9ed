//! What is the same in every pod: who it runs as, what is mounted, where it may go.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, ConfigMapVolumeSource, Container, KeyToPath, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecretProjection, SecurityContext, Toleration, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pricemonitor_config::spec::{ResourcesSpec, TaintEffect, TolerationOperator, TolerationSpec};

use super::paths::{self, DATA_DIR, MANIFEST_DIR, SECRETS_DIR, SOURCES_DIR};
use super::{MANIFEST_HASH, REFERENCES_HASH, claim, configmap, service_account};
use crate::context::Context;
use crate::references::Reference;
use crate::role::Role;

/// User and group of every process: no name and no right on any image.
const NOBODY: i64 = 65_532;

/// The template of a role's pods around its one container. `None` where the monitor has no such role.
pub fn template(context: &Context<'_>, role: Role, mut container: Container) -> Option<PodTemplateSpec> {
    let part = context.part(role)?;
    let pod = context.pod();
    let (volumes, mounts) = volumes(context, role, &part.references);
    container.name = role.name().to_owned();
    container.image = Some(context.image.clone());
    container.resources = Some(resources(context.worker(role).resources));
    container.security_context = Some(locked());
    container.volume_mounts = Some(mounts);
    let mut labels = pod.labels.clone();
    labels.extend(context.selector_of(role));
    let mut annotations = pod.annotations.clone();
    annotations.insert(MANIFEST_HASH.to_owned(), part.rolls.clone());
    if let Some(hash) = context.inputs.references.get(&role) {
        annotations.insert(REFERENCES_HASH.to_owned(), hash.clone());
    }
    let pull = pod.image_pull_secrets.into_iter().map(|it| LocalObjectReference { name: it.name });
    Some(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: vec![container],
            volumes: Some(volumes),
            service_account_name: Some(service_account::name(context)),
            automount_service_account_token: Some(false),
            // A Service named `postgres` would set POSTGRES_PORT=tcp://..., which the workers read.
            enable_service_links: Some(false),
            security_context: Some(nobody()),
            termination_grace_period_seconds: Some(
                pod.termination_grace_period_seconds.map_or(30, i64::from),
            ),
            node_selector: some(pod.node_selector),
            tolerations: list(pod.tolerations.into_iter().map(toleration)),
            priority_class_name: pod.priority_class_name,
            image_pull_secrets: list(pull),
            ..PodSpec::default()
        }),
    })
}

/// The restricted Pod Security Standard, for the pod.
fn nobody() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        fs_group: Some(NOBODY),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..Default::default() }),
        ..PodSecurityContext::default()
    }
}

/// The same, for the container, and nothing of the image can be written.
fn locked() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

fn resources(spec: Option<ResourcesSpec>) -> ResourceRequirements {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let spec = spec.unwrap_or_else(|| ResourcesSpec {
        requests: texts(&[("cpu", "50m"), ("memory", "96Mi")]),
        limits: texts(&[("memory", "512Mi")]),
    });
    let quantities = |map: BTreeMap<String, String>| {
        some(map.into_iter().map(|(key, text)| (key, Quantity(text))).collect::<BTreeMap<_, _>>())
    };
    ResourceRequirements {
        requests: quantities(spec.requests),
        limits: quantities(spec.limits),
        ..ResourceRequirements::default()
    }
}

fn volumes(
    context: &Context<'_>,
    role: Role,
    references: &BTreeSet<Reference>,
) -> (Vec<Volume>, Vec<VolumeMount>) {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    let mut add = |volume: Volume, path: String, read_only: bool| {
        mounts.push(VolumeMount {
            name: volume.name.clone(),
            mount_path: path,
            read_only: read_only.then_some(true),
            ..VolumeMount::default()
        });
        volumes.push(volume);
    };
    let manifest = config_map(configmap::name(context, role), None);
    add(
        Volume { name: "manifest".to_owned(), config_map: Some(manifest), ..Volume::default() },
        MANIFEST_DIR.to_owned(),
        true,
    );
    if !references.is_empty() {
        let secrets =
            ProjectedVolumeSource { sources: Some(projections(references)), default_mode: Some(0o440) };
        let volume = Volume { name: "secrets".to_owned(), projected: Some(secrets), ..Volume::default() };
        add(volume, SECRETS_DIR.to_owned(), true);
    }
    if let Some(claim) = claim::name(context).filter(|_| role == Role::Storage) {
        add(claimed("data", claim, false), DATA_DIR.to_owned(), false);
    }
    let files = context.monitor.spec.sources.iter().filter(|_| role == Role::Producer);
    for (n, source) in files.enumerate() {
        let Some(file) = &source.file else { continue };
        let Some(from) = &file.volume else { continue };
        let name = format!("source-{n}");
        let path = format!("{SOURCES_DIR}/{}", source.name);
        if let Some(map) = &from.config_map {
            let only = Some(paths::file_name(file));
            let config_map = Some(config_map(map.name.clone(), only));
            add(Volume { name, config_map, ..Volume::default() }, path, true);
        } else if let Some(claim) = &from.persistent_volume_claim {
            add(claimed(&name, claim.claim_name.clone(), true), path, true);
        }
    }
    (volumes, mounts)
}

fn config_map(name: String, only: Option<&str>) -> ConfigMapVolumeSource {
    let items = only.map(|key| vec![key_to_path(key, key.to_owned())]);
    ConfigMapVolumeSource { name, items, ..ConfigMapVolumeSource::default() }
}

fn claimed(name: &str, claim_name: String, read_only: bool) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name,
            read_only: read_only.then_some(true),
        }),
        ..Volume::default()
    }
}

/// `<secret>/<key>` and `_configmaps/<name>/<key>`, as the workers look for them.
fn projections(references: &BTreeSet<Reference>) -> Vec<VolumeProjection> {
    let mut grouped: BTreeMap<(bool, &str, bool), Vec<&str>> = BTreeMap::new();
    for one in references {
        grouped.entry((one.config_map, &one.name, one.optional)).or_default().push(&one.key);
    }
    let projection = |((config_map, name, optional), keys): ((bool, &str, bool), Vec<&str>)| {
        let folder = if config_map { format!("_configmaps/{name}") } else { name.to_owned() };
        let items = Some(keys.into_iter().map(|key| key_to_path(key, format!("{folder}/{key}"))).collect());
        let (name, optional) = (name.to_owned(), optional.then_some(true));
        if config_map {
            let config_map = Some(ConfigMapProjection { name, items, optional });
            VolumeProjection { config_map, ..VolumeProjection::default() }
        } else {
            let secret = Some(SecretProjection { name, items, optional });
            VolumeProjection { secret, ..VolumeProjection::default() }
        }
    };
    grouped.into_iter().map(projection).collect()
}

fn key_to_path(key: &str, path: String) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path, mode: None }
}

fn toleration(spec: TolerationSpec) -> Toleration {
    let operator = spec.operator.map(|operator| match operator {
        TolerationOperator::Exists => "Exists",
        TolerationOperator::Equal => "Equal",
    });
    let effect = spec.effect.map(|effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    });
    Toleration {
        key: spec.key,
        operator: operator.map(str::to_owned),
        value: spec.value,
        effect: effect.map(str::to_owned),
        toleration_seconds: spec.toleration_seconds.map(i64::from),
    }
}

/// What is empty is left out.
fn some<K, V>(map: BTreeMap<K, V>) -> Option<BTreeMap<K, V>> {
    (!map.is_empty()).then_some(map)
}

fn list<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}
