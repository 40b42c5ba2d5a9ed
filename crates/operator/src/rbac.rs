//! What the operator may do: the rules of its service account, and no more than it uses.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::inputs::Apis;
use crate::kinds::{self, Kind, MONITOR, SECRET};

/// Who the operator is, and where it works.
#[derive(Clone, Debug)]
pub struct Account {
    /// Namespace of the operator and of its Lease.
    pub namespace: String,
    /// Name of the service account, and of the roles.
    pub name: String,
    /// Namespaces that it looks after; empty: all.
    pub watch: Vec<String>,
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// The rules for the namespaces that are looked after, in a fixed order.
pub fn rules() -> Vec<Value> {
    let mut rules = vec![
        // `patch` for finalizers.
        rule(MONITOR.group, &[MONITOR.plural], &["list", "watch", "patch"]),
        rule(MONITOR.group, &[&format!("{}/status", MONITOR.plural)], &["patch"]),
        // Needed to be an owner where the cluster checks who blocks deletions.
        rule(MONITOR.group, &[&format!("{}/finalizers", MONITOR.plural)], &["update"]),
        rule(SECRET.group, &[SECRET.plural], &["get", "list", "watch"]),
    ];
    for kind in kinds::of(Apis { keda: true, pod_monitor: true }) {
        rules.push(rule(kind.group, &[kind.plural], verbs(kind)));
    }
    rules.push(rule("events.k8s.io", &["events"], &["create"]));
    rules
}

/// The rules for the operator's own namespace: the Lease.
pub fn election_rules() -> Vec<Value> {
    vec![rule("coordination.k8s.io", &["leases"], &["get", "create", "update"])]
}

/// What is done to children. An apply of what is not there is a `create` as well.
fn verbs(kind: Kind) -> &'static [&'static str] {
    if kind.is_always_wanted() {
        return &["get", "list", "watch", "create", "patch"];
    }
    &["get", "list", "watch", "create", "patch", "delete"]
}

/// Service account, roles and bindings, in the order in which they are applied. The Lease is in the operator's own
/// namespace; the rest is for the whole cluster, or for each namespace that is looked after.
pub fn documents(account: &Account) -> Vec<Value> {
    let Account { namespace, name, watch } = account;
    let mut out = vec![json!({"apiVersion": "v1", "kind": "ServiceAccount",
                              "metadata": {"name": name, "namespace": namespace}})];
    out.extend(bound(account, &format!("{name}-election"), Some(namespace), &election_rules()));
    if watch.is_empty() {
        out.extend(bound(account, name, None, &rules()));
    }
    for namespace in BTreeSet::from_iter(watch) {
        out.extend(bound(account, name, Some(namespace), &rules()));
    }
    out
}

/// A role and its binding, in a namespace or in all.
fn bound(account: &Account, name: &str, namespace: Option<&String>, rules: &[Value]) -> [Value; 2] {
    let (role, binding) = match namespace {
        Some(_) => ("Role", "RoleBinding"),
        None => ("ClusterRole", "ClusterRoleBinding"),
    };
    let api = "rbac.authorization.k8s.io";
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    let subject = json!({"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace});
    [
        json!({"apiVersion": format!("{api}/v1"), "kind": role, "metadata": metadata, "rules": rules}),
        json!({"apiVersion": format!("{api}/v1"), "kind": binding, "metadata": metadata,
               "roleRef": {"apiGroup": api, "kind": role, "name": name}, "subjects": [subject]}),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_namespaces_asks_for_nothing_of_the_cluster() {
        let account = Account {
            namespace: "system".to_owned(),
            name: "op".to_owned(),
            watch: ["a", "b", "a"].map(str::to_owned).into(),
        };
        let documents = documents(&account);
        let kinds: Vec<_> = documents.iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert!(!kinds.iter().any(|kind| kind.starts_with("Cluster")), "{kinds:?}");
        let places: Vec<_> =
            documents.iter().map(|one| one["metadata"]["namespace"].as_str().unwrap()).collect();
        assert_eq!(places, ["system", "system", "system", "a", "a", "b", "b"]);
    }

    #[test]
    fn no_rule_is_for_everything() {
        let text = json!(rules()).to_string();
        assert!(!text.contains('*'), "{text}");
    }
}
