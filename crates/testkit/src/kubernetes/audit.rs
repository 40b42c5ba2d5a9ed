//! What service accounts asked of the API, by the API server's own book.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Every request of a service account, but for those of Kubernetes' own controllers.
pub(super) const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:serviceaccounts:kube-system"]}
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
"#;

/// A request that was answered, or is being answered (a watch).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// As roles have it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Group of the API; empty for the core.
    pub group: String,
    /// As roles have it, such as `deployments` or `pricemonitors/status`; for what is no resource its path.
    pub resource: String,
    /// Empty for what has none, and for a request over all of them.
    pub namespace: String,
    /// Empty for a list, and where the server gives the name.
    pub name: String,
    /// Status of HTTP: 403 is what no role allowed.
    pub status: u16,
}

/// The requests of `user` in the API server's log, in the order in which they came.
pub(super) fn requests(log: &Path, user: &str) -> Result<Vec<Request>> {
    let text = match fs::read_to_string(log) {
        // Nobody has asked yet.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("reading {}", log.display()))?,
    };
    // A watch has a line when it starts and one when it ends. The last line may be half written.
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut requests = Vec::new();
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if event["user"]["username"] != user {
            continue;
        }
        let id = event["auditID"].as_str().unwrap_or_default().to_owned();
        let place = *found.entry(id).or_insert(requests.len());
        if place == requests.len() {
            requests.push(request(&event));
        }
    }
    Ok(requests)
}

fn request(event: &Value) -> Request {
    let reference = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut resource = text(&reference["resource"]);
    if let Some(part) = reference["subresource"].as_str() {
        resource = format!("{resource}/{part}");
    }
    if reference.is_null() {
        let path = text(&event["requestURI"]);
        resource = path.split('?').next().unwrap_or_default().to_owned();
    }
    Request {
        verb: text(&event["verb"]),
        group: text(&reference["apiGroup"]),
        resource,
        namespace: text(&reference["namespace"]),
        name: text(&reference["name"]),
        status: event["responseStatus"]["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or(0),
    }
}
