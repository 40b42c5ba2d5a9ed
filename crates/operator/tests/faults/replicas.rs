//! A replica that ends, or leads no more.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{LONG, MONITORS, Replica, converge, monitor, shop, until};
use crate::fake::Fake;
use crate::request::Fault;

fn holder(fake: &Fake) -> serde_json::Value {
    fake.get("coordination.k8s.io", "leases", "system", "lease").unwrap_or_default()["spec"]["holderIdentity"]
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_told_to_stop_amid_its_work_begins_no_other_write() {
    let fake = shop();
    for number in MONITORS..100 {
        fake.put("pricemonitor.dev", "pricemonitors", "shop", &format!("m{number}"), Some(monitor(number)));
    }
    // A look takes some 6 s.
    fake.go_wrong(|asked| match asked.resource.as_str() {
        "leases" => Fault::None,
        _ if asked.writes() => Fault::Slow(Duration::from_millis(400)),
        _ => Fault::None,
    });
    let replica = Replica::start(&fake, 0).await;
    until("it to be at work", LONG, || fake.names("configmaps").len() > 8).await;
    let began = Instant::now();
    replica.stop.cancel();
    until("the Lease to be given up", Duration::from_secs(3), || holder(&fake).is_null()).await;
    let took = began.elapsed();
    println!("given up after {took:?}");
    assert!(took < Duration::from_millis(1_800), "{took:?}");
    replica.end().await;
    let late = fake.asked().into_iter().filter(|one| {
        one.at > began + Duration::from_millis(100)
            && one.writes()
            && !["leases", "events"].contains(&&*one.resource)
    });
    assert_eq!(late.map(|one| one.name).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(*fake.trespasses.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_leads_no_more_tells_of_no_monitor() {
    let fake = shop();
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    let well = || replica.metric("monitors", &["condition=\"Degraded\"", "status=\"False\""]);
    let end = Instant::now() + LONG;
    while well().await != Some(MONITORS as f64) {
        assert!(Instant::now() < end, "the metric does not follow: {:?}", well().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Somebody took the Lease.
    let mut lease = fake.get("coordination.k8s.io", "leases", "system", "lease").unwrap();
    lease["spec"]["holderIdentity"] = json!("another");
    fake.put("coordination.k8s.io", "leases", "system", "lease", Some(lease));
    let end = Instant::now() + LONG;
    while well().await.is_some() {
        assert!(Instant::now() < end, "monitors of yesterday");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(replica.metric("queue_depth", &[]).await, Some(0.0));
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_that_goes_while_it_is_looked_at_is_not_counted() {
    let fake = shop();
    let late = Fault::Late(Duration::from_secs(2));
    fake.go_wrong(move |asked| {
        if asked.resource == "pricemonitors/status" && asked.name == "m0" { late } else { Fault::None }
    });
    let replica = Replica::start(&fake, 0).await;
    until("its status to be written", LONG, || {
        fake.asked().iter().any(|one| one.resource == "pricemonitors/status" && one.name == "m0")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fake.put("pricemonitor.dev", "pricemonitors", "shop", "m0", None);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let counted = replica.metric("monitors", &["condition=\"Ready\"", "status=\"False\""]).await;
    assert_eq!(counted, Some((MONITORS - 1) as f64));
    replica.end().await;
}
