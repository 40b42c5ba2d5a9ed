//! What is kept of an object that is in the cluster: enough to judge it, little enough for tens of thousands.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::build::{GENERATION, MANIFEST_HASH, REFERENCES_HASH};
use crate::inputs::Running;
use crate::kinds::{Kind, MONITOR};
use crate::plan::APPLIED;
use crate::role::Role;

/// An object of a monitor, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// The uid of the monitor that is its controller.
    pub owner: Option<String>,
    /// The kind of worker that it belongs to.
    pub role: Option<Role>,
    /// It is being deleted.
    pub going: bool,
    /// The annotation [`APPLIED`].
    pub applied: Option<String>,
    /// Another one with each change of anything but the status.
    pub stamp: u64,
    /// Grows with each change: `metadata.resourceVersion` as the number that it is on every server that passes the
    /// tests of conformance (KEP-5504); 0 where it is none.
    pub version: u64,
    /// The hash of what its pods read, of Deployments and Jobs.
    pub references: Option<String>,
    /// What its kind tells besides.
    pub detail: Detail,
}

/// What some kinds tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Plain,
    /// The processor's ConfigMap: the manifest that runs.
    Manifest(Running),
    /// A Deployment.
    Deployment(Deployment),
    /// A Job, and when it was made.
    Job(JobState, String),
}

/// What a Deployment tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.readyReplicas`.
    pub ready: i32,
    /// The image of its first container.
    pub image: Option<String>,
    /// Pods are being made or replaced.
    pub rolling: bool,
    /// What the cluster says when it cannot bring it up.
    pub trouble: Option<String>,
}

/// How far the Job of `setup` or `teardown` has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// There is none.
    Missing,
    /// It runs, or waits to.
    Running,
    /// It has done what it is for.
    Complete,
    /// It was given up.
    Failed,
}

/// Namespace and name of the monitor that an object belongs to, by its owner or its labels.
pub fn monitor_of(object: &Value) -> Option<(String, String)> {
    let metadata = &object["metadata"];
    let owners = metadata["ownerReferences"].as_array();
    let owner = owners.into_iter().flatten().find(|owner| owner["kind"] == MONITOR.kind);
    let name = owner.map_or(&metadata["labels"]["app.kubernetes.io/instance"], |owner| &owner["name"]);
    Some((metadata["namespace"].as_str()?.to_owned(), name.as_str()?.to_owned()))
}

impl Live {
    /// Of an object, or of its metadata alone where that tells everything.
    pub fn of(kind: Kind, object: &Value) -> Live {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let owners = metadata["ownerReferences"].as_array();
        let owner = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
        let role = &metadata["labels"]["app.kubernetes.io/component"];
        Live {
            kind,
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            owner: owner.map(|owner| text(&owner["uid"])),
            role: Role::ALL.into_iter().find(|one| *role == one.name()),
            going: metadata["deletionTimestamp"].is_string(),
            applied: metadata["annotations"][APPLIED].as_str().map(str::to_owned),
            stamp: stamp(kind, object),
            version: metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0),
            references: object["spec"]["template"]["metadata"]["annotations"][REFERENCES_HASH]
                .as_str()
                .map(str::to_owned),
            detail: detail(kind, object),
        }
    }

    /// Whether it is the object of that kind and name.
    pub fn is(&self, kind: &str, name: &str) -> bool {
        self.kind.kind == kind && self.name == name
    }
}

fn stamp(kind: Kind, object: &Value) -> u64 {
    let metadata = &object["metadata"];
    let version = match () {
        () if metadata["generation"].is_number() => &metadata["generation"],
        () if kind.has_uncounted_status() => &object["spec"],
        () => &metadata["resourceVersion"],
    };
    let mut hasher = DefaultHasher::new();
    version.to_string().hash(&mut hasher);
    for field in ["uid", "labels", "annotations", "ownerReferences"] {
        metadata[field].to_string().hash(&mut hasher);
    }
    hasher.finish()
}

fn detail(kind: Kind, object: &Value) -> Detail {
    match kind.kind {
        "Deployment" => Detail::Deployment(deployment(object)),
        "Job" => {
            let created = object["metadata"]["creationTimestamp"].as_str();
            Detail::Job(job(object), created.unwrap_or_default().to_owned())
        }
        "ConfigMap" => manifest(object).map_or(Detail::Plain, Detail::Manifest),
        _ => Detail::Plain,
    }
}

fn manifest(object: &Value) -> Option<Running> {
    let notes = &object["metadata"]["annotations"];
    let hash = notes[MANIFEST_HASH].as_str()?.to_owned();
    Some(Running { hash, generation: notes[GENERATION].as_str()?.parse().ok()? })
}

fn deployment(object: &Value) -> Deployment {
    let (spec, status) = (&object["spec"], &object["status"]);
    let count = |name: &str| number(&status[name]).unwrap_or(0);
    let replicas = number(&spec["replicas"]).unwrap_or(1);
    let unseen = object["metadata"]["generation"] != status["observedGeneration"];
    let conditions = status["conditions"].as_array();
    let bad = conditions.into_iter().flatten().find(|condition| {
        (condition["type"] == "ReplicaFailure" && condition["status"] == "True")
            || (condition["type"] == "Progressing" && condition["status"] == "False")
    });
    Deployment {
        replicas,
        ready: count("readyReplicas"),
        image: spec["template"]["spec"]["containers"][0]["image"].as_str().map(str::to_owned),
        rolling: unseen
            || count("updatedReplicas") < replicas
            || count("replicas") > count("updatedReplicas"),
        trouble: bad.map(|bad| bad["message"].as_str().unwrap_or_default().to_owned()),
    }
}

fn job(object: &Value) -> JobState {
    let conditions = object["status"]["conditions"].as_array();
    let holds = |kind: &str| {
        let mut all = conditions.into_iter().flatten();
        all.any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    match (holds("Complete"), holds("Failed")) {
        (true, _) => JobState::Complete,
        (_, true) => JobState::Failed,
        _ => JobState::Running,
    }
}

fn number(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds;

    #[test]
    fn a_deployment_rolls_until_all_its_pods_are_of_the_newest_template() {
        let rolling = |observed: i32, replicas: i32, updated: i32| {
            let object = json!({"metadata": {"generation": 3}, "spec": {"replicas": 2},
                "status": {"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated}});
            deployment(&object).rolling
        };
        assert!(!rolling(3, 2, 2));
        for (observed, replicas, updated) in [(2, 2, 2), (3, 2, 1), (3, 3, 2)] {
            assert!(rolling(observed, replicas, updated), "{observed} {replicas} {updated}");
        }
    }

    #[test]
    fn a_job_is_what_its_conditions_say() {
        let of = |conditions: Value| job(&json!({"status": {"conditions": conditions}}));
        assert_eq!(of(json!(null)), JobState::Running);
        assert_eq!(of(json!([{"type": "Complete", "status": "True"}])), JobState::Complete);
        assert_eq!(of(json!([{"type": "Failed", "status": "True"}])), JobState::Failed);
    }

    #[test]
    fn the_stamp_changes_with_all_but_the_status() {
        let before =
            json!({"metadata": {"uid": "u", "generation": 1, "resourceVersion": "7", "labels": {"a": "b"}}});
        let stamp = |change: fn(&mut Value)| {
            let mut object = before.clone();
            change(&mut object);
            Live::of(kinds::CONFIG_MAP, &object).stamp
        };
        let same = stamp(|_| {});
        assert_eq!(stamp(|object| object["metadata"]["resourceVersion"] = json!("8")), same);
        assert_ne!(stamp(|object| object["metadata"]["generation"] = json!(2)), same);
        assert_ne!(stamp(|object| object["metadata"]["labels"] = json!({})), same);
        assert_ne!(stamp(|object| object["metadata"]["ownerReferences"] = json!([{"uid": "x"}])), same);
    }

    #[test]
    fn the_status_of_an_autoscaler_that_does_not_count_its_changes_is_no_change() {
        let autoscaler =
            kinds::of(Default::default()).into_iter().find(|kind| kind.kind == "HorizontalPodAutoscaler");
        let stamp = |most: u32, version: &str, now: u32| {
            let object = json!({"metadata": {"uid": "u", "resourceVersion": version},
                "spec": {"maxReplicas": most}, "status": {"currentReplicas": now}});
            Live::of(autoscaler.unwrap(), &object).stamp
        };
        assert_eq!(stamp(3, "7", 1), stamp(3, "8", 2));
        assert_ne!(stamp(3, "7", 1), stamp(4, "8", 1));
        let every = |kind: kinds::Kind| !kind.has_uncounted_status() || kind.is_read_whole();
        assert!(kinds::of(Default::default()).into_iter().all(every), "the watch has to tell of it");
    }

    #[test]
    fn an_object_belongs_to_its_owner_or_to_whom_its_labels_name() {
        let labels = json!({"app.kubernetes.io/instance": "by-label"});
        let owners = json!([{"kind": "PriceMonitor", "name": "by-owner"}]);
        let of = |metadata: Value| monitor_of(&json!({ "metadata": metadata })).map(|(_, name)| name);
        assert_eq!(
            of(json!({"namespace": "n", "labels": labels, "ownerReferences": owners})).unwrap(),
            "by-owner"
        );
        assert_eq!(of(json!({"namespace": "n", "labels": labels})).unwrap(), "by-label");
        assert_eq!(of(json!({"namespace": "n"})), None);
    }
}
