//! What is to be written so that the children are as they should be. Pure.

use serde_json::{Value, json};

use crate::cache::Entry;
use crate::children::Children;
use crate::context::hash;
use crate::live::{Detail, JobState, Live};
use crate::quantity;
use crate::role::Role;

/// Annotation of a child with the hash of what was applied: a field that is not wanted any more shows by it.
pub const APPLIED: &str = "pricemonitor.dev/applied";

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan<'a> {
    /// Objects to apply, in their order.
    pub apply: Vec<Value>,
    /// Objects that were applied so, and may have been changed since: to be compared, and applied where they differ.
    pub compare: Vec<Value>,
    /// Objects of the monitor that are not wanted any more.
    pub prune: Vec<&'a Live>,
}

impl Plan<'_> {
    /// Whether everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.compare.is_empty() && self.prune.is_empty()
    }
}

/// Compares the children of a monitor with what is there.
///
/// # Guarantees
/// - What is as it should be is not written: an operator that starts anew, or a cluster that adds defaults and status,
///   leads to no write.
/// - Only objects that have the monitor (`uid`) as their controller are pruned.
/// - A Job is never changed; another name makes another one.
/// - At the end of a monitor (`ending`) only its workers and a Job that may still make topics are pruned: the rest goes
///   with it.
pub fn plan<'a>(children: &Children, there: &'a [Entry], uid: &str, ending: bool) -> Plan<'a> {
    let mut plan = Plan::default();
    for child in &children.list {
        let wanted = marked(&child.object);
        match there.iter().find(|entry| entry.live.is(child.kind(), child.name())) {
            Some(entry) if entry.live.kind.kind == "Job" || entry.verified && is_so(&entry.live, &wanted) => {
            }
            Some(entry) if is_so(&entry.live, &wanted) => plan.compare.push(wanted),
            _ => plan.apply.push(wanted),
        }
    }
    let lives = there.iter().map(|entry| &entry.live);
    plan.prune = lives
        .filter(|live| live.owner.as_deref() == Some(uid) && !live.going)
        .filter(|live| !ending || live.kind.makes_pods_work() || may_make_topics(live))
        .filter(|live| !children.list.iter().any(|child| live.is(child.kind(), child.name())))
        .collect();
    plan
}

/// Whether it is a Job of `setup` whose pods may still be at work.
pub fn may_make_topics(live: &Live) -> bool {
    let done = matches!(live.detail, Detail::Job(JobState::Complete, _));
    live.kind.kind == "Job" && live.role == Some(Role::Setup) && !done
}

/// Whether that is what was applied last.
fn is_so(live: &Live, wanted: &Value) -> bool {
    live.applied.as_deref().is_some_and(|applied| wanted["metadata"]["annotations"][APPLIED] == applied)
}

fn marked(object: &Value) -> Value {
    let mut object = object.clone();
    let hash = hash([object.to_string()]);
    let metadata = &mut object["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"][APPLIED] = json!(hash);
    object
}

/// Whether everything that is wanted is there; more may be, but for where one more changes what is meant. What a server
/// leaves out because it is empty is there, and quantities are what they are worth.
pub fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match live.get(key) {
                Some(live) => contains_field(key, live, wanted),
                None => is_empty(wanted),
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| contains(live, wanted))
        }
        _ => live == wanted,
    }
}

fn contains_field(key: &str, live: &Value, wanted: &Value) -> bool {
    match key {
        // One label more, and a Service finds nothing.
        "selector" | "podSelector" | "matchLabels" => {
            let more = |live: &Value| {
                live.as_object().is_some_and(|live| {
                    live.iter().any(|(key, value)| wanted.get(key).is_none() && !is_empty(value))
                })
            };
            !more(live) && contains(live, wanted)
        }
        "requests" | "limits" => match (live.as_object(), wanted.as_object()) {
            (Some(live), Some(wanted)) => {
                let same = |live: &Value, wanted: &Value| match (live.as_str(), wanted.as_str()) {
                    (Some(live), Some(wanted)) => quantity::is_same(live, wanted),
                    _ => live == wanted,
                };
                wanted.iter().all(|(key, wanted)| live.get(key).is_some_and(|live| same(live, wanted)))
            }
            _ => contains(live, wanted),
        },
        _ => contains(live, wanted),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Child;
    use crate::kinds::{self, Kind};

    fn deployments() -> Kind {
        kinds::of(Default::default()).into_iter().find(|kind| kind.kind == "Deployment").unwrap()
    }

    fn child(name: &str, spec: Value) -> Child {
        let metadata =
            json!({"name": name, "namespace": "n", "ownerReferences": [{"uid": "u", "controller": true}]});
        let object =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
        Child { object, keep: false }
    }

    fn children(list: Vec<Child>) -> Children {
        Children { list, ..Children::default() }
    }

    /// What a server makes of what was applied: more fields, and none that are empty.
    fn stored(object: &Value) -> Value {
        let mut object = object.clone();
        object["metadata"]["uid"] = json!("of-the-object");
        object["spec"]["revisionHistoryLimit"] = json!(10);
        object["status"] = json!({"replicas": 1});
        object["spec"].as_object_mut().unwrap().remove("empty");
        object
    }

    fn entries(plan: &Plan<'_>, verified: bool) -> Vec<Entry> {
        let entry = |object: &Value| Entry { live: Live::of(deployments(), &stored(object)), verified };
        plan.apply.iter().map(entry).collect()
    }

    #[test]
    fn what_is_known_to_be_as_applied_is_left_alone_and_what_is_not_known_is_compared() {
        let wanted = children(vec![child("a", json!({"replicas": 1}))]);
        let first = plan(&wanted, &[], "u", false);
        assert_eq!(first.apply.len(), 1);
        assert!(plan(&wanted, &entries(&first, true), "u", false).is_empty());
        let unknown = entries(&first, false);
        let again = plan(&wanted, &unknown, "u", false);
        assert_eq!((again.apply.len(), again.compare.len()), (0, 1));
    }

    #[test]
    fn what_a_server_adds_and_leaves_out_is_no_difference() {
        let wanted = children(vec![child("a", json!({"replicas": 1, "empty": {}, "list": [{"x": 1}]}))]);
        let wanted = plan(&wanted, &[], "u", false).apply.remove(0);
        assert!(contains(&stored(&wanted), &wanted));
    }

    #[test]
    fn a_quantity_that_is_stored_in_another_way_is_no_difference() {
        let resources = |cpu: &str, memory: &str| json!({"resources": {"requests": {"cpu": cpu}, "limits": {"memory": memory}}});
        let wanted = resources("1000m", "0.5Gi");
        assert!(contains(&resources("1", "512Mi"), &wanted));
        assert!(!contains(&resources("2", "512Mi"), &wanted));
        assert!(!contains(&json!({"resources": {"requests": {"cpu": "1"}}}), &wanted));
        // Anywhere else a text is a text.
        assert!(!contains(&json!({"args": ["1"]}), &json!({"args": ["1000m"]})));
    }

    #[test]
    fn a_selector_with_one_label_more_is_another_one() {
        for name in ["selector", "podSelector", "matchLabels"] {
            let with = |labels: Value| json!({"spec": {name: labels}});
            let wanted = with(json!({"a": "1"}));
            assert!(contains(&with(json!({"a": "1"})), &wanted));
            assert!(!contains(&with(json!({"a": "1", "b": "2"})), &wanted), "{name}");
        }
        let with = |labels: Value| json!({"spec": {"selector": {"matchLabels": labels}}});
        assert!(!contains(&with(json!({"a": "1", "b": "2"})), &with(json!({"a": "1"}))));
    }

    #[test]
    fn what_somebody_changed_or_left_out_is_a_difference() {
        let wanted = children(vec![child("a", json!({"replicas": 1, "list": [{"x": 1}]}))]);
        let wanted = plan(&wanted, &[], "u", false).apply.remove(0);
        let changes: [fn(&mut Value); 4] = [
            |object| object["spec"]["replicas"] = json!(2),
            |object| object["spec"]["list"] = json!([{"x": 1}, {"x": 2}]),
            |object| object["metadata"]["ownerReferences"] = json!([]),
            |object| object["metadata"]["annotations"] = json!(null),
        ];
        for change in changes {
            let mut live = stored(&wanted);
            change(&mut live);
            assert!(!contains(&live, &wanted), "{live:?}");
        }
    }

    #[test]
    fn another_wish_is_applied_also_where_a_field_is_only_not_wanted_any_more() {
        let first = entries(
            &plan(&children(vec![child("a", json!({"replicas": 1, "b": 2}))]), &[], "u", false),
            true,
        );
        let wanted = children(vec![child("a", json!({"replicas": 1}))]);
        assert_eq!(plan(&wanted, &first, "u", false).apply.len(), 1);
    }

    #[test]
    fn only_what_the_monitor_owns_is_pruned() {
        let two = children(vec![child("old", json!({"a": 1})), child("foreign", json!({"a": 1}))]);
        let mut there = entries(&plan(&two, &[], "u", false), true);
        there[1].live.owner = Some("another".to_owned());
        let wanted = children(Vec::new());
        let plan = plan(&wanted, &there, "u", false);
        let names: Vec<_> = plan.prune.iter().map(|live| live.name.as_str()).collect();
        assert_eq!(names, ["old"]);
        there[0].live.kind = kinds::CONFIG_MAP;
        assert!(super::plan(&wanted, &there, "u", true).is_empty(), "it goes with its monitor");
        (there[0].live.kind, there[0].live.going) = (deployments(), true);
        assert!(super::plan(&wanted, &there, "u", false).is_empty(), "it goes already");
    }
    #[test]
    fn at_the_end_of_a_monitor_a_job_that_may_still_make_topics_goes_too() {
        let jobs = kinds::of(Default::default()).into_iter().find(|kind| kind.kind == "Job").unwrap();
        let job = |role: &str, conditions: Value| {
            let labels = json!({"app.kubernetes.io/component": role});
            let owners = json!([{"uid": "u", "controller": true}]);
            let object = json!({"metadata": {"name": "j", "labels": labels, "ownerReferences": owners},
                                "status": {"conditions": conditions}});
            Entry { live: Live::of(jobs, &object), verified: true }
        };
        let pruned = |there: &[Entry]| plan(&children(Vec::new()), there, "u", true).prune.len();
        let (failed, done) =
            (json!([{"type": "Failed", "status": "True"}]), json!([{"type": "Complete", "status": "True"}]));
        assert_eq!(pruned(&[job("setup", json!(null))]), 1);
        assert_eq!(pruned(&[job("setup", failed)]), 1, "its last pod may still be ending");
        assert_eq!(pruned(&[job("setup", done), job("teardown", json!(null))]), 0);
    }
}
