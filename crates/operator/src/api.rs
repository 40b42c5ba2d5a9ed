//! Calls of the Kubernetes API: bounded in time, counted, and writes only by the one that leads.

use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy};
use serde_json::{Value, json};

use crate::kinds::{Kind, MONITOR};
use crate::leadership::{Leadership, WRITE};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::status::PriceMonitorStatus;

/// Who applies children.
const MANAGER: &str = "pricemonitor-operator";
/// Who writes statuses.
const STATUS_MANAGER: &str = "pricemonitor-operator-status";
/// Who has set the number of an autoscaled worker's pods when nobody else has.
const REPLICAS_MANAGER: &str = "pricemonitor-operator-replicas";
/// An apply of what is not known to be there.
const APPLY_NEW: &str = "apply-new";
/// Longest read.
const READ: Duration = Duration::from_secs(20);

/// What can go wrong with a call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server has understood and refuses: the same call would fail again.
    #[error("{0}")]
    Refused(String),
    /// It did not answer, or not now.
    #[error("{0}")]
    Away(String),
    /// Another replica leads; nothing was asked.
    #[error("another replica leads now")]
    NotLeading,
}

/// The API, for one process.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    leadership: Leadership,
    metrics: Metrics,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// Writes only while `leadership` holds.
    pub fn new(client: Client, leadership: Leadership, metrics: Metrics) -> Kubernetes {
        Kubernetes { client, leadership, metrics }
    }

    /// The client, for watches and events.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn of(&self, namespace: &str, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    async fn call<T>(
        &self,
        (verb, kind, name): (&'static str, Kind, &str),
        longest: Duration,
        asked: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, Error> {
        let doing = || format!("cannot {verb} {} `{name}`", kind.kind);
        let answer = match tokio::time::timeout(longest, asked).await {
            Err(_) => Err(Error::Away(format!("{}: no answer within {} s", doing(), longest.as_secs()))),
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 && verb == APPLY_NEW => Ok(None),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 && !verb.starts_with("apply") => Ok(None),
            Ok(Err(kube::Error::Api(status))) => {
                let text = format!("{}: {}", doing(), status.message);
                let passes = status.code >= 500 || matches!(status.code, 408 | 409 | 429);
                Err(if passes { Error::Away(text) } else { Error::Refused(text) })
            }
            Ok(Err(error)) => Err(Error::Away(format!("{}: {error}", doing()))),
        };
        let result = match &answer {
            Ok(Some(_)) => "ok",
            Ok(None) => "not-found",
            Err(Error::Refused(_)) => "refused",
            Err(_) => "away",
        };
        self.metrics.called(verb, kind.plural, result);
        answer
    }

    async fn write<T>(
        &self,
        what: (&'static str, Kind, &str),
        asked: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, Error> {
        if !self.leadership.holds() {
            return Err(Error::NotLeading);
        }
        self.call(what, WRITE, asked).await
    }

    /// Whether the API knows a kind, by what it says of itself to everybody.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn knows(&self, kind: Kind) -> Result<bool, Error> {
        let version = kind.api_version();
        let asked = self.client.list_api_group_resources(&version);
        let list = self.call(("discover", kind, &version), READ, asked).await?;
        Ok(list.is_some_and(|list| list.resources.iter().any(|one| one.name == kind.plural)))
    }

    /// An object; none when it is not there.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn get(&self, namespace: &str, kind: Kind, name: &str) -> Result<Option<Value>, Error> {
        let api = self.of(namespace, kind);
        let object = self.call(("get", kind, name), READ, api.get(name)).await?;
        Ok(object.map(|object| value(&object, kind)))
    }

    /// Applies an object of `kind`. With `force` it takes fields over that others have set; without, there is none
    /// when others have set one of them to something else. The object as it is then.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn apply(&self, kind: Kind, object: &Value, force: bool) -> Result<Option<Value>, Error> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let api = self.of(object["metadata"]["namespace"].as_str().unwrap_or_default(), kind);
        let how = PatchParams { force, ..PatchParams::apply(MANAGER) };
        let verb = if force { "apply" } else { APPLY_NEW };
        let stored = self.write((verb, kind, name), api.patch(name, &how, &Patch::Apply(object))).await?;
        Ok(stored.map(|stored| value(&stored, kind)))
    }

    /// Has somebody else own `spec.replicas` of a Deployment: when the only one who sets a field sets it no more, a
    /// server puts the default in its place, and of five pods four would end.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn let_go_of_replicas(&self, namespace: &str, kind: Kind, name: &str) -> Result<(), Error> {
        let Some(there) = self.get(namespace, kind, name).await? else { return Ok(()) };
        let owners = there["metadata"]["managedFields"].as_array().into_iter().flatten();
        let owns = |owner: &Value| {
            owner["manager"] == MANAGER && owner["fieldsV1"]["f:spec"]["f:replicas"].is_object()
        };
        let replicas = &there["spec"]["replicas"];
        if replicas.is_null() || !owners.into_iter().any(owns) {
            return Ok(());
        }
        let patch = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
                           "metadata": {"name": name, "namespace": namespace}, "spec": {"replicas": replicas}});
        let (api, how) = (self.of(namespace, kind), PatchParams::apply(REPLICAS_MANAGER).force());
        let patch = Patch::Apply(&patch);
        self.write(("apply", kind, name), api.patch(name, &how, &patch)).await.map(drop)
    }

    /// Deletes an object and what it owns; one that has been replaced meanwhile is left alone. With `foreground` it
    /// stays, as one that goes, until what it owns is gone.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn delete(&self, namespace: &str, object: &Live, foreground: bool) -> Result<(), Error> {
        let Live { kind, name, uid, .. } = object;
        let api = self.of(namespace, *kind);
        let how = if foreground { PropagationPolicy::Foreground } else { PropagationPolicy::Background };
        let how = DeleteParams {
            propagation_policy: Some(how),
            preconditions: Some(kube::api::Preconditions { uid: Some(uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        self.write(("delete", *kind, name), api.delete(name, &how)).await.map(drop)
    }

    /// Writes the status of a monitor.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn set_status(
        &self,
        namespace: &str,
        name: &str,
        status: &PriceMonitorStatus,
    ) -> Result<(), Error> {
        let patch = json!({"apiVersion": MONITOR.api_version(), "kind": MONITOR.kind,
                           "metadata": {"name": name, "namespace": namespace}, "status": status});
        let (api, how) = (self.of(namespace, MONITOR), PatchParams::apply(STATUS_MANAGER).force());
        let patch = Patch::Apply(&patch);
        let asked = api.patch_status(name, &how, &patch);
        self.write(("set-status", MONITOR, name), asked).await.map(drop)
    }

    /// Sets the finalizers of a monitor, if it still is of that version.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn set_finalizers(&self, monitor: &Value, finalizers: &[String]) -> Result<(), Error> {
        let text = |key: &str| monitor["metadata"][key].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        let patch =
            json!({"metadata": {"finalizers": finalizers, "resourceVersion": text("resourceVersion")}});
        let (api, how) = (self.of(&text("namespace"), MONITOR), PatchParams::default());
        let patch = Patch::Merge(&patch);
        let asked = api.patch(&name, &how, &patch);
        self.write(("set-finalizers", MONITOR, &name), asked).await.map(drop)
    }
}

/// As JSON. What lists leave out is put in.
fn value(object: &DynamicObject, kind: Kind) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.kind);
    value
}
