//! The kinds of objects that a monitor is made of.

use kube::api::ApiResource;
use serde_json::Value;

use crate::crd::{GROUP, PLURAL, VERSION};
use crate::inputs::Apis;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// As objects have it, such as `Deployment`.
    pub kind: &'static str,
    /// As addresses have it, such as `deployments`.
    pub plural: &'static str,
}

const fn kind(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural }
}

/// The resource itself.
pub const MONITOR: Kind = kind(GROUP, VERSION, "PriceMonitor", PLURAL);
/// What may have to be read for a monitor, and is not its own.
pub const SECRET: Kind = kind("", "v1", "Secret", "secrets");
/// See [`SECRET`]; also a child.
pub const CONFIG_MAP: Kind = kind("", "v1", "ConfigMap", "configmaps");

/// Children that every cluster knows.
const ALWAYS: [Kind; 9] = [
    kind("", "v1", "ServiceAccount", "serviceaccounts"),
    CONFIG_MAP,
    kind("", "v1", "Service", "services"),
    kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    kind("apps", "v1", "Deployment", "deployments"),
    kind("batch", "v1", "Job", "jobs"),
    kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
];
/// Children for KEDA.
pub const KEDA: [Kind; 2] = [
    kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
    kind("keda.sh", "v1alpha1", "TriggerAuthentication", "triggerauthentications"),
];
/// Children for the Prometheus operator.
pub const POD_MONITOR: [Kind; 1] = [kind("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors")];

/// Every kind of child that a cluster with these APIs can have.
pub fn of(apis: Apis) -> Vec<Kind> {
    let keda = if apis.keda { &KEDA[..] } else { &[] };
    let pod_monitor = if apis.pod_monitor { &POD_MONITOR[..] } else { &[] };
    [&ALWAYS[..], keda, pod_monitor].concat()
}

impl Kind {
    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether every monitor that has one keeps it as long as it lives, or longer.
    pub fn is_always_wanted(&self) -> bool {
        matches!(self.kind, "ServiceAccount" | "NetworkPolicy" | "PersistentVolumeClaim" | "PodMonitor")
    }

    /// Whether it makes workers, or their number.
    pub fn makes_pods_work(&self) -> bool {
        matches!(self.kind, "Deployment" | "HorizontalPodAutoscaler" | "ScaledObject")
    }

    /// Whether its metadata alone does not tell what has to be known of it: of workers and Jobs their status, and of
    /// what has a status but does not count its changes (`metadata.generation`) whether anything else has changed.
    pub fn is_read_whole(&self) -> bool {
        matches!(self.kind, "Deployment" | "Job") || self.has_uncounted_status()
    }

    /// Whether servers write a status into it and do not count the changes of the rest. An autoscaler's status changes
    /// all the time.
    pub fn has_uncounted_status(&self) -> bool {
        matches!(self.kind, "HorizontalPodAutoscaler" | "Service" | "PersistentVolumeClaim")
    }

    /// Whether `object` is of this kind, of whatever version.
    pub fn has(&self, object: &Value) -> bool {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        object["kind"] == self.kind && version.rsplit_once('/').map_or("", |(group, _)| group) == self.group
    }

    /// As the client wants it.
    pub fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: self.api_version(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }
}
