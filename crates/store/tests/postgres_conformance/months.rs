//! Months, closed hours and late rows.

use std::time::Duration;

use pricemonitor_model::{Observation, Time};
use pricemonitor_store::Database;
use pricemonitor_store::query::Filter;

use crate::Prepared;
use crate::server::sql_in;
use crate::suite::common::{
    Bed as _, DAY, HOUR, Rng, START, judge, monitor, near, observations, place, writing,
};

const MONTHS: &str = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'price_history'::regclass ORDER BY 1";

fn seen(n: u64, at: Time) -> Observation<'static> {
    let price = pricemonitor_model::Decimal::new(100 + n as i64, 2);
    Observation::new("s", format!("i{n}"), price, "USD", at)
}

#[tokio::test]
async fn rows_that_fit_no_month_are_kept_and_get_one_where_that_makes_sense() {
    let place = place::<Prepared>().await;
    let mut writer = writing(&place.db, "m").await;
    let at = [START.plus(-350 * DAY), START.plus(300 * DAY), START.plus(5_000 * DAY), START];
    let rows: Vec<_> = at.into_iter().enumerate().map(|(n, at)| seen(n as u64, at)).collect();
    assert_eq!(writer.write(&rows).await.rows, 4);
    // The one in a far future stays where it is.
    let done = place.db.maintain(START).await.unwrap();
    assert_eq!((done.unsorted, done.rows), (Some(1), 0));
    let months = sql_in(&place.bed.0, MONTHS).await;
    for month in ["price_history_2025_04", "price_history_2026_03", "price_history_2027_01"] {
        assert!(months.contains(&month.to_owned()), "{months:?}");
    }
    assert_eq!(place.db.statistics(&Filter::default()).await.unwrap().observations, 4);
    assert_eq!(writer.write(&rows).await.rows, 4, "their months take more rows");
    assert_eq!(place.db.maintain(START).await.unwrap().unsorted, Some(2));
}

#[tokio::test]
async fn a_month_that_nobody_keeps_is_dropped_whole() {
    let place = place::<Prepared>().await;
    let mut writer = writing(&place.db, "m").await;
    let rows: Vec<_> = (0..60).map(|n| seen(n, START.plus(n as i64 * 2 * DAY))).collect();
    writer.write(&rows).await;
    place.db.maintain(START.plus(120 * DAY)).await.unwrap();
    let before = sql_in(&place.bed.0, MONTHS).await;
    assert!(before.contains(&"price_history_2026_04".to_owned()), "{before:?}");
    // A second monitor keeps less; the months follow the first.
    let mut other = writing(&place.db, "short").await;
    other.write(&rows).await;
    place.db.register(&monitor("short"), Duration::from_secs(86_400), START).await.unwrap();
    place.db.register(&monitor("m"), Duration::from_secs(50 * 86_400), START).await.unwrap();
    let now = START.plus(120 * DAY);
    let cut = |keep: i64| (now.millis() - keep * DAY).div_euclid(HOUR) * HOUR;
    let old = |keep: i64| rows.iter().filter(|o| o.observed_at.millis() < cut(keep)).count() as u64;
    assert_eq!(place.db.maintain(now).await.unwrap().rows, old(50) + old(1));
    let after = sql_in(&place.bed.0, MONTHS).await;
    assert!(!after.contains(&"price_history_2026_04".to_owned()), "{after:?}");
    let left = place.db.statistics(&Filter::default()).await.unwrap().observations;
    assert_eq!(left, 120 - old(50) - old(1));
}

/// What a look at every row says, and what the database says.
async fn compare(db: &Database, name: &str, history: &[Observation<'static>]) {
    let rows = judge(name, history);
    let filter = Filter { monitor: Some(name.to_owned()), ..Filter::default() };
    for from in [None, Some(START.plus(20 * HOUR)), Some(START.plus(20 * HOUR + 1))] {
        let filter = Filter { from, ..filter.clone() };
        let rows: Vec<_> = rows.iter().filter(|row| from.is_none_or(|from| row.at >= from)).collect();
        let found = db.statistics(&filter).await.unwrap();
        assert_eq!(found.observations, rows.len() as u64);
        assert_eq!(found.changes, rows.iter().filter(|row| row.changed).count() as u64);
        let of_unit: Vec<f64> = rows
            .iter()
            .filter(|row| row.current && row.o.unit_or_currency() == found.unit)
            .map(|row| row.o.price.to_string().parse().unwrap())
            .collect();
        assert!(near(found.average.unwrap(), of_unit.iter().sum::<f64>() / of_unit.len() as f64));
    }
}

/// Hours are closed and summed up again and again, by two processes, while two writers add to them, late rows
/// and revisions among it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn figures_are_right_whatever_is_written_while_they_are_summed_up() {
    let place = place::<Prepared>().await;
    let write = async |name: &'static str, seed: u64| {
        let mut rng = Rng(seed);
        let history = observations(&mut rng, 3_000, true);
        let mut writer = writing(&place.db, name).await;
        let mut rest = &history[..];
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(rest.len().min(1 + rng.below(60) as usize));
            // A month may be made in the very moment in which a batch has rows of it: it comes again.
            while let Err(error) = writer.try_write(batch).await {
                assert!(error.is_transient(), "{error:?}");
            }
            rest = behind;
        }
        history
    };
    let over = std::sync::atomic::AtomicBool::new(false);
    let beside = place.bed.open().await;
    let keep = async |db: &Database, seed: u64| {
        let (mut rng, mut turns) = (Rng(seed), 0);
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            // Clocks that run ahead and are set back among them.
            db.maintain(START.plus(rng.below(40 * DAY as u64) as i64)).await.unwrap();
            turns += 1;
        }
        turns
    };
    let writers = async {
        let histories = futures::join!(write("m0", 1), write("m1", 2));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        histories
    };
    let ((first, second), one, two) = futures::join!(writers, keep(&place.db, 3), keep(&beside, 4));
    assert!(one + two > 5, "{one} and {two} turns");
    compare(&place.db, "default.m0", &first).await;
    compare(&place.db, "default.m1", &second).await;
    place.db.maintain(START.plus(60 * DAY)).await.unwrap();
    let left = sql_in(&place.bed.0, "SELECT count(*)::text FROM price_hourly_stale").await;
    assert_eq!(left, ["0"]);
    let summed = sql_in(&place.bed.0, "SELECT sum(observations)::text FROM price_hourly").await;
    assert_eq!(summed, ["6000"]);
    compare(&place.db, "default.m0", &first).await;
    compare(&place.db, "default.m1", &second).await;
}
