//! A request, taken apart.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Uri};

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Which client: each has a door of its own.
    pub(crate) door: usize,
    /// `discover`, `list`, `watch`, `get`, `create`, `replace`, `apply`, `patch` or `delete`.
    pub(crate) verb: &'static str,
    /// Such as `deployments` or `pricemonitors/status`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// When.
    pub(crate) at: Instant,
}

impl Asked {
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.verb, "discover" | "list" | "watch" | "get")
    }
}

/// `Retry-After` of those who are asked too much.
pub(crate) const REST: Duration = Duration::from_secs(2);

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing is done, and that is the answer; 429 and 503 want [`REST`].
    Status(u16),
    /// It is done late, and so the answer comes.
    Slow(Duration),
    /// It is done, and the answer comes late.
    Late(Duration),
    /// Nothing is done, and no answer comes.
    Hang,
    /// It is done, and no answer comes.
    LostAnswer,
    /// A watch ends after so long, whatever it was asked for.
    EndOfWatch(Duration),
    /// A watch is told that its version is too old.
    Gone,
}

/// Group, resource, namespace and name.
pub(crate) type Place = (String, String, String, String);

pub(crate) fn place(group: &str, resource: &str, namespace: &str, name: &str) -> Place {
    (group.to_owned(), resource.to_owned(), namespace.to_owned(), name.to_owned())
}

/// A path, taken apart: group, namespace, resource, name and subresource.
pub(crate) struct Path {
    pub(crate) place: Place,
    pub(crate) version: String,
    pub(crate) sub: String,
}

pub(crate) fn path(uri: &Uri) -> Path {
    let mut words = uri.path().trim_matches('/').split('/').map(str::to_owned);
    let group =
        if words.next().as_deref() == Some("api") { String::new() } else { words.next().unwrap_or_default() };
    let version = words.next().unwrap_or_default();
    let mut rest: Vec<String> = words.collect();
    let mut namespace = String::new();
    if rest.first().is_some_and(|word| word == "namespaces") && rest.len() > 2 {
        namespace = rest.remove(1);
        rest.remove(0);
    }
    let mut rest = rest.into_iter();
    let (resource, name) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
    Path { place: (group, resource, namespace, name), version, sub: rest.next().unwrap_or_default() }
}

pub(crate) fn query(uri: &Uri, key: &str) -> Option<String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find(|(name, _)| *name == key)?.1;
    Some(value.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/"))
}

pub(crate) fn verb(method: &Method, headers: &HeaderMap, at: &Path, uri: &Uri) -> &'static str {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match *method {
        Method::GET if at.place.1.is_empty() => "discover",
        Method::GET if !at.place.3.is_empty() => "get",
        Method::GET if query(uri, "watch").is_some() => "watch",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "replace",
        Method::PATCH if kind.contains("apply") => "apply",
        Method::PATCH => "patch",
        _ => "delete",
    }
}
