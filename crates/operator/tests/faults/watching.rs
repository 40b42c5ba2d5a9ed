//! What is watched: Secrets, and several namespaces.

use std::time::{Duration, Instant};

use super::{LONG, Replica, condition, first, monitor, secret, shop, small_shop, until};
use crate::request::{Asked, Fault};

fn reads(asked: &[Asked]) -> usize {
    asked.iter().filter(|one| one.verb == "get" && one.resource == "secrets").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_changes_during_the_first_look_is_read_again() {
    let fake = small_shop();
    let hash = || {
        let storage = fake.get("apps", "deployments", "shop", "m0-storage").unwrap_or_default();
        storage["spec"]["template"]["metadata"]["annotations"]["pricemonitor.dev/references-hash"].clone()
    };
    let before = Replica::start(&fake, 0).await;
    until("it to be as expected", LONG, || condition(&fake, "m0", "Degraded").1 == "AsExpected").await;
    before.end().await;
    let first_hash = hash();
    // An operator that starts anew has nothing to write, and so nothing that would have it look again.
    let late = Fault::Late(Duration::from_secs(2));
    fake.go_wrong(first(1, late, |asked| asked.verb == "get" && asked.resource == "secrets"));
    let known = reads(&fake.asked());
    let replica = Replica::start(&fake, 1).await;
    until("the Secret to be read", LONG, || reads(&fake.asked()) > known).await;
    // The answer with the old value is under way.
    fake.put("", "secrets", "shop", "prices-app", Some(secret("bmV3")));
    until("the new value to be taken up", Duration::from_secs(10), || hash() != first_hash).await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_missing_is_waited_for_and_not_asked_for_again_and_again() {
    let fake = small_shop();
    fake.put("", "secrets", "shop", "prices-app", None);
    let replica = Replica::start(&fake, 0).await;
    until("it to be missed", LONG, || condition(&fake, "m0", "Degraded").1 == "MissingReference").await;
    assert_eq!(super::at_rest(&fake, Duration::from_secs(12)).await, 0);
    fake.put("", "secrets", "shop", "prices-app", Some(secret("eA==")));
    until("it to be taken up", Duration::from_secs(5), || {
        condition(&fake, "m0", "Degraded").1 == "AsExpected"
    })
    .await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_named_twice_is_looked_after_once_and_all_share_their_places() {
    const SLOW: Duration = Duration::from_millis(600);
    let fake = shop();
    for (namespace, number) in [("shop", 1), ("shop-2", 2), ("shop-3", 3)]
        .into_iter()
        .flat_map(|one| (0..8).map(move |n| (one.0, n)))
    {
        let mut one = monitor(number);
        one["metadata"]["namespace"] = serde_json::json!(namespace);
        fake.put("", "secrets", namespace, "prices-app", Some(secret("eA==")));
        fake.put("pricemonitor.dev", "pricemonitors", namespace, &format!("m{number}"), Some(one));
    }
    let is_read = |asked: &Asked| asked.verb == "get" && asked.resource == "secrets";
    fake.go_wrong(move |asked| if is_read(asked) { Fault::Slow(SLOW) } else { Fault::None });
    let replica = Replica::start_in(&fake, 0, &["shop", "shop-2", "shop", "shop-3"]).await;
    until("all to be looked at", LONG, || reads(&fake.asked()) >= 24).await;
    let asked = fake.asked();
    let lists = asked
        .iter()
        .filter(|one| one.verb == "list" && one.resource == "deployments" && one.namespace == "shop");
    assert_eq!(lists.count(), 1);
    let read: Vec<Instant> = asked.iter().filter(|one| is_read(one)).map(|one| one.at).collect();
    for (first, ninth) in read.iter().zip(read.iter().skip(8)) {
        assert!(*ninth - *first >= SLOW / 2, "more than eight at once");
    }
    replica.end().await;
}
