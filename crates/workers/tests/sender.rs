//! What a sender does when its process dies, its data is damaged or its clock was wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pricemonitor_config::{ChannelKind, ChannelSettings, Secrets, WebhookUrl};
use pricemonitor_model::{Alert, AlertId, Incarnation, MonitorId, Time};
use pricemonitor_notify::{Channel, LONGEST_PAUSE, Outcome, Pacer, Sent, build, sample_alert};
use pricemonitor_store::Database;
use pricemonitor_store::query::{DeliveryState, Filter};
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_workers::alert::{Sender, Wake};
use pricemonitor_workers::{Health, Metrics, MonitorMetrics, now};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Takes two alerts a message; hangs or answers.
#[derive(Clone, Default)]
struct Hook {
    hangs: bool,
    patience: Duration,
    messages: Arc<Mutex<Vec<Vec<String>>>>,
    /// Where another sender writes down, while a message is sent, that it has told the alerts `2` and `3`.
    other: Option<Database>,
}

#[async_trait::async_trait]
impl Channel for Hook {
    fn name(&self) -> &str {
        "hook"
    }
    fn patience(&self) -> Duration {
        self.patience
    }

    fn fits(&self, alerts: &[Alert<'static>]) -> usize {
        alerts.len().min(2)
    }
    async fn send(&self, alerts: &[Alert<'static>], _: Time) -> Sent {
        let ids = alerts.iter().map(|alert| alert.id.as_str().to_owned()).collect();
        self.messages.lock().unwrap().push(ids);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if let Some(database) = &self.other {
            let told = numbers(database, &["2", "3"]).await;
            database.attempting("hook", &told, now()).await.unwrap();
            database.delivered("hook", &told, None, &[], now()).await.unwrap();
        }
        let outcome = Outcome::Delivered { message_id: None };
        Sent { taken: alerts.len(), outcome, pause: None, pause_all: false }
    }
    fn preview(&self, _: &[Alert<'static>]) -> String {
        String::new()
    }
}

/// By which the outbox knows those of the alerts that are still due.
async fn numbers(database: &Database, ids: &[&str]) -> Vec<i64> {
    let due = database.due(&MonitorId::new(None, "m"), "hook", now(), 100).await.unwrap();
    let wanted = due.pending.into_iter().filter(|one| ids.contains(&one.alert.id.as_str()));
    wanted.map(|one| one.number).collect()
}

struct Bench {
    folder: tempfile::TempDir,
    database: Database,
    health: Health,
    metrics: MonitorMetrics,
}

impl Bench {
    /// An outbox with the alerts `0`, `1` ... for the channel.
    async fn new(alerts: usize) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&folder.path().join("prices.sqlite")).await.unwrap();
        let id = MonitorId::new(None, "m");
        database.register(&id, Duration::from_secs(86_400), now()).await.unwrap();
        let mut claim = database.claim(&id, "alerts", 0).await.unwrap();
        let alert = |n: usize| {
            let alert = Alert { id: AlertId::stored(&n.to_string()), ..sample_alert(&id, now()) };
            (alert, vec!["hook".to_owned()])
        };
        let all: Vec<_> = (0..alerts).map(alert).collect();
        database.accept_alerts(&mut claim, Incarnation(1), 0, &all, 9, now()).await.unwrap();
        let metrics = Metrics::new().unwrap().monitor("default.m");
        Bench { folder, database, health: Health::new(), metrics }
    }

    /// One more alert comes into the outbox.
    async fn add(&self, id: &str) {
        let monitor = MonitorId::new(None, "m");
        let mut claim = self.database.claim(&monitor, "alerts", 0).await.unwrap();
        let alert = Alert { id: AlertId::stored(id), ..sample_alert(&monitor, now()) };
        let one = [(alert, vec!["hook".to_owned()])];
        self.database.accept_alerts(&mut claim, Incarnation(1), 0, &one, 99, now()).await.unwrap();
    }

    fn damage(&self, sql: &str) {
        let file = rusqlite::Connection::open(self.folder.path().join("prices.sqlite")).unwrap();
        file.execute(sql, []).unwrap();
    }

    fn start(&self, hook: &Hook) -> JoinHandle<()> {
        self.start_with(Box::new(hook.clone()))
    }

    fn start_with(&self, channel: Box<dyn Channel>) -> JoinHandle<()> {
        self.start_by(now, channel)
    }

    fn start_by(&self, clock: fn() -> Time, channel: Box<dyn Channel>) -> JoinHandle<()> {
        let sender = Sender {
            monitor: MonitorId::new(None, "m"),
            instance: "one".to_owned(),
            channel,
            max_age: 3_600_000,
            database: self.database.clone(),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            clock,
        };
        tokio::spawn(sender.run(Wake::default(), CancellationToken::new()))
    }

    /// What became of the alerts, the first one first.
    async fn deliveries(&self) -> Vec<DeliveryState> {
        let rows = self.database.alerts(&Filter::default(), 100, None).await.unwrap();
        rows.into_iter().rev().map(|row| row.deliveries[0].clone()).collect()
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..3_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_sender_has_told_meanwhile_is_not_told_again() {
    let bench = Bench::new(5).await;
    let hook = Hook { other: Some(bench.database.clone()), ..Hook::default() };
    let sending = bench.start(&hook);
    until("all is told", async || bench.deliveries().await.iter().all(|one| one.state == "ok")).await;
    assert_eq!(*hook.messages.lock().unwrap(), [vec!["0", "1"], vec!["4"]]);
    sending.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_leaps_ahead_makes_no_alert_too_old() {
    static AHEAD: AtomicI64 = AtomicI64::new(0);
    let bench = Bench::new(1).await;
    let hook = Hook::default();
    let sending = bench.start_by(|| now().plus(AHEAD.load(Ordering::Relaxed)), Box::new(hook.clone()));
    until("the first one is told", async || bench.deliveries().await[0].state == "ok").await;
    // Twice as long as an alert may wait.
    AHEAD.store(7_200_000, Ordering::Relaxed);
    bench.add("1").await;
    let doubts = || bench.health.notices().iter().any(|notice| notice.text.contains("the clock leapt ahead"));
    until("the clock is doubted", async || doubts()).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(bench.deliveries().await[1].state, "pending");
    AHEAD.store(0, Ordering::Relaxed);
    until("the second one is told", async || bench.deliveries().await[1].state == "ok").await;
    assert_eq!(*hook.messages.lock().unwrap(), [["0"], ["1"]]);
    assert!(!doubts());
    sending.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_has_the_channel_while_a_message_may_still_be_answered() {
    let bench = Bench::new(1).await;
    let patience = Duration::from_secs(60);
    let hook = Hook { hangs: true, patience, ..Hook::default() };
    let sending = bench.start(&hook);
    until("the message is sent", async || !hook.messages.lock().unwrap().is_empty()).await;
    let monitor = MonitorId::new(None, "m");
    let asks = async |at: Time| bench.database.lease(&monitor, "hook", "other", at, 1_000).await.unwrap();
    assert!(!asks(now().plus(60_000)).await, "the answer may come until then");
    assert!(asks(now().plus(600_000)).await, "but a sender that is gone does not hold it for ever");
    sending.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_a_crash_cut_off_is_marked_as_maybe_sent_and_only_that() {
    let bench = Bench::new(3).await;
    let deaf = Hook { hangs: true, ..Hook::default() };
    let task = bench.start(&deaf);
    until("the first message", async || !deaf.messages.lock().unwrap().is_empty()).await;
    // The process ends between sending and writing down.
    task.abort();
    let _ = task.await;
    let marks = |all: &[DeliveryState]| -> Vec<(String, bool)> {
        all.iter().map(|one| (one.state.clone(), one.maybe_sent)).collect()
    };
    let pending = "pending".to_owned();
    let expected = [(pending.clone(), true), (pending.clone(), true), (pending, false)];
    assert_eq!(marks(&bench.deliveries().await), expected);

    let well = Hook::default();
    let task = bench.start(&well);
    until("all", async || bench.deliveries().await.iter().all(|one| one.state == "ok")).await;
    task.abort();
    let ok = "ok".to_owned();
    assert_eq!(marks(&bench.deliveries().await), [(ok.clone(), true), (ok.clone(), true), (ok, false)]);
    assert_eq!(*well.messages.lock().unwrap(), [vec!["0", "1"], vec!["2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_cannot_be_read_is_refused_with_a_reason_and_the_others_go_on() {
    let bench = Bench::new(3).await;
    bench.damage("UPDATE price_drop_alerts SET alert = '{\"v\":' WHERE id = '0'");
    let hook = Hook::default();
    let task = bench.start(&hook);
    until("all", async || bench.deliveries().await.iter().all(|one| one.state != "pending")).await;
    task.abort();
    let found = bench.deliveries().await;
    let states: Vec<&str> = found.iter().map(|one| one.state.as_str()).collect();
    assert_eq!(states, ["refused", "ok", "ok"]);
    let reason = found[0].reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("the stored alert cannot be read: "), "{reason}");
    assert_eq!(bench.metrics.deliveries("hook", "refused").get(), 1);
    assert_eq!(*hook.messages.lock().unwrap(), [vec!["1", "2"]]);
}

/// What a webhook answers to the alert `id`, which came `before` so many times.
fn answer(id: &str, before: usize) -> Answer {
    match (id, before) {
        ("1", 0) => Answer::status(503),
        ("2", 0) => Answer::Drop,
        ("4", _) => Answer::status(400),
        ("5", _) => Answer::status(410),
        _ => Answer::status(204),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_result_of_a_delivery_is_counted_as_what_it_is() {
    let bench = Bench::new(7).await;
    let old = "json_set(alert, '$.observed_at', '2020-01-01T00:00:00.000Z')";
    bench.damage(&format!("UPDATE price_drop_alerts SET alert = {old} WHERE id = '3'"));
    let seen = Mutex::new(Vec::<String>::new());
    let receiver = Receiver::start(move |request| {
        let (id, mut seen) = (request.id.clone().unwrap(), seen.lock().unwrap());
        seen.push(id);
        let id = &seen[seen.len() - 1];
        answer(id, seen.iter().filter(|one| *one == id).count() - 1)
    })
    .unwrap();
    let settings = ChannelSettings {
        name: "hook".to_owned(),
        max_age: Duration::from_secs(3_600),
        send_resolved: false,
        template: None,
        kind: ChannelKind::Webhook {
            url: WebhookUrl::Plain(receiver.url("/in")),
            signing_secret: None,
            timeout: Duration::from_secs(20),
        },
    };
    let task = bench.start_with(build(&settings, &Secrets::default()).unwrap());
    // It ends by itself: the channel says at last that it is gone.
    tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
    let count = |result: &str| (result.to_owned(), bench.metrics.deliveries("hook", result).get());
    let counts = ["ok", "retried", "ambiguous", "stale", "refused", "gone"].map(count);
    let wanted = [("ok", 3), ("retried", 1), ("ambiguous", 1), ("stale", 1), ("refused", 1), ("gone", 1)];
    assert_eq!(counts, wanted.map(|(result, alerts)| (result.to_owned(), alerts)));
    let found = bench.deliveries().await;
    let states: Vec<(&str, bool)> = found.iter().map(|one| (one.state.as_str(), one.maybe_sent)).collect();
    let expected = [
        ("ok", false),
        ("ok", false),
        ("ok", true),
        ("stale", false),
        ("refused", false),
        ("gone", false),
        ("pending", false),
    ];
    assert_eq!(states, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_a_wrong_clock_put_a_year_ahead_is_made_now() {
    let bench = Bench::new(1).await;
    let year = now().plus(365 * 86_400_000);
    let alerts = numbers(&bench.database, &["0"]).await;
    assert_eq!(bench.database.attempting("hook", &alerts, now()).await.unwrap(), 1);
    bench.database.failed("hook", &alerts, "503", year, false).await.unwrap();
    let task = bench.start(&Hook::default());
    until("it", async || bench.deliveries().await[0].state == "ok").await;
    task.abort();
}

#[tokio::test]
async fn the_longest_pause_of_a_channel_is_waited_for_by_the_outbox() {
    let bench = Bench::new(1).await;
    let (at, id) = (now(), MonitorId::new(None, "m"));
    let alerts = numbers(&bench.database, &["0"]).await;
    let outcome = Outcome::Retry { reason: "429".to_owned() };
    let asked = Sent { taken: 1, outcome, pause: Some(Duration::from_secs(86_400)), pause_all: false };
    let next = Pacer::default().after(&asked, 400, at, 1.0);
    assert_eq!(next.at, at.plus(LONGEST_PAUSE));
    assert_eq!(bench.database.attempting("hook", &alerts, at).await.unwrap(), 1);
    bench.database.failed("hook", &alerts, "429", next.at, false).await.unwrap();
    assert!(bench.database.due(&id, "hook", at, 10).await.unwrap().pending.is_empty());
    assert_eq!(bench.database.due(&id, "hook", next.at, 10).await.unwrap().pending.len(), 1);
}
