//! What others have put into a Deployment's pod template: an apply takes back what they changed of ours, and leaves what
//! they added. Pure.
//!
//! The server keeps a book of who has set which field (`metadata.managedFields`): so defaults, and what a webhook adds
//! as an object passes by, are told apart from what somebody has set.

use serde_json::{Value, json};

use crate::api::MANAGER;

/// Set by `kubectl rollout restart`: a wish to be honoured.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Whether somebody else has set a field of the pod template that was not applied.
pub fn is_meddled_with(deployment: &Value) -> bool {
    let owners = || deployment["metadata"]["managedFields"].as_array().into_iter().flatten();
    let template = |owner: &Value| owner["fieldsV1"]["f:spec"]["f:template"].clone();
    let ours = owners().find(|owner| owner["manager"] == MANAGER && owner["operation"] == "Apply");
    let ours = ours.map(template).unwrap_or_default();
    owners().filter(|owner| owner["manager"] != MANAGER).any(|owner| exceeds(&template(owner), &ours))
}

/// Whether a set of fields has one that the other has not.
fn exceeds(theirs: &Value, ours: &Value) -> bool {
    let mut fields = theirs.as_object().into_iter().flatten().filter(|(name, _)| !is_allowed(name));
    fields.any(|(name, theirs)| ours.get(name).is_none_or(|ours| exceeds(theirs, ours)))
}

/// Fields that anybody may set. The first is the node itself, the second is written by old clients and is empty.
fn is_allowed(field: &str) -> bool {
    field == "." || field == "f:creationTimestamp" || field.strip_prefix("f:") == Some(RESTARTED)
}

/// The pod template as it is wanted, with what others may have set in that which is there.
pub fn template(wanted: &Value, there: &Value) -> Value {
    let mut template = wanted["spec"]["template"].clone();
    let restarted = &there["spec"]["template"]["metadata"]["annotations"][RESTARTED];
    if !restarted.is_null() {
        template["metadata"]["annotations"][RESTARTED] = json!(restarted);
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(manager: &str, operation: &str, template: Value) -> Value {
        json!({"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:template": template}}})
    }

    fn meddled(others: &[Value]) -> bool {
        let env = json!({"f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}}});
        let ours = json!({"f:metadata": {"f:annotations": {"f:hash": {}}},
                          "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": env}}});
        let mut owners = vec![owner(MANAGER, "Apply", ours)];
        owners.extend(others.iter().cloned());
        is_meddled_with(&json!({"metadata": {"managedFields": owners}}))
    }

    #[test]
    fn what_others_add_is_told_from_what_is_ours_and_from_what_they_may_set() {
        let annotation =
            |name: &str| json!({"f:metadata": {"f:annotations": {".": {}, format!("f:{name}"): {}}}});
        let variable = |name: &str| {
            let key = format!("k:{{\"name\":\"{name}\"}}");
            let env = json!({"f:env": {key: {".": {}, "f:name": {}, "f:value": {}}}});
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": env}}})
        };
        assert!(!meddled(&[]));
        for added in [annotation("theirs"), variable("X"), json!({"f:spec": {"f:hostNetwork": {}}})] {
            assert!(meddled(&[owner("kubectl-set", "Update", added.clone())]), "{added}");
            // Defaults that came back as a foreign value went.
            assert!(!meddled(&[owner(MANAGER, "Update", added)]));
        }
        for shared in [annotation("hash"), variable("A"), annotation(RESTARTED), json!(null)] {
            assert!(!meddled(&[owner("kubectl", "Update", shared.clone())]), "{shared}");
        }
        let elsewhere = json!({"manager": "hpa", "operation": "Update", "fieldsV1": {
            "f:spec": {"f:replicas": {}}, "f:metadata": {"f:labels": {"f:theirs": {}}}}});
        assert!(!meddled(&[elsewhere]));
    }

    #[test]
    fn a_restart_that_was_asked_for_stays() {
        let wanted = json!({"spec": {"template": {"metadata": {"annotations": {"hash": "1"}}}}});
        let there =
            json!({"spec": {"template": {"metadata": {"annotations": {"theirs": "x", RESTARTED: "now"}}}}});
        let annotations = template(&wanted, &there)["metadata"]["annotations"].clone();
        assert_eq!(annotations, json!({"hash": "1", RESTARTED: "now"}));
        assert_eq!(template(&wanted, &wanted), wanted["spec"]["template"]);
    }
}
