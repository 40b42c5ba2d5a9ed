//! What fails for one object, or for long: it is told, and the rest is done.

use std::time::{Duration, Instant};

use super::{LONG, Replica, condition, converge, events, first, shop, small_shop, until, writes_children};
use crate::request::{Asked, Fault, REST};

fn is(asked: &Asked, verb: &str, resource: &str) -> bool {
    asked.verb == verb && asked.resource == resource
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_never_taken_is_told_and_the_others_are_written() {
    let fake = small_shop();
    fake.go_wrong(|asked| match asked.name.as_str() {
        "m0-producer" if is(asked, "apply", "deployments") => Fault::Status(500),
        _ => Fault::None,
    });
    let replica = Replica::start(&fake, 0).await;
    let told = || condition(&fake, "m0", "Degraded").1 == "ApplyFailed";
    until("the status to tell", LONG, told).await;
    let (status, reason, message) = condition(&fake, "m0", "Ready");
    assert_eq!((&*status, &*reason), ("False", "ApplyFailed"));
    assert_eq!(message, "cannot apply Deployment `m0-producer`: the fake says 500");
    let monitor = fake.get("pricemonitor.dev", "pricemonitors", "shop", "m0").unwrap();
    assert_eq!(monitor["status"]["observedGeneration"], monitor["metadata"]["generation"]);
    assert_eq!(fake.names("deployments"), ["m0-alert", "m0-processor", "m0-storage"]);
    let is_told =
        |reason: &str, text: &str| events(&fake).iter().any(|one| one.0 == reason && one.1.contains(text));
    until("Events of what was done and what was not", LONG, || {
        is_told("Applied", "Deployment m0-storage") && is_told("ApplyFailed", "m0-producer")
    })
    .await;
    let tried = || fake.asked().iter().filter(|one| is(one, "apply", "deployments")).count();
    let before = tried();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(tried() <= before + 3, "it spins");
    fake.go_well();
    until("it to be well", 2 * LONG, || condition(&fake, "m0", "Degraded").1 == "AsExpected").await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_must_not_or_cannot_be_read_is_told_and_rolls_nothing() {
    for code in [403, 500] {
        let fake = small_shop();
        let replica = Replica::start(&fake, 0).await;
        until("it to be provisioned", LONG, || fake.names("deployments").len() == 4).await;
        let before = fake.get("apps", "deployments", "shop", "m0-storage").unwrap();
        fake.go_wrong(
            move |asked| if is(asked, "get", "secrets") { Fault::Status(code) } else { Fault::None },
        );
        // Something to do for another worker.
        fake.put("apps", "deployments", "shop", "m0-producer", None);
        until("the status to tell", LONG, || condition(&fake, "m0", "Degraded").1 == "ReadFailed").await;
        let (_, _, message) = condition(&fake, "m0", "Ready");
        assert_eq!(message, format!("cannot get Secret `prices-app`: the fake says {code}"));
        assert!(fake.get("apps", "deployments", "shop", "m0-producer").is_some(), "the rest is done");
        assert_eq!(fake.get("apps", "deployments", "shop", "m0-storage").unwrap(), before);
        fake.go_well();
        until("it to be well", 2 * LONG, || condition(&fake, "m0", "Degraded").1 == "AsExpected").await;
        assert_eq!(fake.get("apps", "deployments", "shop", "m0-storage").unwrap(), before);
        replica.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_does_not_answer_is_not_asked_for_each_child() {
    let fake = small_shop();
    fake.go_wrong(|asked| if writes_children(asked) { Fault::Hang } else { Fault::None });
    let replica = Replica::start(&fake, 0).await;
    let tried = || fake.asked().iter().filter(|one| writes_children(one)).count();
    until("it to try", LONG, || tried() > 0).await;
    // At once, for 4 s; and a second later again, when the status is tried as well.
    tokio::time::sleep(Duration::from_millis(8_500)).await;
    assert_eq!(tried(), 2);
    fake.go_well();
    until("everything to come right", LONG, || fake.names("deployments").len() == 4).await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_that_passes_is_nobody_elses_object() {
    let fake = shop();
    fake.go_wrong(first(5, Fault::Status(409), |asked| is(asked, "apply", "deployments")));
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    until("all to be as expected", LONG, || {
        (0..super::MONITORS)
            .all(|number| condition(&fake, &format!("m{number}"), "Degraded").1 == "AsExpected")
    })
    .await;
    let foreign: Vec<_> = events(&fake).into_iter().filter(|(reason, _)| reason == "ApplyFailed").collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_wants_to_rest_is_left_alone_for_so_long() {
    for (code, verb, resource) in [
        (429, "apply", "services"),
        (503, "apply", "deployments"),
        (429, "get", "secrets"),
        (429, "apply", "pricemonitors/status"),
    ] {
        let fake = small_shop();
        fake.go_wrong(first(2, Fault::Status(code), move |asked| is(asked, verb, resource)));
        let replica = Replica::start(&fake, 0).await;
        until("everything to come right", LONG, || {
            condition(&fake, "m0", "Degraded").1 == "AsExpected" && !events(&fake).is_empty()
        })
        .await;
        let asked = fake.asked();
        let of_monitor =
            |one: &&Asked| one.resource != "leases" && !matches!(one.verb, "list" | "watch" | "discover");
        let asked: Vec<&Asked> = asked.iter().filter(of_monitor).collect();
        let refused: Vec<Instant> =
            asked.iter().filter(|one| is(one, verb, resource)).take(2).map(|one| one.at).collect();
        for refusal in refused {
            let early: Vec<_> =
                asked.iter().filter(|one| one.at > refusal && one.at < refusal + REST).collect();
            assert!(early.is_empty(), "{code} {verb} {resource}: {early:?}");
        }
        replica.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_lists_that_fail_once_are_made_again() {
    for (code, verb) in
        [(429, "list"), (500, "list"), (429, "get"), (500, "get"), (500, "watch"), (500, "discover")]
    {
        let fake = shop();
        fake.go_wrong(first(3, Fault::Status(code), move |asked| {
            asked.verb == verb && asked.resource != "leases"
        }));
        let replica = Replica::start(&fake, 0).await;
        converge(&fake).await;
        replica.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_effect_is_told_once_in_an_event_and_stays_in_the_status() {
    let fake = small_shop();
    let mut monitor = super::monitor(0);
    monitor["spec"]["storage"] = serde_json::json!({"csv": {"path": "prices.csv"}});
    monitor["spec"]["channels"] = serde_json::json!([{"name": "people", "discord": {}}]);
    fake.put("pricemonitor.dev", "pricemonitors", "shop", "m0", Some(monitor));
    let told =
        || events(&fake).into_iter().filter(|(reason, _)| reason == "WithoutEffect").collect::<Vec<_>>();
    for door in 0..2 {
        let replica = Replica::start(&fake, door).await;
        until("it to be told", LONG, || !told().is_empty()).await;
        let (status, reason, message) = condition(&fake, "m0", "Degraded");
        assert_eq!((&*status, &*reason), ("False", "AsExpected"));
        assert!(message.contains("spec.channels: are told nothing"), "{message}");
        until("it to be looked at", LONG, || {
            fake.asked()
                .iter()
                .any(|one| one.door == door && one.verb == "watch" && one.resource == "pricemonitors")
        })
        .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        replica.end().await;
    }
    assert_eq!(told().len(), 1, "{:?}", told());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_object_that_cannot_be_read_stops_no_other() {
    let fake = shop();
    let mut odd = super::monitor(9);
    odd["spec"] = serde_json::json!({"sources": 7});
    odd["status"] = serde_json::json!("odd");
    fake.put("pricemonitor.dev", "pricemonitors", "shop", "a-first", Some(odd.clone()));
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    until("it to be told", LONG, || condition(&fake, "a-first", "Ready").1 == "InvalidSpec").await;
    // Also one that comes while everything runs.
    fake.put("pricemonitor.dev", "pricemonitors", "shop", "z-last", Some(odd));
    until("it to be told", LONG, || condition(&fake, "z-last", "Ready").1 == "InvalidSpec").await;
    super::heal(&fake).await;
    replica.end().await;
}
