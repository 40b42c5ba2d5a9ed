//! The operator against an API that is played and misbehaves: everything comes right, nothing spins, and of several
//! replicas one writes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod fake;
mod lasting;
mod replicas;
mod request;
mod watching;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::Config;
use pricemonitor_operator::election::Election;
use pricemonitor_operator::http;
use pricemonitor_operator::operator::Operator;
use pricemonitor_operator::reconcile::Settings;
use pricemonitor_testkit::rng::Rng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use fake::Fake;
use request::{Asked, Fault};

/// Monitors of each test.
const MONITORS: usize = 5;
/// Deployments of each: producer, processor, storage and alert.
const WORKERS: usize = 4;
const LONG: Duration = Duration::from_secs(30);

struct Replica {
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Where its metrics are.
    port: u16,
}

impl Replica {
    async fn start(fake: &Fake, door: usize) -> Replica {
        Replica::start_in(fake, door, &[]).await
    }

    async fn start_in(fake: &Fake, door: usize, namespaces: &[&str]) -> Replica {
        let listener = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut config = Config::new(fake.door(door).await.parse().unwrap());
        config.default_retry = false;
        let operator = Operator {
            config,
            settings: Settings { worker_image: "pricemonitor:1".to_owned(), ..Settings::default() },
            namespaces: namespaces.iter().map(|one| (*one).to_owned()).collect(),
            election: Election {
                namespace: "system".to_owned(),
                name: "lease".to_owned(),
                me: format!("replica-{door}"),
            },
            listener,
        };
        let stop = CancellationToken::new();
        let told = stop.clone();
        let task = tokio::spawn(async move { operator.run(told).await.unwrap() });
        Replica { stop, task, port }
    }

    /// A metric; none when it has no such.
    async fn metric(&self, name: &str, labels: &'static [&'static str]) -> Option<f64> {
        let (port, name) = (self.port, format!("pricemonitor_operator_{name}"));
        let text = tokio::task::spawn_blocking(move || pricemonitor_testkit::http::get(port, "/metrics"));
        pricemonitor_testkit::http::metric(&text.await.unwrap().unwrap().body, &name, labels)
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it ends").unwrap();
    }
}

fn monitor(number: usize) -> Value {
    json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
        "metadata": {"name": format!("m{number}"), "namespace": "shop"},
        "spec": {"sources": [{"name": "shop", "simulator": {"seed": 1}}],
                 "rules": [{"name": "ten", "drop": {"percent": 10}}],
                 "kafka": {"bootstrapServers": "kafka:9092"},
                 "storage": {"postgres": {"secretRef": {"name": "prices-app"}}}}})
}

/// The Secret that monitors read.
fn secret(password: &str) -> Value {
    let data = json!({"host": "eA==", "dbname": "eA==", "user": "eA==", "password": password});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": data})
}

/// An API with monitors and the Secret that they read.
fn shop() -> Fake {
    let fake = Fake::new();
    fake.put("", "secrets", "shop", "prices-app", Some(secret("eA==")));
    for number in 0..MONITORS {
        fake.put("pricemonitor.dev", "pricemonitors", "shop", &format!("m{number}"), Some(monitor(number)));
    }
    fake
}

/// The same with one monitor.
fn small_shop() -> Fake {
    let fake = shop();
    (1..MONITORS).for_each(|number| {
        fake.put("pricemonitor.dev", "pricemonitors", "shop", &format!("m{number}"), None)
    });
    fake
}

/// A condition of a monitor: status, reason and message.
fn condition(fake: &Fake, monitor: &str, kind: &str) -> (String, String, String) {
    let monitor = fake.get("pricemonitor.dev", "pricemonitors", "shop", monitor).unwrap_or_default();
    let all = monitor["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let one = all.into_iter().find(|one| one["type"] == kind).unwrap_or_default();
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// Events: reasons and notes.
fn events(fake: &Fake) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    fake.all("events").iter().map(|event| (text(&event["reason"]), text(&event["note"]))).collect()
}

async fn until(what: &str, within: Duration, is_so: impl Fn() -> bool) {
    let end = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_converged(fake: &Fake) -> bool {
    let told = |number: usize| {
        let one = fake.get("pricemonitor.dev", "pricemonitors", "shop", &format!("m{number}")).unwrap();
        one["status"]["observedGeneration"] == one["metadata"]["generation"]
    };
    fake.names("deployments").len() == MONITORS * WORKERS && (0..MONITORS).all(told)
}

async fn converge(fake: &Fake) {
    let end = Instant::now() + LONG;
    while !is_converged(fake) {
        if Instant::now() > end {
            let mut counts = BTreeMap::new();
            let asked = fake.asked();
            asked.iter().for_each(|one| *counts.entry((one.verb, one.resource.clone())).or_insert(0) += 1);
            panic!(
                "not everything came right: {counts:#?}\n{:?}",
                fake.get("pricemonitor.dev", "pricemonitors", "shop", "m0")
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How much is asked in a time when nothing happens, but for the Lease.
async fn at_rest(fake: &Fake, time: Duration) -> usize {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let count = || fake.asked().iter().filter(|one| one.resource != "leases").count();
    let before = count();
    tokio::time::sleep(time).await;
    count() - before
}

/// Puts a worker's Deployment out of order, and waits until it is right again.
async fn heal(fake: &Fake) {
    fake.put("apps", "deployments", "shop", "m0-storage", None);
    until("a deleted worker to come back", LONG, || {
        fake.get("apps", "deployments", "shop", "m0-storage").is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_api_that_is_well_every_child_is_written_once() {
    let fake = shop();
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    heal(&fake).await;
    assert_eq!(at_rest(&fake, Duration::from_secs(3)).await, 0, "nothing has changed");
    let asked = fake.asked();
    let of = |verb: &str, resource: &str| {
        asked.iter().filter(|one| one.verb == verb && one.resource == resource).count()
    };
    assert_eq!(of("apply", "deployments"), MONITORS * WORKERS + 1);
    // Before it is made each one is looked for: somebody else may have one of that name.
    assert_eq!(of("get", "deployments"), MONITORS * WORKERS + 1, "what was written is known");
    assert_eq!(of("list", "deployments"), 1);
    replica.end().await;
}

/// Fails the first `times` requests that `wanted` says, in one way.
fn first(
    times: usize,
    fault: Fault,
    wanted: impl Fn(&Asked) -> bool + Send + Sync,
) -> impl Fn(&Asked) -> Fault {
    let left = AtomicUsize::new(times);
    move |asked| {
        let take = |left: usize| left.checked_sub(1);
        if wanted(asked) && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            fault
        } else {
            Fault::None
        }
    }
}

fn writes_children(asked: &Asked) -> bool {
    asked.writes() && asked.resource != "leases"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_too_many_requests_and_failures_pass_and_nothing_spins() {
    for code in [409, 429, 500, 503] {
        let fake = shop();
        fake.go_wrong(first(3 * MONITORS, Fault::Status(code), writes_children));
        let replica = Replica::start(&fake, 0).await;
        converge(&fake).await;
        let asked = fake.asked().iter().filter(|one| writes_children(one)).count();
        // A child at a time is tried again, after a back-off: what was written stays written.
        assert!(asked < MONITORS * 40, "{code}: {asked}");
        replica.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_fails_for_a_while_is_asked_less_and_less() {
    let fake = shop();
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    fake.go_wrong(|asked| if writes_children(asked) { Fault::Status(500) } else { Fault::None });
    let before = fake.asked().len();
    for number in 0..MONITORS {
        fake.put("apps", "deployments", "shop", &format!("m{number}-storage"), None);
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked: Vec<Asked> = fake.asked().into_iter().skip(before).filter(|one| one.verb == "apply").collect();
    // That it fails is told, too, from the second time on.
    let told = asked.iter().filter(|one| one.resource == "pricemonitors/status").count();
    let tried = asked.len() - told;
    // Within 10 s: at once, and after 1, 2 and 4 s.
    assert!((MONITORS * 2..=MONITORS * 5).contains(&tried), "{tried}");
    assert!((MONITORS..=MONITORS * 4).contains(&told), "{told}");
    fake.go_well();
    converge(&fake).await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_break_off_or_are_too_old_lose_nothing() {
    let fake = shop();
    let turn = AtomicUsize::new(0);
    fake.go_wrong(move |asked| match asked.verb {
        "watch" if turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) => Fault::Gone,
        "watch" => Fault::EndOfWatch(Duration::from_millis(300)),
        _ => Fault::None,
    });
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    for _ in 0..5 {
        heal(&fake).await;
    }
    // What is listed anew and has not changed is not written anew.
    let applied =
        fake.asked().iter().filter(|one| one.verb == "apply" && one.resource == "deployments").count();
    assert_eq!(applied, MONITORS * WORKERS + 5);
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_lost_answers_only_delay() {
    let fake = shop();
    let rng = Mutex::new(Rng::new(7));
    fake.go_wrong(move |asked| match rng.lock().unwrap().between(0, 20) {
        _ if asked.resource == "leases" || asked.verb == "watch" => Fault::None,
        0 if asked.writes() => Fault::LostAnswer,
        1..5 => Fault::Slow(Duration::from_millis(500)),
        _ => Fault::None,
    });
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    fake.go_well();
    heal(&fake).await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_gives_the_lease_up_and_finishes_what_it_does() {
    let fake = shop();
    let replica = Replica::start(&fake, 0).await;
    converge(&fake).await;
    replica.end().await;
    let lease = fake.get("coordination.k8s.io", "leases", "system", "lease").unwrap();
    assert!(lease["spec"]["holderIdentity"].is_null(), "{lease}");
}

/// Requests for the Lease fail in every way while workers are put out of order all the time; each write of anything
/// else is judged by who holds the Lease at that moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_do_two_replicas_write() {
    let fake = shop();
    let replicas = [Replica::start(&fake, 0).await, Replica::start(&fake, 1).await];
    converge(&fake).await;
    let rng = Mutex::new(Rng::new(11));
    // For some seconds one replica after the other is cut off from its Lease, in one way or another.
    let began = Instant::now();
    fake.go_wrong(move |asked| {
        if asked.resource != "leases" {
            return Fault::None;
        }
        let cut_off = (began.elapsed().as_secs() / 25) % 2 == asked.door as u64;
        match rng.lock().unwrap().between(0, 10) {
            0 => Fault::Status(409),
            1 => Fault::Status(500),
            _ if !cut_off => Fault::None,
            2 if asked.writes() => Fault::LostAnswer,
            3 => Fault::Slow(Duration::from_secs(5)),
            _ => Fault::Hang,
        }
    });
    let mut holders = Vec::new();
    while began.elapsed() < Duration::from_secs(75) {
        fake.put("apps", "deployments", "shop", "m1-alert", None);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let lease = fake.get("coordination.k8s.io", "leases", "system", "lease").unwrap();
        holders.push(lease["spec"]["holderIdentity"].clone());
    }
    holders.dedup();
    println!("holders: {holders:?}");
    assert!(holders.len() > 2, "the Lease never changed hands: {holders:?}");
    assert_eq!(*fake.trespasses.lock().unwrap(), Vec::<String>::new());
    fake.go_well();
    converge(&fake).await;
    for replica in replicas {
        replica.end().await;
    }
}
