//! Of several replicas one writes.

use std::time::{Duration, Instant};

use pricemonitor_testkit::wait;
use serde_json::json;

use crate::support::{CLUSTER, Operator, SOON, Setting, admin, get, give_secrets, monitor, settle};

/// Two replicas with an account each, so that the API's book tells them apart. The first leads.
fn two(namespace: &'static str) -> (Operator, Operator) {
    give_namespace(namespace);
    let start = |account| {
        let setting = Setting {
            cluster: &CLUSTER,
            namespace,
            account,
            watch: vec![namespace],
            image: "pricemonitor:1",
        };
        setting.prepare();
        setting.start()
    };
    let first = start("one");
    first.wait_to_lead();
    let second = start("two");
    assert!(!second.leads());
    (first, second)
}

fn give_namespace(namespace: &str) {
    admin()
        .apply_all(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})])
        .unwrap();
    give_secrets(namespace);
}

fn until_leads(operator: &Operator, within: Duration) -> Duration {
    let since = Instant::now();
    wait::until("the other to lead", within, || operator.leads())
        .unwrap_or_else(|error| panic!("{error}: {}", operator.process.output().all()));
    since.elapsed()
}

/// Writes of a replica but for those to the Lease.
fn writes(namespace: &str, account: &str) -> usize {
    let asked = CLUSTER.requests_of(namespace, account).unwrap();
    asked
        .iter()
        .filter(|one| !matches!(&*one.verb, "get" | "list" | "watch") && one.resource != "leases")
        .count()
}

#[test]
fn another_replica_follows_at_once_when_the_leader_is_told_to_stop() {
    let (first, second) = two("handover");
    admin().apply_all(&[monitor("handover", "m", &json!({}))]).unwrap();
    settle("handover", "m");
    assert_eq!(writes("handover", "two"), 0, "who stands by writes nothing");
    let since = Instant::now();
    first.end();
    until_leads(&second, Duration::from_secs(3));
    let took = since.elapsed();
    println!("handed over {took:?} after SIGTERM");
    assert!(took <= Duration::from_secs(3), "{took:?}");
    admin().apply_all(&[monitor("handover", "n", &json!({}))]).unwrap();
    settle("handover", "n");
    second.end();
}

#[test]
fn another_replica_follows_at_once_also_amid_the_work() {
    let (first, second) = two("amid");
    let many: Vec<_> = (0..100).map(|number| monitor("amid", &format!("m{number}"), &json!({}))).collect();
    admin().apply_all(&many).unwrap();
    wait::until("it to be at work", SOON, || writes("amid", "one") > 50).unwrap();
    let since = Instant::now();
    first.end();
    until_leads(&second, Duration::from_secs(3));
    let took = since.elapsed();
    println!("handed over {took:?} after SIGTERM");
    assert!(took <= Duration::from_secs(3), "{took:?}");
    let left = admin().get(&["pm", "--namespace=amid"]).unwrap();
    let left = left["items"].as_array().unwrap().iter().filter(|one| one["status"].is_null()).count();
    assert!(left > 0, "it had nothing to do any more");
    second.end();
}

#[test]
fn another_replica_follows_when_the_leader_is_killed() {
    let (first, second) = two("killed");
    first.process.kill9().unwrap();
    let took = until_leads(&second, Duration::from_secs(20));
    println!("taken over {took:?} after kill -9");
    second.end();
}

#[test]
fn a_leader_that_stood_still_writes_nothing_after_another_one_has_followed() {
    let (first, second) = two("paused");
    admin().apply_all(&[monitor("paused", "m", &json!({}))]).unwrap();
    settle("paused", "m");
    first.process.pause().unwrap();
    until_leads(&second, Duration::from_secs(30));
    // Work for whoever believes to lead.
    admin().run(&["delete", "service", "m-metrics", "--namespace=paused"], None).unwrap();
    wait::until("the new leader to heal", SOON, || get("paused", "service", "m-metrics").is_object())
        .unwrap();
    let before = writes("paused", "one");
    admin().run(&["delete", "deployment", "m-alert", "--namespace=paused"], None).unwrap();
    first.process.resume().unwrap();
    wait::until("the new leader to heal again", SOON, || get("paused", "deployment", "m-alert").is_object())
        .unwrap();
    std::thread::sleep(Duration::from_secs(5));
    assert!(!first.leads() && second.leads());
    assert_eq!(writes("paused", "one"), before, "a leader of yesterday wrote");
    first.end();
    second.end();
}
