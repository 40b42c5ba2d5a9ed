//! The life of alerts in the outbox.
use std::borrow::Cow;
use std::time::Duration;

use super::common::{Bed, LIFE, START, monitor, place, price, writing};
use pricemonitor_model::{
    Alert, AlertId, Coordinates, Labels, Observation, PriceKind, SeriesKey, Severity, Side, Slot, Time,
    Transition,
};
use pricemonitor_store::query::{AlertRow, Filter};
use pricemonitor_store::{Claim, Database, DeliveryEnd, Error, Pending};

pub fn alert(n: u64) -> Alert<'static> {
    let series = SeriesKey { source: "s".into(), item: "i".into(), kind: PriceKind::Total };
    let coordinates = Coordinates { incarnation: LIFE, partition: 0, offset: n };
    Alert {
        id: AlertId::of("default.m", "rule", &series, coordinates, Transition::Firing),
        monitor: "default.m".into(),
        rule: "rule".into(),
        transition: Transition::Firing,
        severity: Severity::Warning,
        channels: None,
        source: "s".into(),
        item: "i".into(),
        price_kind: PriceKind::Total,
        labels: [("event", "X \0 \"y\""), ("section", "A"), ("row", "7")].into_iter().collect(),
        price: price("84.00"),
        reference: Some(price("120.00")),
        percent: Some(price("-30.0")),
        side: None,
        currency: "USD".into(),
        unit: None,
        observed_at: START.plus(n as i64 * 1000),
        slot: None,
        url: Some("https://example.test/1".into()),
        summary: Cow::Owned(format!("it fell {n}")),
        coordinates,
    }
}

async fn claim(db: &Database) -> Claim {
    db.register(&monitor("m"), Duration::from_secs(86_400), START).await.unwrap();
    db.claim(&monitor("m"), "alerts", 0).await.unwrap()
}

async fn accept(db: &Database, claim: &mut Claim, alerts: &[(u64, &[&str])], next: u64) -> u64 {
    let alerts: Vec<(Alert<'static>, Vec<String>)> = alerts
        .iter()
        .map(|(n, channels)| (alert(*n), channels.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    db.accept_alerts(claim, LIFE, 0, &alerts, next, START).await.unwrap()
}

/// Accepts so many alerts; their ids in order.
pub async fn accepted(db: &Database, count: u64) -> Vec<String> {
    let mut claim = claim(db).await;
    let all: Vec<(u64, &[&str])> = (0..count).map(|n| (n, &[][..])).collect();
    assert_eq!(accept(db, &mut claim, &all, count).await, count);
    let mut ids: Vec<String> = (0..count).map(|n| alert(n).id.to_string()).collect();
    ids.sort();
    ids
}

pub async fn due(db: &Database, channel: &str, now: Time) -> Vec<u64> {
    let due = db.due(&monitor("m"), channel, now, 100).await.unwrap().pending;
    due.into_iter().map(|pending| pending.alert.coordinates.offset).collect()
}

async fn states(db: &Database) -> Vec<(String, u32, Option<String>)> {
    let rows: Vec<AlertRow> = db.alerts(&Filter::default(), 100, None).await.unwrap();
    let states = rows.into_iter().rev().flat_map(|row| row.deliveries);
    states.map(|state| (state.state, state.attempts, state.reason)).collect()
}

pub async fn an_alert_is_accepted_once_whatever_is_replayed<B: Bed>() {
    let place = place::<B>().await;
    let mut first = claim(&place.db).await;
    assert_eq!(accept(&place.db, &mut first, &[(1, &["a"]), (2, &["a", "b"]), (3, &[])], 3).await, 3);
    assert_eq!(accept(&place.db, &mut first, &[(2, &["a", "b"]), (4, &["b"])], 4).await, 1);
    // After a restart that lost nothing but its memory.
    let mut second = claim(&place.db).await;
    assert_eq!(second.position, Some((LIFE, 4)));
    assert_eq!(accept(&place.db, &mut second, &[(1, &["a", "new"])], 4).await, 0);
    assert_eq!(due(&place.db, "a", START).await, [1, 2]);
    assert_eq!(due(&place.db, "b", START).await, [2, 4]);
    assert_eq!(due(&place.db, "new", START).await, [] as [u64; 0]);
    assert_eq!(place.db.alerts(&Filter::default(), 10, None).await.unwrap().len(), 4);
    let fenced = place.db.accept_alerts(&mut first, LIFE, 0, &[(alert(9), vec![])], 9, START).await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert_eq!(place.db.alerts(&Filter::default(), 10, None).await.unwrap().len(), 4);
    let counts = place.db.pending_counts(&monitor("m")).await.unwrap();
    let counts: Vec<(&str, u64)> = counts.iter().map(|count| (&*count.channel, count.alerts)).collect();
    assert_eq!(counts, [("a", 2), ("b", 2)]);
}

/// The connection broke when the answer to the commit would have come: the claim stands where it stood.
pub async fn alerts_whose_acceptance_was_not_answered_are_accepted_once<B: Bed>() {
    let place = place::<B>().await;
    let mut claim = claim(&place.db).await;
    assert_eq!(accept(&place.db, &mut claim, &[(1, &["a"])], 1).await, 1);
    let known = claim.position;
    assert_eq!(accept(&place.db, &mut claim, &[(2, &["a"]), (3, &["a", "b"])], 3).await, 2);
    claim.position = known;
    assert_eq!(accept(&place.db, &mut claim, &[(2, &["a"]), (3, &["a", "b"])], 3).await, 2);
    assert_eq!(claim.position, Some((LIFE, 3)));
    // The batch may have grown meanwhile.
    claim.position = known;
    let grown: &[(u64, &[&str])] = &[(2, &["a"]), (3, &["a", "b"]), (4, &["b"])];
    assert_eq!(accept(&place.db, &mut claim, grown, 4).await, 1);
    assert_eq!(
        (due(&place.db, "a", START).await, due(&place.db, "b", START).await),
        (vec![1, 2, 3], vec![3, 4])
    );
    assert_eq!(place.db.alerts(&Filter::default(), 10, None).await.unwrap().len(), 4);
    place.bed.sql("UPDATE sink_offsets SET next_offset = 70").await;
    let moved = place.db.accept_alerts(&mut claim, LIFE, 0, &[(alert(5), vec![])], 5, START).await;
    assert!(matches!(moved, Err(Error::Storage(_))), "{moved:?}");
}

pub async fn what_is_due_is_the_alert_as_it_was<B: Bed>() {
    let place = place::<B>().await;
    let mut claim = claim(&place.db).await;
    accept(&place.db, &mut claim, &[(1, &["a"])], 1).await;
    let due = place.db.due(&monitor("m"), "a", START, 10).await.unwrap().pending;
    assert_eq!(due[0].alert, alert(1));
    assert_eq!((due[0].attempts, due[0].accepted_at, due[0].maybe_sent), (0, START, false));
    assert!(place.db.due(&monitor("other"), "a", START, 10).await.unwrap().pending.is_empty());
    assert!(place.db.due(&monitor("m"), "a", START.plus(-1), 10).await.unwrap().pending.is_empty());
    assert!(place.db.due(&monitor("m"), "a", START, 0).await.unwrap().pending.is_empty());
}

pub async fn an_arrival_and_the_attempt_that_follows_it_are_written_in_one_step<B: Bed>() {
    let (place, m) = (place::<B>().await, monitor("m"));
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a", "b"]), (2, &["a", "b"]), (3, &["a"])], 3).await;
    let number = |n: i64| vec![n];
    assert_eq!(db.attempting("a", &number(1), START).await.unwrap(), 1);
    assert_eq!(db.delivered("a", &number(1), Some("msg-1"), &number(2), START).await.unwrap(), 1);
    let told = |pending: Vec<Pending>| -> Vec<_> {
        pending.into_iter().map(|one| (one.alert.id, one.attempts, one.maybe_sent)).collect()
    };
    assert_eq!(
        told(db.due(&m, "a", START, 10).await.unwrap().pending),
        [(alert(2).id, 1, true), (alert(3).id, 0, false)],
        "the second one may have been sent, the third was not touched"
    );
    assert_eq!(
        told(db.due(&m, "b", START, 10).await.unwrap().pending),
        [(alert(1).id, 0, false), (alert(2).id, 0, false)],
        "another channel is another matter"
    );
}

pub async fn a_delivery_ends_once<B: Bed>() {
    let (place, m) = (place::<B>().await, monitor("m"));
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a"]), (2, &["a"]), (3, &["a"]), (4, &["a"])], 4).await;
    let number = |n: i64| vec![n];
    for n in [1, 3, 4] {
        assert_eq!(db.attempting("a", &number(n), START).await.unwrap(), 1);
    }
    db.delivered("a", &number(1), Some("msg-1"), &[], START).await.unwrap();
    db.finish("a", &number(2), DeliveryEnd::Stale, "too old", START).await.unwrap();
    db.finish("a", &number(3), DeliveryEnd::Refused, "400: no", START).await.unwrap();
    db.finish("a", &number(4), DeliveryEnd::Gone, "404", START).await.unwrap();
    // What ended stays as it is.
    for n in 1..=4 {
        db.failed("a", &number(n), "too late", START, true).await.unwrap();
        db.delivered("a", &number(n), None, &[], START).await.unwrap();
        // Whoever was about to tell it hears that there is nothing to tell.
        assert_eq!(db.attempting("a", &number(n), START).await.unwrap(), 0);
        assert_eq!(db.delivered("a", &number(1), None, &number(n), START).await.unwrap(), 0);
    }
    let reason = |text: &str| Some(text.to_owned());
    assert_eq!(
        states(db).await,
        [
            ("ok".to_owned(), 1, None),
            ("stale".to_owned(), 0, reason("too old")),
            ("refused".to_owned(), 1, reason("400: no")),
            ("gone".to_owned(), 1, reason("404")),
        ]
    );
    assert!(due(db, "a", Time::MAX).await.is_empty());
    assert!(db.pending_counts(&m).await.unwrap().is_empty());
}

/// A database that was put back to an earlier state may give the same numbers to other alerts.
pub async fn the_end_of_a_message_that_nobody_was_about_to_send_is_not_written<B: Bed>() {
    let place = place::<B>().await;
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a"])], 1).await;
    assert_eq!(db.delivered("a", &[1], Some("msg-1"), &[], START).await.unwrap(), 0);
    db.failed("a", &[1], "503", START.plus(5_000), true).await.unwrap();
    db.finish("a", &[1], DeliveryEnd::Refused, "400: no", START).await.unwrap();
    db.finish("a", &[1], DeliveryEnd::Gone, "404", START).await.unwrap();
    assert_eq!(states(db).await, [("pending".to_owned(), 0, None)]);
    assert_eq!(due(db, "a", START).await, [1]);
}

/// Channels are named by people: two monitors may call theirs the same.
pub async fn equal_names_of_channels_of_two_monitors_are_two_channels<B: Bed>() {
    let place = place::<B>().await;
    let db = &place.db;
    let mut one = claim(db).await;
    accept(db, &mut one, &[(1, &["a"])], 1).await;
    let other = monitor("other");
    db.register(&other, Duration::from_secs(3600), START).await.unwrap();
    let mut two = db.claim(&other, "alerts", 0).await.unwrap();
    let theirs =
        Alert { id: AlertId::stored("theirs"), monitor: other.as_str().to_owned().into(), ..alert(1) };
    db.accept_alerts(&mut two, LIFE, 0, &[(theirs.clone(), vec!["a".to_owned()])], 1, START).await.unwrap();
    let found = db.due(&other, "a", START, 10).await.unwrap().pending;
    assert_eq!(found.iter().map(|one| one.alert.id.as_str()).collect::<Vec<_>>(), ["theirs"]);
    assert_eq!(db.attempting("a", &[found[0].number], START).await.unwrap(), 1);
    db.delivered("a", &[found[0].number], None, &[], START).await.unwrap();
    assert!(db.due(&other, "a", START, 10).await.unwrap().pending.is_empty());
    assert_eq!(due(db, "a", START).await, [1], "the other monitor's still waits");
}

pub async fn a_failed_attempt_comes_back_when_its_time_has_come<B: Bed>() {
    let (place, m) = (place::<B>().await, monitor("m"));
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a", "b"])], 1).await;
    let numbers = [1];
    db.attempting("a", &numbers, START).await.unwrap();
    db.failed("a", &numbers, "503", START.plus(5_000), false).await.unwrap();
    assert!(due(db, "a", START.plus(4_999)).await.is_empty());
    assert_eq!(due(db, "b", START).await, [1], "the other channel does not wait");
    let pending = db.due(&m, "a", START.plus(5_000), 10).await.unwrap().pending;
    assert_eq!((pending[0].attempts, pending[0].maybe_sent), (1, false));
    db.attempting("a", &numbers, START.plus(5_000)).await.unwrap();
    db.failed("a", &numbers, "no answer", START.plus(6_000), true).await.unwrap();
    let pending = db.due(&m, "a", START.plus(6_000), 10).await.unwrap().pending;
    assert_eq!((pending[0].attempts, pending[0].maybe_sent), (2, true));
    assert_eq!(states(db).await[0], ("pending".to_owned(), 2, Some("no answer".to_owned())));
}

pub async fn a_crash_between_sending_and_writing_down_is_known<B: Bed>() {
    let (place, m) = (place::<B>().await, monitor("m"));
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a"])], 1).await;
    let numbers = [1];
    db.attempting("a", &numbers, START).await.unwrap();
    // Here the process ends, and another one looks.
    let pending = db.due(&m, "a", START, 10).await.unwrap().pending;
    assert_eq!((pending[0].attempts, pending[0].maybe_sent), (1, true));
    db.attempting("a", &numbers, START).await.unwrap();
    db.delivered("a", &numbers, None, &[], START).await.unwrap();
    assert_eq!(states(db).await, [("ok".to_owned(), 2, None)]);
}

pub async fn one_sender_has_a_channel<B: Bed>() {
    let (place, m) = (place::<B>().await, monitor("m"));
    let db = &place.db;
    drop(claim(db).await);
    assert!(db.lease(&m, "a", "one", START, 10_000).await.unwrap());
    assert!(!db.lease(&m, "a", "two", START, 10_000).await.unwrap());
    assert!(db.lease(&m, "b", "two", START, 10_000).await.unwrap());
    place.bed.later(9_000).await;
    assert!(db.lease(&m, "a", "one", START.plus(9_000), 10_000).await.unwrap(), "renewed");
    // A second of room: where the database has a clock of its own, it runs on meanwhile.
    place.bed.later(9_000).await;
    assert!(!db.lease(&m, "a", "two", START.plus(18_000), 10_000).await.unwrap());
    assert!(!db.lease(&m, "a", "two", START.plus(18_999), 10_000).await.unwrap());
    place.bed.later(1_000).await;
    assert!(db.lease(&m, "a", "two", START.plus(19_000), 10_000).await.unwrap(), "it was given up");
    assert!(!db.lease(&m, "a", "one", START.plus(19_000), 10_000).await.unwrap());
    assert!(!db.lease(&monitor("nobody"), "a", "one", START, 10_000).await.unwrap());
}

pub async fn alerts_are_listed_by_page_and_filter_with_their_series<B: Bed>() {
    let place = place::<B>().await;
    let db = &place.db;
    let mut claim = claim(db).await;
    let numbers: Vec<(u64, &[&str])> = (0..10).map(|n| (n, &["a"] as &[&str])).collect();
    accept(db, &mut claim, &numbers, 10).await;
    let ids = |rows: &[AlertRow]| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
    let want = |range: std::ops::Range<u64>| range.rev().map(|n| alert(n).id.to_string()).collect::<Vec<_>>();
    let first = db.alerts(&Filter::default(), 4, None).await.unwrap();
    assert_eq!(ids(&first), want(6..10));
    let second = db.alerts(&Filter::default(), 4, Some(&first[3].id)).await.unwrap();
    assert_eq!(ids(&second), want(2..6));
    let (from, to) = (Some(START.plus(3_000)), Some(START.plus(5_000)));
    let timed = db.alerts(&Filter { from, to, ..Filter::default() }, 100, None).await.unwrap();
    assert_eq!(ids(&timed), want(3..5));
    assert_eq!(db.statistics(&Filter { from, to, ..Filter::default() }).await.unwrap().alerts, 2);
    let of = |event: &str| Filter { event: Some(event.to_owned()), ..Filter::default() };
    assert_eq!(db.alerts(&of("X \0 \"y\""), 100, None).await.unwrap().len(), 10);
    assert!(db.alerts(&of("X"), 100, None).await.unwrap().is_empty());
    assert_eq!((first[0].series, first[0].percent.as_deref()), (0, Some("-30.0")));
    assert_eq!(
        (&*first[0].severity, &*first[0].transition, &*first[0].price),
        ("warning", "firing", "84.00")
    );

    let mut writer = writing(db, "m").await;
    writer.write(&[Observation::new("s", "i", price("84"), "USD", START)]).await;
    let line = db.history(&Filter::default(), 1, 10).await.unwrap().lines.remove(0);
    let known = db.alerts(&Filter::default(), 1, None).await.unwrap();
    assert_eq!(known[0].series, line.series);
}

pub async fn an_alert_on_a_slot_stands_at_the_slot<B: Bed>() {
    let place = place::<B>().await;
    let mut claim = claim(&place.db).await;
    let slot = Slot { start: START.plus(7_200_000), end: START.plus(10_800_000) };
    let labels = Labels::new().with("area", "FI");
    let alert = Alert { slot: Some(slot), labels, side: Some(Side::Below), percent: None, ..alert(1) };
    place.db.accept_alerts(&mut claim, LIFE, 0, &[(alert, vec![])], 1, START).await.unwrap();
    let filter = Filter { from: Some(slot.start), event: Some("FI".to_owned()), ..Filter::default() };
    let found = place.db.alerts(&filter, 10, None).await.unwrap();
    assert_eq!((found.len(), found[0].slot), (1, Some(slot)));
    assert_eq!((found[0].side.as_deref(), found[0].percent.as_deref()), (Some("below"), None));
    assert!(found[0].deliveries.is_empty());
}

pub async fn an_attempt_that_a_clock_put_far_ahead_is_due_at_once<B: Bed>() {
    let place = place::<B>().await;
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a"]), (2, &["a"])], 2).await;
    assert_eq!(db.attempting("a", &[1, 2], START).await.unwrap(), 2);
    // The longest pause that a channel may ask for is waited for.
    db.failed("a", &[1], "429", START.plus(3_600_000), false).await.unwrap();
    // A clock that was a year ahead wrote this; it has been set right since.
    db.failed("a", &[2], "503", START.plus(365 * 86_400_000), false).await.unwrap();
    assert_eq!(due(db, "a", START).await, [2]);
    assert_eq!(due(db, "a", START.plus(3_600_000)).await, [1, 2]);
}

pub async fn a_stored_alert_that_cannot_be_read_does_not_hold_up_the_others<B: Bed>() {
    let (place, m) = (place::<B>().await, monitor("m"));
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a"]), (2, &["a"]), (3, &["a"])], 3).await;
    place.bed.sql("UPDATE price_drop_alerts SET alert = '{' WHERE seq = 2").await;
    let found = db.due(&m, "a", START, 10).await.unwrap();
    let offsets: Vec<u64> = found.pending.iter().map(|pending| pending.alert.coordinates.offset).collect();
    assert_eq!(offsets, [1, 3]);
    assert_eq!(found.unreadable.len(), 1);
    assert_eq!(found.unreadable[0].id, alert(2).id);
    assert!(found.unreadable[0].reason.starts_with("the stored alert cannot be read: "));
    let numbers = [found.unreadable[0].number];
    db.attempting("a", &numbers, START).await.unwrap();
    db.finish("a", &numbers, DeliveryEnd::Refused, &found.unreadable[0].reason, START).await.unwrap();
    assert!(db.due(&m, "a", START, 10).await.unwrap().unreadable.is_empty());
    assert_eq!(states(db).await[1].0, "refused", "the page still lists it");
}

pub async fn what_may_have_arrived_more_often_is_listed_so<B: Bed>() {
    let place = place::<B>().await;
    let db = &place.db;
    let mut claim = claim(db).await;
    accept(db, &mut claim, &[(1, &["a"]), (2, &["a"]), (3, &["a"])], 3).await;
    let number = |n: i64| [n];
    // One arrives at once; one is cut off by a crash and sent again; one is cut off and then too old.
    for n in 1..=3 {
        db.attempting("a", &number(n), START).await.unwrap();
    }
    db.delivered("a", &number(1), None, &[], START).await.unwrap();
    db.attempting("a", &number(2), START).await.unwrap();
    db.delivered("a", &number(2), None, &[], START).await.unwrap();
    db.finish("a", &number(3), DeliveryEnd::Stale, "too old", START).await.unwrap();
    let rows = db.alerts(&Filter::default(), 100, None).await.unwrap();
    let maybe: Vec<bool> = rows.iter().rev().map(|row| row.deliveries[0].maybe_sent).collect();
    assert_eq!(maybe, [false, true, true]);
}

/// Two processes, each with its own connections, and one outbox.
pub async fn processes_that_share_the_outbox_tell_each_alert_once<B: Bed>() {
    let (place, m) = (place::<B>().await, monitor("m"));
    let (one, two) = (place.db.clone(), place.bed.open().await);
    let mut claim = claim(&one).await;
    let numbers: Vec<(u64, &[&str])> = (0..40).map(|n| (n, &["a", "b"] as &[&str])).collect();
    accept(&one, &mut claim, &numbers, 40).await;
    let told = std::sync::Mutex::new(Vec::new());
    let look = async |db: &Database, owner: &str, now: Time| {
        for channel in ["a", "b"] {
            if !db.lease(&m, channel, owner, now, 5_000).await.unwrap() {
                continue;
            }
            for pending in db.due(&m, channel, now, 2).await.unwrap().pending {
                let numbers = [pending.number];
                db.attempting(channel, &numbers, now).await.unwrap();
                told.lock().unwrap().push((channel, pending.alert.id.to_string(), owner.to_owned()));
                db.delivered(channel, &numbers, None, &[], now).await.unwrap();
            }
        }
    };
    // Both for a while, then the first one is gone and the second one takes over.
    for step in 0..40 {
        let now = START.plus(step * 1_000);
        place.bed.later(1_000).await;
        if step < 10 {
            futures::join!(look(&one, "one", now), look(&two, "two", now));
        } else {
            look(&two, "two", now).await;
        }
    }
    let mut told = told.into_inner().unwrap();
    let all = told.len();
    assert!(told.iter().filter(|(_, _, owner)| owner == "two").count() >= 40);
    told.sort();
    told.dedup_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1));
    assert_eq!((told.len(), all), (80, 80), "each alert once on each channel");
    assert!(one.pending_counts(&m).await.unwrap().is_empty());
    two.close().await;
}
