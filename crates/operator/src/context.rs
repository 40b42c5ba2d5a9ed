//! What every builder of a child starts from.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use pricemonitor_config::spec::{PodSpec, WorkerSpec, WorkersSpec};
use pricemonitor_config::{Monitor, PriceMonitor};
use sha2::{Digest, Sha256};

use crate::crd::{GROUP, VERSION};
use crate::inputs::Inputs;
use crate::project::project;
use crate::references::{self, Reference};
use crate::role::Role;
use crate::yaml;

/// A judged resource with everything that its children are made of.
#[derive(Debug)]
pub struct Context<'a> {
    /// Namespace of the resource and of all children.
    pub namespace: String,
    /// The resource, defaults filled in.
    pub monitor: PriceMonitor,
    /// What it means.
    pub settings: Monitor,
    /// How its workers run.
    pub workers: WorkersSpec,
    /// The workers' image.
    pub image: String,
    /// What was read of the cluster.
    pub inputs: &'a Inputs,
    parts: BTreeMap<Role, Part>,
}

/// What one role runs.
#[derive(Debug)]
pub struct Part {
    /// Its manifest as YAML.
    pub text: String,
    /// Hash of its manifest without the generation.
    pub hash: String,
    /// Another one replaces its pods.
    pub rolls: String,
    /// What it reads as files.
    pub references: BTreeSet<Reference>,
}

impl<'a> Context<'a> {
    /// Of a resource that was judged to be right.
    pub(crate) fn new(monitor: PriceMonitor, settings: Monitor, inputs: &'a Inputs) -> Context<'a> {
        let namespace = monitor.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let image = [&monitor.spec.image, &inputs.running_image].into_iter().flatten().next();
        let mut context = Context {
            image: image.unwrap_or(&inputs.worker_image).clone(),
            workers: monitor.spec.workers.clone().unwrap_or_default(),
            namespace,
            monitor,
            settings,
            inputs,
            parts: BTreeMap::new(),
        };
        context.parts = context.roles().into_iter().map(|role| (role, context.prepare(role))).collect();
        context
    }

    /// The roles that this monitor has.
    pub fn roles(&self) -> Vec<Role> {
        if self.inputs.deleting { vec![Role::Teardown] } else { Role::of(&self.monitor) }
    }

    fn prepare(&self, role: Role) -> Part {
        let mut manifest = project(role, &self.monitor, &self.namespace);
        let hash = hash([written(&manifest)]);
        if role == Role::Processor {
            let running = self.inputs.processor.as_ref().filter(|running| running.hash == hash);
            let kept = running.map(|running| running.generation).filter(|generation| *generation > 0);
            manifest.metadata.generation = kept.or(self.inputs.epoch).or(self.monitor.metadata.generation);
        }
        let (references, text) = (references::of(role, &manifest), written(&manifest));
        // Processors of two generations do not work side by side: where the generation is lost, all are replaced.
        let generation = manifest.metadata.generation.filter(|_| role == Role::Processor);
        let rolls = generation.map_or_else(|| hash.clone(), |_| crate::context::hash([&text]));
        Part { text, hash, rolls, references }
    }

    /// What a role runs. `None`: this monitor has no such role.
    pub fn part(&self, role: Role) -> Option<&Part> {
        self.parts.get(&role)
    }

    /// How many pods, resources and autoscaling of a role.
    pub fn worker(&self, role: Role) -> WorkerSpec {
        let spec = match role {
            Role::Producer => self.workers.producer.clone(),
            Role::Processor => self.workers.processor.clone(),
            Role::Storage => self.workers.storage.clone(),
            Role::Alert => self.workers.alert.clone(),
            Role::Dashboard => self.workers.dashboard.clone().map(|dashboard| WorkerSpec {
                replicas: dashboard.replicas,
                resources: dashboard.resources,
                autoscaling: None,
            }),
            Role::Setup | Role::Teardown => None,
        };
        spec.unwrap_or_default()
    }

    /// What all pods have in common.
    pub fn pod(&self) -> PodSpec {
        self.workers.pod.clone().unwrap_or_default()
    }

    /// The name of a child, `<monitor>-<what>`, short enough for labels and DNS.
    pub fn name(&self, what: &str) -> String {
        let (name, room) = (&self.monitor.metadata.name, 62usize.saturating_sub(what.len()));
        if name.len() <= room {
            return format!("{name}-{what}");
        }
        let cut = name.get(..room.saturating_sub(9)).unwrap_or_default().trim_end_matches('-');
        format!("{cut}-{}-{what}", hash([name]).get(..8).unwrap_or_default())
    }

    /// Labels by which the pods of this monitor are found.
    pub fn selector(&self) -> BTreeMap<String, String> {
        [
            ("app.kubernetes.io/name", "pricemonitor"),
            ("app.kubernetes.io/instance", &self.monitor.metadata.name),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// The same of one role.
    pub fn selector_of(&self, role: Role) -> BTreeMap<String, String> {
        let mut selector = self.selector();
        selector.insert("app.kubernetes.io/component".to_owned(), role.name().to_owned());
        selector
    }

    /// Name, labels and owner of a child; `role` where it belongs to one.
    pub fn metadata(&self, name: String, role: Option<Role>) -> ObjectMeta {
        let mut labels = role.map_or_else(|| self.selector(), |role| self.selector_of(role));
        labels.insert("app.kubernetes.io/managed-by".to_owned(), "pricemonitor-operator".to_owned());
        let owner = self.inputs.uid.as_ref().map(|uid| OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.monitor.kind.clone(),
            name: self.monitor.metadata.name.clone(),
            uid: uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }
}

fn written(manifest: &PriceMonitor) -> String {
    // A manifest has texts for keys alone, so that this cannot fail.
    yaml::document(&serde_json::to_value(manifest).unwrap_or_default())
}

/// 16 hexadecimal digits that stand for these texts, in this order. They do not tell what a text was.
pub fn hash<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        // 64 bits on every machine, so that all replicas of the operator agree.
        digest.update((text.as_ref().len() as u64).to_le_bytes());
        digest.update(text.as_ref());
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
