//! One file for each kind of child; each builder is pure.

pub mod claim;
pub mod configmap;
pub mod dashboard_service;
pub mod deployment;
pub mod disruption_budget;
pub mod grafana_dashboard;
pub mod job;
pub mod metrics_service;
pub mod network_policy;
pub mod paths;
pub mod pod;
pub mod pod_autoscaler;
pub mod pod_monitor;
pub mod scaled_object;
pub mod service_account;

/// Annotation with the hash of the manifest that a role runs.
pub const MANIFEST_HASH: &str = "pricemonitor.dev/manifest-hash";
/// Annotation with the hash of what a role reads of Secrets and ConfigMaps.
pub const REFERENCES_HASH: &str = "pricemonitor.dev/references-hash";
/// Annotation with the generation in the processor's manifest.
pub const GENERATION: &str = "pricemonitor.dev/generation";
