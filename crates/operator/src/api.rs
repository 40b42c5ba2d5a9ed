//! Calls of the Kubernetes API: bounded in time, counted, and writes only by the one that leads.

use std::future::Future;
use std::time::Duration;

use hyper::http;
use kube::api::{DeleteParams, DynamicObject, GetParams, Patch, PatchParams, PropagationPolicy, Request};
use kube::{Client, Resource as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::ask::{Trouble, ask};
use crate::kinds::{Kind, MONITOR};
use crate::leadership::{Leadership, WRITE};
use crate::live::Live;
use crate::status::PriceMonitorStatus;

/// Who applies children.
pub(crate) const MANAGER: &str = "pricemonitor-operator";
/// Who writes statuses.
const STATUS_MANAGER: &str = "pricemonitor-operator-status";
/// Who has set the number of an autoscaled worker's pods when nobody else has.
const REPLICAS_MANAGER: &str = "pricemonitor-operator-replicas";
/// An apply of what is not known to be there.
const APPLY_NEW: &str = "apply-new";
/// Longest read.
const READ: Duration = Duration::from_secs(20);

/// What can go wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server has understood and refuses: the same call would fail again.
    #[error("{0}")]
    Refused(String),
    /// The server has answered that it does not: it may do so for one object, such as for a webhook that fails, while
    /// it does everything else.
    #[error("{0}")]
    Failed(String),
    /// The server wants not to be asked for so long.
    #[error("{0}")]
    Busy(String, Duration),
    /// It did not answer.
    #[error("{0}")]
    Away(String),
    /// Another replica leads, or this one ends; nothing was asked.
    #[error("this replica does not lead any more")]
    NotLeading,
}

impl Error {
    /// Whether nothing else should be asked now either.
    pub fn is_everywhere(&self) -> bool {
        matches!(self, Error::Busy(..) | Error::Away(_) | Error::NotLeading)
    }

    /// How long nothing is to be asked.
    pub fn rest(&self) -> Duration {
        if let Error::Busy(_, rest) = self { *rest } else { Duration::ZERO }
    }
}

/// The API, for one process.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    leadership: Leadership,
    stop: CancellationToken,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// Writes only while `leadership` holds.
    pub fn new(client: Client, leadership: Leadership) -> Kubernetes {
        Kubernetes { client, leadership, stop: CancellationToken::new() }
    }

    /// The same until `stop`: then no write is begun and no read is waited for, so that whoever is at work ends.
    pub fn until(&self, stop: CancellationToken) -> Kubernetes {
        Kubernetes { stop, ..self.clone() }
    }

    /// Whether nothing is to be begun any more.
    pub fn is_over(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until that is so.
    pub async fn over(&self) {
        self.stop.cancelled().await;
    }

    /// The client, for watches and events.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn of(namespace: &str, kind: Kind) -> Request {
        Request::new(DynamicObject::url_path(&kind.resource(), Some(namespace)))
    }

    async fn call<T>(
        &self,
        (verb, kind, name): (&'static str, Kind, &str),
        longest: Duration,
        asked: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<Option<T>, Error> {
        let word = if verb == APPLY_NEW { "apply" } else { verb };
        let doing = || format!("cannot {word} {} `{name}`", kind.kind);
        match tokio::time::timeout(longest, asked).await {
            Err(_) => Err(Error::Away(format!("{}: no answer within {} s", doing(), longest.as_secs()))),
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(Trouble::Said { code: 409, .. })) if verb == APPLY_NEW => Ok(None),
            Ok(Err(Trouble::Said { code: 404, .. })) if !verb.starts_with("apply") => Ok(None),
            Ok(Err(Trouble::Said { code, message, rest })) => Err(said(code, rest, doing(), &message)),
            Ok(Err(Trouble::Silent(error))) => Err(Error::Away(format!("{}: {error}", doing()))),
        }
    }

    async fn read<T: DeserializeOwned>(
        &self,
        what: (&'static str, Kind, &str),
        request: Result<http::Request<Vec<u8>>, impl std::fmt::Display + Send>,
    ) -> Result<Option<T>, Error> {
        tokio::select! {
            answer = self.call(what, READ, ask(&self.client, request)) => answer,
            () = self.stop.cancelled() => Err(Error::NotLeading),
        }
    }

    async fn write<T: DeserializeOwned>(
        &self,
        what: (&'static str, Kind, &str),
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Option<T>, Error> {
        if self.stop.is_cancelled() || !self.leadership.holds() {
            return Err(Error::NotLeading);
        }
        // One that is under way may be done by the server: its end is waited for.
        self.call(what, WRITE, ask(&self.client, request)).await
    }

    /// Whether the API knows a kind, by what it says of itself to everybody.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn knows(&self, kind: Kind) -> Result<bool, Error> {
        let version = kind.api_version();
        let request = http::Request::get(format!("/apis/{version}")).body(Vec::new());
        let list: Option<Value> = self.read(("discover", kind, &version), request).await?;
        let resources = list.as_ref().and_then(|list| list["resources"].as_array());
        Ok(resources.into_iter().flatten().any(|one| one["name"] == kind.plural))
    }

    /// An object; none when it is not there.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn get(&self, namespace: &str, kind: Kind, name: &str) -> Result<Option<Value>, Error> {
        let request = Self::of(namespace, kind).get(name, &GetParams::default());
        let object = self.read(("get", kind, name), request).await?;
        Ok(object.map(|object| value(&object, kind)))
    }

    /// Applies an object of `kind`. With `force` it takes fields over that others have set; without, there is none
    /// when others have set one of them to something else. The object as it is then.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn apply(&self, kind: Kind, object: &Value, force: bool) -> Result<Option<Value>, Error> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let api = Self::of(object["metadata"]["namespace"].as_str().unwrap_or_default(), kind);
        let how = PatchParams { force, ..PatchParams::apply(MANAGER) };
        let verb = if force { "apply" } else { APPLY_NEW };
        let stored = self.write((verb, kind, name), api.patch(name, &how, &Patch::Apply(object))).await?;
        Ok(stored.map(|stored| value(&stored, kind)))
    }

    /// Puts a pod template in the place of that of `there`, which has not changed since it was read: what is not in it
    /// goes, whoever has set it. The object as it is then.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn replace_template(
        &self,
        kind: Kind,
        there: &Value,
        mut template: Value,
    ) -> Result<Value, Error> {
        let metadata = &there["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let api = Self::of(metadata["namespace"].as_str().unwrap_or_default(), kind);
        template["$patch"] = json!("replace");
        let patch = json!({"metadata": {"resourceVersion": metadata["resourceVersion"]},
                           "spec": {"template": template}});
        let how = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = api.patch(name, &how, &Patch::Strategic(&patch));
        let stored = self.write(("apply", kind, name), request).await?;
        Ok(stored.map_or(Value::Null, |stored| value(&stored, kind)))
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
        let (api, how) = (Self::of(namespace, kind), PatchParams::apply(REPLICAS_MANAGER).force());
        let request = api.patch(name, &how, &Patch::Apply(&patch));
        self.write::<Value>(("apply", kind, name), request).await.map(drop)
    }

    /// Deletes an object and what it owns; one that has been replaced meanwhile is left alone. With `foreground` it
    /// stays, as one that goes, until what it owns is gone.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn delete(&self, namespace: &str, object: &Live, foreground: bool) -> Result<(), Error> {
        let Live { kind, name, uid, .. } = object;
        let api = Self::of(namespace, *kind);
        let how = if foreground { PropagationPolicy::Foreground } else { PropagationPolicy::Background };
        let how = DeleteParams {
            propagation_policy: Some(how),
            preconditions: Some(kube::api::Preconditions { uid: Some(uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        self.write::<Value>(("delete", *kind, name), api.delete(name, &how)).await.map(drop)
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
        let (api, how) = (Self::of(namespace, MONITOR), PatchParams::apply(STATUS_MANAGER).force());
        let request = api.patch_subresource("status", name, &how, &Patch::Apply(&patch));
        self.write::<Value>(("set-status", MONITOR, name), request).await.map(drop)
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
        let (api, how) = (Self::of(&text("namespace"), MONITOR), PatchParams::default());
        let request = api.patch(&name, &how, &Patch::Merge(&patch));
        self.write::<Value>(("set-finalizers", MONITOR, &name), request).await.map(drop)
    }
}

/// What an answer that is none means.
fn said(code: u16, rest: Option<Duration>, doing: String, message: &str) -> Error {
    let text = format!("{doing}: {message}");
    match (code, rest) {
        (_, Some(rest)) => Error::Busy(text, rest),
        (408 | 409 | 500.., None) => Error::Failed(text),
        _ => Error::Refused(text),
    }
}

/// As JSON. What lists leave out is put in.
fn value(object: &DynamicObject, kind: Kind) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.kind);
    value
}
