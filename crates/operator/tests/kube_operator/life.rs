//! From the first apply to the end.

use std::time::Duration;

use pricemonitor_testkit::wait;
use serde_json::{Value, json};

use crate::support::{
    CLUSTER, Operator, SOON, Setting, admin, children, condition, get, give_secrets, monitor, settle,
    wait_for,
};

/// Writes of an account, so far.
fn writes(namespace: &str) -> Vec<String> {
    let asked = CLUSTER.requests_of(namespace, "operator").unwrap();
    let written = asked.iter().filter(|one| !matches!(&*one.verb, "get" | "list" | "watch"));
    written
        .filter(|one| one.resource != "leases")
        .map(|one| format!("{} {} {}", one.verb, one.resource, one.name))
        .collect()
}

fn patch(namespace: &str, kind: &str, name: &str, patch: &Value) {
    let text = patch.to_string();
    admin().run(&["patch", kind, name, "--namespace", namespace, "--type=merge", "-p", &text], None).unwrap();
}

#[test]
fn a_monitor_becomes_its_children_and_a_new_operator_writes_nothing() {
    let setting = Setting::new("once");
    give_secrets("once");
    let first = setting.start();
    // Quantities that the API stores in another way.
    let resources = json!({"requests": {"cpu": "1000m", "memory": "0.5Gi"}, "limits": {"memory": "1024Mi"}});
    let wanted = json!({
        "workers": {"dashboard": {"enabled": true}, "storage": {"resources": resources},
                    "alert": {"autoscaling": {"maxReplicas": 2}}},
        "storage": {"postgres": {"secretRef": {"name": "prices-app"}},
                    "csv": {"path": "out/prices.csv", "volume": {"size": "0.5Gi"}}},
    });
    admin().apply_all(&[monitor("once", "m", &wanted)]).unwrap();
    let there = settle("once", "m");
    let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in
        ["Deployment m-producer", "Deployment m-alert", "Deployment m-dashboard", "ServiceAccount m-workers"]
    {
        assert!(names.contains(&wanted), "{wanted}: {names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("Job m-setup-")), "{names:?}");
    let status = get("once", "pm", "m")["status"].clone();
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(condition("once", "m", "Ready").1, "SetupRunning");
    first.end();

    let before = writes("once").len();
    let second = setting.start();
    second.wait_to_lead();
    let looked = || second.metric("pricemonitor_operator_reconciles_total", &["result=\"ok\""]) > 0.0;
    wait::until("it to look at the monitor", SOON, looked).unwrap();
    assert_eq!(settle("once", "m"), there);
    let after = writes("once");
    assert_eq!(after[before..], [""; 0], "an operator that starts anew wrote");
    let calls = |verb: &str, resource: &str| {
        let labels = [format!("verb=\"{verb}\""), format!("resource=\"{resource}\"")];
        second.metric("pricemonitor_operator_api_requests_total", &[&labels[0], &labels[1]])
    };
    for (verb, resource) in [("list", "deployments"), ("watch", "pricemonitors"), ("update", "leases")] {
        assert!(calls(verb, resource) >= 1.0, "{verb} {resource} is not counted");
    }
    assert_eq!((calls("patch", "deployments"), calls("create", "events")), (0.0, 0.0));
    second.end();
}

#[test]
fn what_somebody_changes_or_deletes_is_put_right() {
    let setting = Setting::new("drift");
    give_secrets("drift");
    let operator = setting.start();
    admin().apply_all(&[monitor("drift", "m", &json!({}))]).unwrap();
    settle("drift", "m");
    let image = |object: &Value| object["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    patch("drift", "deployment", "m-storage", &json!({"spec": {"replicas": 7}}));
    patch("drift", "configmap", "m-producer", &json!({"data": {"monitor.yaml": "wrong"}}));
    patch(
        "drift",
        "service",
        "m-metrics",
        &json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}),
    );
    admin().run(&["delete", "deployment", "m-alert", "--namespace=drift"], None).unwrap();
    for role in ["processor", "producer"] {
        let (deployment, image) = (format!("deployment/m-{role}"), format!("{role}=other"));
        admin().run(&["set", "image", "--namespace=drift", &deployment, &image], None).unwrap();
    }
    let healed = || {
        get("drift", "deployment", "m-storage")["spec"]["replicas"] == 1
            && get("drift", "configmap", "m-producer")["data"]["monitor.yaml"] != "wrong"
            && get("drift", "service", "m-metrics")["metadata"]["labels"]["app.kubernetes.io/managed-by"]
                == "pricemonitor-operator"
            && get("drift", "deployment", "m-alert").is_object()
            && ["processor", "producer"]
                .iter()
                .all(|role| image(&get("drift", "deployment", &format!("m-{role}"))) == "pricemonitor:1")
    };
    wait::until("everything to be put right", SOON, healed)
        .unwrap_or_else(|error| panic!("{error}: {}", operator.process.output().all()));
    operator.end();
}

#[test]
fn what_somebody_adds_to_a_pod_template_goes_and_a_restart_that_was_asked_for_stays() {
    let setting = Setting::new("added");
    give_secrets("added");
    let operator = setting.start();
    admin().apply_all(&[monitor("added", "m", &json!({}))]).unwrap();
    settle("added", "m");
    let deployment = |role: &str| get("added", "deployment", &format!("m-{role}"));
    let template = |role: &str| deployment(role)["spec"]["template"].clone();
    let before: Vec<Value> = ["producer", "processor", "storage", "alert"].map(template).into();

    admin().run(&["set", "env", "deployment/m-storage", "X=1", "--namespace=added"], None).unwrap();
    admin().run(&["rollout", "restart", "deployment/m-producer", "--namespace=added"], None).unwrap();
    let asked = json!({"metadata": {"annotations": {"theirs": "x"}, "labels": {"theirs": "x"}},
                       "spec": {"dnsPolicy": "Default", "nodeSelector": {"theirs": "x"}}});
    patch("added", "deployment", "m-alert", &json!({"spec": {"template": asked}}));
    let side = json!([{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "side", "image": "x"}},
                      {"op": "add", "path": "/metadata/labels/theirs", "value": "x"}]);
    let side =
        ["patch", "deployment", "m-processor", "--namespace=added", "--type=json", "-p", &side.to_string()];
    admin().run(&side, None).unwrap();
    let healed = || ["processor", "storage", "alert"].map(template)[..] == before[1..];
    wait::until("what was added to go", SOON, healed).unwrap_or_else(|error| {
        panic!(
            "{error}: {:#} {}",
            json!(["processor", "storage", "alert"].map(template)),
            operator.process.output().all()
        )
    });
    assert!(template("producer")["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string());
    assert_eq!(
        deployment("processor")["metadata"]["labels"]["theirs"],
        "x",
        "what is not in the template stays"
    );

    // A port more: it is left there, is no reason to write for ever, and nothing is told that was not done.
    let told = || applied("added").into_iter().filter(|note| note.contains("Service m-metrics")).count();
    let before = told();
    let ports = json!([{"op": "add", "path": "/spec/ports/-", "value": {"name": "theirs", "port": 1}}]);
    let ports =
        ["patch", "service", "m-metrics", "--namespace=added", "--type=json", "-p", &ports.to_string()];
    admin().run(&ports, None).unwrap();
    let tried = || writes("added").iter().filter(|one| one.contains("services m-metrics")).count() > 1;
    wait::until("it to be looked at", SOON, tried).unwrap();
    let there = settle("added", "m");
    assert_eq!(told(), before);
    let written = writes("added").len();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(writes("added").len(), written, "it writes again and again");
    operator.end();

    let operator = setting.start();
    operator.wait_to_lead();
    let looked = || operator.metric("pricemonitor_operator_reconciles_total", &["result=\"ok\""]) > 0.0;
    wait::until("it to look at the monitor", SOON, looked).unwrap();
    assert_eq!(settle("added", "m"), there);
    let deployments: Vec<_> =
        writes("added").into_iter().skip(written).filter(|one| one.contains("deployments")).collect();
    assert_eq!(deployments, [""; 0], "an operator that starts anew wrote");
    operator.end();
}

/// Notes of the Events that say what was written.
fn applied(namespace: &str) -> Vec<String> {
    let all = admin().get(&["events.events.k8s.io", "--namespace", namespace]).unwrap();
    let applied = all["items"].as_array().unwrap().iter().filter(|one| one["reason"] == "Applied");
    applied.map(|one| one["note"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_is_not_wanted_any_more_goes_and_what_belongs_to_others_stays() {
    let setting = Setting::new("prune");
    give_secrets("prune");
    let operator = setting.start();
    let scaled = json!({"workers": {"dashboard": {"enabled": true}, "storage": {"replicas": 2},
                                    "processor": {"autoscaling": {"maxReplicas": 1}}}});
    admin().apply_all(&[monitor("prune", "m", &scaled)]).unwrap();
    settle("prune", "m");
    assert!(get("prune", "service", "m-dashboard").is_object());
    // Of somebody who uses our labels, with no owner.
    let labels =
        json!({"app.kubernetes.io/instance": "m", "app.kubernetes.io/managed-by": "pricemonitor-operator"});
    let foreign = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "foreign", "namespace": "prune", "labels": labels}});
    admin().apply_all(&[foreign]).unwrap();
    patch("prune", "pm", "m", &json!({"spec": {"workers": null}}));
    wait::until("the page and the budget to go", SOON, || {
        get("prune", "service", "m-dashboard").is_null()
            && get("prune", "deployment", "m-dashboard").is_null()
            && get("prune", "configmap", "m-dashboard").is_null()
            && get("prune", "pdb", "m-storage").is_null()
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", children("prune", "m")));
    assert!(get("prune", "configmap", "foreign").is_object());
    operator.end();
}

#[test]
fn suspended_workers_rest_and_a_paused_monitor_is_left_alone() {
    let setting = Setting::new("rest");
    give_secrets("rest");
    let operator = setting.start();
    let page = json!({"workers": {"dashboard": {"enabled": true}}});
    admin().apply_all(&[monitor("rest", "m", &page)]).unwrap();
    settle("rest", "m");
    let replicas = |role: &str| get("rest", "deployment", &format!("m-{role}"))["spec"]["replicas"].clone();
    patch("rest", "pm", "m", &json!({"spec": {"suspend": true}}));
    wait_for("rest", "m", "Ready", "Suspended");
    assert_eq!(
        (replicas("producer"), replicas("storage"), replicas("dashboard")),
        (json!(0), json!(0), json!(1))
    );
    patch("rest", "pm", "m", &json!({"metadata": {"annotations": {"pricemonitor.dev/paused": "true"}}}));
    wait_for("rest", "m", "Paused", "Annotation");
    patch("rest", "pm", "m", &json!({"spec": {"suspend": null}}));
    admin().run(&["delete", "service", "m-metrics", "--namespace=rest"], None).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(replicas("producer"), json!(0));
    assert!(get("rest", "service", "m-metrics").is_null());
    patch("rest", "pm", "m", &json!({"metadata": {"annotations": {"pricemonitor.dev/paused": null}}}));
    wait::until("it to go on", SOON, || {
        replicas("producer") == 1 && get("rest", "service", "m-metrics").is_object()
    })
    .unwrap();
    operator.end();
}

#[test]
fn the_number_of_autoscaled_pods_is_left_alone() {
    let setting = Setting::new("scaled");
    give_secrets("scaled");
    let operator = setting.start();
    let scaled = json!({"workers": {"processor": {"autoscaling": {"maxReplicas": 1}}}});
    let mut wanted = monitor("scaled", "m", &scaled);
    wanted["spec"]["kafka"]["partitions"] = json!(6);
    wanted["spec"]["workers"]["processor"]["autoscaling"]["maxReplicas"] = json!(6);
    admin().apply_all(&[wanted]).unwrap();
    settle("scaled", "m");
    admin().run(&["scale", "deployment", "m-processor", "--replicas=5", "--namespace=scaled"], None).unwrap();
    patch("scaled", "pm", "m", &json!({"spec": {"image": "pricemonitor:2"}}));
    wait::until("the image to change", SOON, || {
        get("scaled", "deployment", "m-processor")["spec"]["template"]["spec"]["containers"][0]["image"]
            == "pricemonitor:2"
    })
    .unwrap();
    let replicas = |role: &str| get("scaled", "deployment", &format!("m-{role}"))["spec"]["replicas"].clone();
    assert_eq!(replicas("processor"), 5);

    // An autoscaler begins with the pods that there are, and is woken with the fewest that it may have.
    patch("scaled", "pm", "m", &json!({"spec": {"workers": {"storage": {"replicas": 3}}}}));
    wait::until("three pods of storage", SOON, || replicas("storage") == 3).unwrap();
    let scaling = json!({"minReplicas": 2, "maxReplicas": 4});
    let storage = json!({"replicas": null, "autoscaling": scaling});
    patch("scaled", "pm", "m", &json!({"spec": {"workers": {"storage": storage}}}));
    wait::until("the autoscaler", SOON, || get("scaled", "hpa", "m-storage").is_object()).unwrap();
    settle("scaled", "m");
    assert_eq!(replicas("storage"), 3);
    patch("scaled", "pm", "m", &json!({"spec": {"suspend": true}}));
    wait::until("rest", SOON, || replicas("storage") == 0).unwrap();
    patch("scaled", "pm", "m", &json!({"spec": {"suspend": false}}));
    wait::until("it to wake", SOON, || replicas("storage") == 2).unwrap();
    settle("scaled", "m");
    assert_eq!(replicas("storage"), 2);
    operator.end();
}

#[test]
fn an_operator_with_a_newer_image_rolls_nothing() {
    let setting = Setting::new("upgrade");
    give_secrets("upgrade");
    let old = setting.start();
    admin().apply_all(&[monitor("upgrade", "m", &json!({}))]).unwrap();
    let there = settle("upgrade", "m");
    old.end();
    let new = Setting { image: "pricemonitor:2", ..setting }.start();
    wait_for("upgrade", "m", "UpgradeAvailable", "OlderImage");
    assert_eq!(settle("upgrade", "m"), there);
    admin().apply_all(&[monitor("upgrade", "n", &json!({}))]).unwrap();
    settle("upgrade", "n");
    let image = |name: &str| {
        get("upgrade", "deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!((image("m-alert"), image("n-alert")), (json!("pricemonitor:1"), json!("pricemonitor:2")));
    new.end();
}

/// Lets go what waits for its pods to go, as the garbage collector does: Deployments, and the Job that makes topics.
fn end_of_pods(namespace: &str) {
    for kind in ["deployment", "job"] {
        let all = admin().get(&[kind, "--namespace", namespace]).unwrap();
        for one in all["items"].as_array().unwrap() {
            if one["metadata"]["deletionTimestamp"].is_string() {
                let jobs = children(namespace, "m");
                assert!(
                    jobs.iter().all(|(name, _)| !name.starts_with("Job m-teardown")),
                    "pods go first: {jobs:?}"
                );
                let name = one["metadata"]["name"].as_str().unwrap();
                patch(namespace, kind, name, &json!({"metadata": {"finalizers": null}}));
            }
        }
    }
}

/// Says of the Job that deletes topics how it ended.
fn end_of_teardown(operator: &Operator, namespace: &str, kind: &str) {
    let job = wait::value("the Job that deletes topics", SOON, || {
        let there = children(namespace, "m");
        end_of_pods(namespace);
        let job = there.iter().find_map(|(name, _)| name.strip_prefix("Job m-teardown-").map(str::to_owned));
        job.map(|job| format!("m-teardown-{job}"))
    })
    .unwrap_or_else(|error| panic!("{error}: {}", operator.process.output().all()));
    assert!(
        children(namespace, "m")
            .iter()
            .all(|(name, _)| !name.starts_with("Deployment") && !name.starts_with("Job m-setup")),
        "workers go first, and what may still make topics"
    );
    let now = "2026-01-01T00:00:00Z";
    let before = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "reason": "Test", "lastTransitionTime": now});
    let mut status = json!({"startTime": now, "conditions": [condition(before), condition(kind)]});
    if kind == "Complete" {
        (status["completionTime"], status["succeeded"]) = (json!(now), json!(1));
    }
    let text = json!({ "status": status }).to_string();
    let patch =
        ["patch", "job", &job, "--namespace", namespace, "--subresource=status", "--type=merge", "-p", &text];
    admin().run(&patch, None).unwrap();
    wait::until("the monitor to go", SOON, || get(namespace, "pm", "m").is_null())
        .unwrap_or_else(|error| panic!("{error}: {:?}", get(namespace, "pm", "m")));
}

/// Reasons of the Events about the monitor.
fn reasons(namespace: &str) -> Vec<String> {
    let all = admin().get(&["events.events.k8s.io", "--namespace", namespace]).unwrap();
    all["items"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn topics_that_are_to_go_are_deleted_before_the_monitor_goes() {
    let setting = Setting::new("topics");
    give_secrets("topics");
    let operator = setting.start();
    let wanted = json!({"kafka": {"bootstrapServers": "kafka:9092", "deletionPolicy": "Delete"}});
    admin().apply_all(&[monitor("topics", "m", &wanted)]).unwrap();
    settle("topics", "m");
    assert_eq!(get("topics", "pm", "m")["metadata"]["finalizers"], json!(["pricemonitor.dev/topics"]));
    admin().run(&["delete", "pm", "m", "--namespace=topics", "--wait=false"], None).unwrap();
    end_of_teardown(&operator, "topics", "Complete");
    assert!(reasons("topics").contains(&"TopicsDeleted".to_owned()), "{:?}", reasons("topics"));
    operator.end();
}

#[test]
fn a_monitor_goes_also_when_its_topics_cannot_be_deleted() {
    let setting = Setting::new("stuck");
    give_secrets("stuck");
    let operator = setting.start();
    let wanted = json!({"kafka": {"bootstrapServers": "kafka:9092", "deletionPolicy": "Delete"}});
    admin().apply_all(&[monitor("stuck", "m", &wanted)]).unwrap();
    settle("stuck", "m");
    admin().run(&["delete", "pm", "m", "--namespace=stuck", "--wait=false"], None).unwrap();
    end_of_teardown(&operator, "stuck", "Failed");
    assert!(reasons("stuck").contains(&"TopicsLeft".to_owned()), "{:?}", reasons("stuck"));
    operator.end();
}

#[test]
fn a_list_of_namespaces_is_looked_after_and_no_other() {
    let spaces = ["several", "several-2", "several-3"];
    let space = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    admin().apply_all(&spaces.map(space)).unwrap();
    for name in spaces {
        give_secrets(name);
        admin().apply_all(&[monitor(name, "m", &json!({}))]).unwrap();
    }
    let setting = Setting { watch: vec!["several", "several-2"], ..Setting::new("several") };
    setting.prepare();
    // One is named twice.
    let operator = Setting { watch: vec!["several", "several-2", "several"], ..setting }.start();
    settle("several", "m");
    settle("several-2", "m");
    assert!(children("several-3", "m").is_empty());
    let asked = CLUSTER.requests_of("several", "operator").unwrap();
    let refused: Vec<_> = asked.iter().filter(|one| one.status == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(operator.metric("pricemonitor_operator_queue_depth", &[]), 0.0);
    operator.end();
}

#[test]
fn what_has_the_name_of_a_child_and_belongs_to_somebody_else_is_left_alone_and_told() {
    let setting = Setting::new("foreign");
    give_secrets("foreign");
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "m-producer", "namespace": "foreign"}, "data": {"monitor.yaml": "theirs"}});
    // Nothing in it is in the way of what the operator wants to set.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "m-workers", "namespace": "foreign", "annotations": {"theirs": "true"}}});
    admin().apply_all(&[theirs, account]).unwrap();
    let operator = setting.start();
    admin().apply_all(&[monitor("foreign", "m", &json!({}))]).unwrap();
    wait_for("foreign", "m", "Degraded", "ApplyFailed");
    assert!(get("foreign", "serviceaccount", "m-workers")["metadata"]["ownerReferences"].is_null());
    let (_, _, message) = condition("foreign", "m", "Ready");
    assert!(
        message.contains("the ConfigMap `m-producer` is there and does not belong to this monitor"),
        "{message}"
    );
    assert_eq!(get("foreign", "configmap", "m-producer")["data"]["monitor.yaml"], "theirs");
    assert!(get("foreign", "deployment", "m-storage").is_object(), "the others are made all the same");
    admin()
        .run(&["delete", "configmap/m-producer", "serviceaccount/m-workers", "-n", "foreign"], None)
        .unwrap();
    wait_for("foreign", "m", "Degraded", "AsExpected");
    operator.end();
}
