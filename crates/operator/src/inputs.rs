//! What was read of the cluster before anything is built.

use std::collections::{BTreeMap, BTreeSet};

use crate::defaults::Defaults;
use crate::role::Role;

/// What `dereference` read, and what the operator was started with.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// What the operator adds to every monitor.
    pub defaults: Defaults,
    /// The workers' image for monitors that neither name one nor run one: the operator's `--worker-image`.
    pub worker_image: String,
    /// The image that the monitor's workers run now, so that an upgrade of the operator changes none.
    pub running_image: Option<String>,
    /// `metadata.uid` of the resource; without it (`render`) children have no owner.
    pub uid: Option<String>,
    /// Hashes of the Secrets' and ConfigMaps' keys that a role reads; see [`crate::references`].
    pub references: BTreeMap<Role, String>,
    /// The processor's manifest as it runs: hash and generation. A change of the resource that does not touch it
    /// keeps the generation, so that processors at work and new ones agree.
    pub processor: Option<Running>,
    /// What a new manifest of the processor has for its generation: more than any before it, also of a monitor of the
    /// same name that was deleted, whose topics may be there still. None (`render`): the resource's own.
    pub epoch: Option<u64>,
    /// `spec.replicas` of the Deployments that are there.
    pub replicas: BTreeMap<Role, i32>,
    /// Which APIs the cluster has.
    pub apis: Apis,
    /// Keys of Secrets that a role can do without, and that are there: name and key.
    pub optional_keys: BTreeSet<(String, String)>,
    /// The resource is being deleted: only what its end needs is built.
    pub deleting: bool,
}

/// A manifest that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The annotation [`crate::build::MANIFEST_HASH`] of its ConfigMap.
    pub hash: String,
    /// `metadata.generation` in it.
    pub generation: u64,
}

/// APIs that a cluster may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Apis {
    /// `keda.sh/v1alpha1`.
    pub keda: bool,
    /// `monitoring.coreos.com/v1`.
    pub pod_monitor: bool,
}
