//! A Kubernetes API that is played: enough of it for the operator, in memory, and as bad as a test wants it.
//!
//! It keeps objects with versions, lists, gets, watches, applies, patches, replaces and deletes. What it does not play:
//! defaults, validation, who owns which field, and rights.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::request::{Asked, Fault, Path, Place, REST, path, place, query, verb};

type Faults = Arc<dyn Fn(&Asked) -> Fault + Send + Sync>;

#[derive(Default)]
struct Store {
    version: u64,
    objects: BTreeMap<Place, Value>,
    /// Every change: version, place, before and after.
    log: Vec<(u64, Place, Option<Value>, Option<Value>)>,
}

/// The API.
#[derive(Clone)]
pub(crate) struct Fake {
    store: Arc<Mutex<Store>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    faults: Arc<Mutex<Faults>>,
    /// Writes of who did not hold the Lease.
    pub(crate) trespasses: Arc<Mutex<Vec<String>>>,
    changed: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    pub(crate) fn new() -> Fake {
        Fake {
            store: Arc::default(),
            asked: Arc::default(),
            faults: Arc::new(Mutex::new(Arc::new(|_: &Asked| Fault::None))),
            trespasses: Arc::default(),
            changed: watch::channel(0).0,
        }
    }

    /// Opens a door; its address.
    pub(crate) async fn door(&self, number: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state((self.clone(), number));
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    pub(crate) fn go_wrong(&self, faults: impl Fn(&Asked) -> Fault + Send + Sync + 'static) {
        *lock(&self.faults) = Arc::new(faults);
    }

    pub(crate) fn go_well(&self) {
        self.go_wrong(|_| Fault::None);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }

    pub(crate) fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        lock(&self.store).objects.get(&place(group, resource, namespace, name)).cloned()
    }

    /// Names of the objects of a resource.
    pub(crate) fn names(&self, resource: &str) -> Vec<String> {
        let store = lock(&self.store);
        store.objects.keys().filter(|place| place.1 == resource).map(|place| place.3.clone()).collect()
    }

    /// Objects of a resource.
    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        let store = lock(&self.store);
        store
            .objects
            .iter()
            .filter(|(place, _)| place.1 == resource)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Makes an object what it is to be; none deletes it.
    pub(crate) fn put(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
        object: Option<Value>,
    ) {
        let _ = self.change(&place(group, resource, namespace, name), |_| Ok(object));
    }

    fn change(
        &self,
        at: &Place,
        change: impl FnOnce(Option<&Value>) -> Result<Option<Value>, u16>,
    ) -> Result<Option<Value>, u16> {
        let mut store = lock(&self.store);
        let before = store.objects.get(at).cloned();
        let Some(mut after) = change(before.as_ref())? else {
            if before.is_some() {
                store.version += 1;
                let version = store.version;
                store.objects.remove(at);
                store.log.push((version, at.clone(), before, None));
                self.changed.send_replace(version);
            }
            return Ok(None);
        };
        let bare = |object: &Value| {
            let mut object = object.clone();
            object["metadata"]["resourceVersion"] = Value::Null;
            object
        };
        if before.as_ref().is_some_and(|before| bare(before) == bare(&after)) {
            return Ok(before);
        }
        store.version += 1;
        let version = store.version;
        let spec = before.as_ref().map(|before| before["spec"] != after["spec"]);
        let generation =
            before.as_ref().and_then(|before| before["metadata"]["generation"].as_u64()).unwrap_or(0);
        let metadata = &mut after["metadata"];
        metadata["name"] = json!(at.3);
        metadata["namespace"] = json!(at.2);
        metadata["resourceVersion"] = json!(version.to_string());
        metadata["generation"] = json!(if spec == Some(false) { generation } else { generation + 1 });
        if !metadata["uid"].is_string() {
            metadata["uid"] = json!(format!("uid-{version}"));
            metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        store.objects.insert(at.clone(), after.clone());
        store.log.push((version, at.clone(), before, Some(after.clone())));
        self.changed.send_replace(version);
        Ok(Some(after))
    }

    /// Whoever writes anything but the Lease must be its holder at that moment.
    fn judge(&self, asked: &Asked) {
        if !asked.writes() || asked.resource == "leases" || asked.resource == "events" {
            return;
        }
        let lease = self.get("coordination.k8s.io", "leases", "system", "lease").unwrap_or_default();
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        if holder != format!("replica-{}", asked.door) {
            let Asked { door, verb, resource, name, .. } = asked;
            let trespass = format!("{door}: {verb} {resource} {name} while `{holder}` holds the Lease");
            lock(&self.trespasses).push(trespass);
        }
    }
}

fn failure(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap();
    let rest = [("retry-after", REST.as_secs().to_string())];
    if code == 429 {
        // As servers do that guard themselves.
        return (status, rest, "Too many requests, please try again later.").into_response();
    }
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                      "message": format!("the fake says {code}"), "reason": reason});
    let body = (status, [("content-type", "application/json")], body.to_string());
    if code == 503 { (rest, body).into_response() } else { body.into_response() }
}

fn found(code: u16, object: &Value) -> Response {
    let code = StatusCode::from_u16(code).unwrap();
    (code, [("content-type", "application/json")], object.to_string()).into_response()
}

async fn answer(
    State((fake, door)): State<(Fake, usize)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let at = path(&uri);
    let verb = verb(&method, &headers, &at, &uri);
    let resource = if at.sub.is_empty() { at.place.1.clone() } else { format!("{}/{}", at.place.1, at.sub) };
    let namespace = at.place.2.clone();
    let asked = Asked { door, verb, resource, namespace, name: at.place.3.clone(), at: Instant::now() };
    lock(&fake.asked).push(asked.clone());
    let faults = lock(&fake.faults).clone();
    let fault = faults(&asked);
    match fault {
        Fault::Status(code) => return failure(code),
        Fault::Hang => std::future::pending().await,
        Fault::Slow(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    fake.judge(&asked);
    let response = match verb {
        "discover" => discover(&at),
        "list" => fake.list(&at, &uri, &headers),
        "watch" => fake.watch(&at, &uri, &headers, fault),
        _ => fake.one(verb, &at, &serde_json::from_slice(&body).unwrap_or_default()),
    };
    match fault {
        Fault::LostAnswer => std::future::pending::<()>().await,
        Fault::Late(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    response
}

fn discover(at: &Path) -> Response {
    if at.place.0 != "pricemonitor.dev" {
        return failure(404);
    }
    found(
        200,
        &json!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": format!("{}/{}", at.place.0, at.version), "resources": [{
        "name": "pricemonitors", "singularName": "pricemonitor", "namespaced": true, "kind": "PriceMonitor",
        "verbs": ["get", "list", "watch", "patch"]}]}),
    )
}

fn matches(object: &Value, selector: Option<&String>) -> bool {
    selector.is_none_or(|selector| {
        let mut pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
        pairs.all(|(key, value)| object["metadata"]["labels"][key] == value)
    })
}

/// Metadata alone, where that is asked for.
fn view(object: &Value, headers: &HeaderMap) -> Value {
    let accept = headers.get("accept").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !accept.contains("PartialObjectMetadata") {
        return object.clone();
    }
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

impl Fake {
    fn list(&self, at: &Path, uri: &Uri, headers: &HeaderMap) -> Response {
        let store = lock(&self.store);
        let selector = query(uri, "labelSelector");
        let here = store.objects.iter().filter(|(place, _)| is_here(place, &at.place));
        let items: Vec<Value> = here
            .filter(|(_, object)| matches(object, selector.as_ref()))
            .map(|(_, object)| view(object, headers))
            .collect();
        found(
            200,
            &json!({"apiVersion": "v1", "kind": "List", "items": items,
                           "metadata": {"resourceVersion": store.version.to_string()}}),
        )
    }

    fn watch(&self, at: &Path, uri: &Uri, headers: &HeaderMap, fault: Fault) -> Response {
        let from = query(uri, "resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        if fault == Fault::Gone {
            let gone = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}});
            return (StatusCode::OK, format!("{gone}\n")).into_response();
        }
        let life = if let Fault::EndOfWatch(life) = fault { life } else { Duration::from_secs(200) };
        let end = tokio::time::Instant::now() + life;
        let (fake, headers, wanted) = (self.clone(), headers.clone(), at.place.clone());
        let selector = query(uri, "labelSelector");
        let events = stream::unfold((from, self.changed.subscribe()), move |(from, mut changed)| {
            let (fake, headers, wanted, selector) =
                (fake.clone(), headers.clone(), wanted.clone(), selector.clone());
            async move {
                loop {
                    changed.mark_unchanged();
                    let (to, lines) = fake.events(from, &wanted, selector.as_ref(), &headers);
                    if !lines.is_empty() {
                        return Some((Ok::<_, Infallible>(Bytes::from(lines)), (to, changed)));
                    }
                    tokio::select! {
                        () = tokio::time::sleep_until(end) => return None,
                        more = changed.changed() => more.ok()?,
                    }
                }
            }
        });
        (StatusCode::OK, Body::from_stream(events)).into_response()
    }

    fn events(
        &self,
        from: u64,
        wanted: &Place,
        selector: Option<&String>,
        headers: &HeaderMap,
    ) -> (u64, String) {
        let store = lock(&self.store);
        let mut lines = String::new();
        for (_, _, before, after) in store.log.iter().filter(|one| one.0 > from && is_here(&one.1, wanted)) {
            let seen = |object: &&Value| matches(object, selector);
            let (before, after) = (before.as_ref().filter(seen), after.as_ref().filter(seen));
            let (kind, object) = match (before, after) {
                (None, Some(after)) => ("ADDED", after),
                (Some(_), Some(after)) => ("MODIFIED", after),
                (Some(before), None) => ("DELETED", before),
                (None, None) => continue,
            };
            let event = json!({"type": kind, "object": view(object, headers)});
            lines.push_str(&format!("{event}\n"));
        }
        (store.version, lines)
    }

    fn one(&self, verb: &str, at: &Path, body: &Value) -> Response {
        let mut place = at.place.clone();
        if verb == "create" {
            place.3 = body["metadata"]["name"].as_str().unwrap_or("event").to_owned();
        }
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let result = self.change(&place, |there| match verb {
            "get" => there.cloned().map(Some).ok_or(404),
            "create" if there.is_some() => Err(409),
            "create" => Ok(Some(body.clone())),
            "replace" if there.is_none_or(|there| version(there) != version(body)) => Err(409),
            "replace" => Ok(Some(body.clone())),
            "apply" if at.sub == "status" && there.is_none() => Err(404),
            "apply" => Ok(Some(applied(there, body, &at.sub))),
            "patch" => {
                let there = there.ok_or(404_u16)?;
                let stale =
                    body["metadata"]["resourceVersion"].is_string() && version(body) != version(there);
                if stale { Err(409) } else { Ok(ended(merged(there, body))) }
            }
            _ => {
                let there = there.ok_or(404_u16)?;
                let mut going = there.clone();
                going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                Ok(ended(going))
            }
        });
        match result {
            Ok(Some(object)) => found(if verb == "create" { 201 } else { 200 }, &object),
            Ok(None) => found(200, &json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
            Err(code) => failure(code),
        }
    }
}

fn is_here(place: &Place, wanted: &Place) -> bool {
    place.0 == wanted.0 && place.1 == wanted.1 && (wanted.2.is_empty() || place.2 == wanted.2)
}

/// None when it is being deleted and nothing keeps it.
fn ended(object: Value) -> Option<Value> {
    let metadata = &object["metadata"];
    let kept = metadata["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    (kept || !metadata["deletionTimestamp"].is_string()).then_some(object)
}

/// What an apply makes: the fields of before that are the server's, and all that was applied.
fn applied(there: Option<&Value>, body: &Value, sub: &str) -> Value {
    let mut object = there.cloned().unwrap_or_else(|| json!({}));
    for (key, value) in body.as_object().into_iter().flatten() {
        match key.as_str() {
            "metadata" if sub.is_empty() => object["metadata"] = merged(&object["metadata"], value),
            "metadata" => {}
            _ => object[key] = value.clone(),
        }
    }
    object
}

fn merged(there: &Value, patch: &Value) -> Value {
    let Some(fields) = patch.as_object() else { return patch.clone() };
    let mut out = if there.is_object() { there.clone() } else { json!({}) };
    for (key, value) in fields {
        if value.is_null() {
            out.as_object_mut().unwrap().remove(key);
        } else {
            out[key] = merged(&out[key], value);
        }
    }
    out
}
