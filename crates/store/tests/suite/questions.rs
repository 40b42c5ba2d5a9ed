//! Every answer against a look at every row, on random histories.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::common::{
    Bed, HOUR, Place, Rng, START, Seen, event, filter, judge, near, observations, passes, place, writing,
};
use futures::TryStreamExt as _;
use jiff::tz::TimeZone;
use pricemonitor_model::Time;
use pricemonitor_store::query::{Cursor, ExportRow, Filter};

/// Two monitors with random histories, written in random batches by writers that are made anew now
/// and then.
async fn random<B: Bed>(seed: u64) -> (Place<B>, Vec<Seen>, Rng) {
    let (mut rng, place) = (Rng(seed), place::<B>().await);
    let mut all = Vec::new();
    for (at, schedule) in [false, true].into_iter().enumerate() {
        let name = format!("m{at}");
        let history = observations(&mut rng, 500, schedule);
        let mut writer = writing(&place.db, &name).await;
        let mut rest = &history[..];
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(rest.len().min(1 + rng.below(120) as usize));
            assert_eq!(writer.write(batch).await.rows, batch.len() as u64);
            rest = behind;
            if rng.one_in(3) {
                writer = writing(&place.db, &name).await;
            }
            if rng.one_in(3) {
                // Whatever housekeeping sums up, answers stay the same; some of what comes is older than that.
                let now = START.plus(rng.below(6 * 86_400_000) as i64);
                assert_eq!(place.db.maintain(now).await.unwrap().rows, 0);
            }
        }
        all.extend(judge(&format!("default.{name}"), &history));
    }
    (place, all, rng)
}

/// The rows that pass, and the unit that most prices have.
fn passing<'s>(all: &'s [Seen], filter: &Filter) -> (Vec<&'s Seen>, String) {
    let rows: Vec<&Seen> = all.iter().filter(|seen| passes(filter, seen)).collect();
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &rows {
        *units.entry(row.o.unit_or_currency()).or_default() += u64::from(row.current);
    }
    let unit = units.into_iter().max_by_key(|(unit, n)| (*n, std::cmp::Reverse(*unit)));
    (rows, unit.map(|(unit, _)| unit.to_owned()).unwrap_or_default())
}

fn value(seen: &Seen) -> f64 {
    seen.o.price.to_string().parse().unwrap()
}

fn series(seen: &Seen) -> (String, String, String) {
    (seen.monitor.clone(), seen.o.source.to_string(), seen.o.item.to_string())
}

pub async fn statistics_are_those_of_the_rows<B: Bed>() {
    for seed in 0..6 {
        let (place, all, mut rng) = random::<B>(seed).await;
        for _ in 0..40 {
            let filter = filter(&mut rng);
            let (rows, unit) = passing(&all, &filter);
            let found = place.db.statistics(&filter).await.unwrap();
            let prices: Vec<f64> = rows
                .iter()
                .filter(|row| row.current && row.o.unit_or_currency() == unit)
                .map(|row| value(row))
                .collect();
            let quotes: BTreeSet<_> =
                rows.iter().filter(|row| row.o.slot.is_none()).map(|row| series(row)).collect();
            let slots = rows.iter().filter(|row| row.o.slot.is_some() && row.current).count();
            assert_eq!(found.observations, rows.len() as u64, "{filter:?}");
            assert_eq!(found.listings, (quotes.len() + slots) as u64, "{filter:?}");
            assert_eq!(found.changes, rows.iter().filter(|row| row.changed).count() as u64, "{filter:?}");
            assert_eq!(found.last_observed, rows.iter().map(|row| row.o.observed_at).max());
            assert_eq!(found.unit, unit);
            assert_eq!(found.lowest, prices.iter().copied().reduce(f64::min));
            assert_eq!(found.highest, prices.iter().copied().reduce(f64::max));
            let average = (!prices.is_empty()).then(|| prices.iter().sum::<f64>() / prices.len() as f64);
            assert!(match (found.average, average) {
                (Some(a), Some(b)) => near(a, b),
                (a, b) => a == b,
            });
        }
    }
}

pub async fn a_distribution_counts_every_price<B: Bed>() {
    let (place, all, mut rng) = random::<B>(11).await;
    for _ in 0..60 {
        let (filter, bars) = (filter(&mut rng), 1 + rng.below(12) as usize);
        let (rows, unit) = passing(&all, &filter);
        let prices: Vec<f64> = rows
            .iter()
            .filter(|row| row.current && row.o.unit_or_currency() == unit)
            .map(|row| value(row))
            .collect();
        let found = place.db.distribution(&filter, bars).await.unwrap();
        let Some(low) = prices.iter().copied().reduce(f64::min) else {
            assert!(found.is_empty());
            continue;
        };
        let high = prices.iter().copied().reduce(f64::max).unwrap();
        let bars = if low < high { bars } else { 1 };
        assert_eq!(found.len(), bars);
        assert_eq!((found[0].from, found[bars - 1].to), (low, high));
        let mut counts = vec![0; bars];
        let width = (high - low) / bars as f64;
        for price in prices {
            counts[(((price - low) / width) as usize).min(bars - 1)] += 1;
        }
        assert_eq!(found.iter().map(|bar| bar.count).collect::<Vec<u64>>(), counts);
    }
    assert!(place.db.distribution(&Filter::default(), 0).await.unwrap().is_empty());
}

pub async fn an_hour_profile_knows_the_viewers_clock<B: Bed>() {
    let (place, all, mut rng) = random::<B>(23).await;
    for zone in ["UTC", "Europe/Helsinki", "America/New_York"] {
        let tz = TimeZone::get(zone).unwrap();
        for _ in 0..20 {
            let filter = filter(&mut rng);
            let (rows, unit) = passing(&all, &filter);
            let mut cells: BTreeMap<(u8, u8), (u64, f64)> = BTreeMap::new();
            for row in rows.iter().filter(|row| row.current && row.o.unit_or_currency() == unit) {
                let local = tz.to_datetime(row.at.to_jiff());
                let key = (local.weekday().to_monday_one_offset() as u8, local.hour() as u8);
                let cell = cells.entry(key).or_default();
                *cell = (cell.0 + 1, cell.1 + value(row));
            }
            let found = place.db.hour_profile(&filter, zone).await.unwrap();
            assert_eq!(found.len(), cells.len());
            for (cell, ((weekday, hour), (count, sum))) in found.iter().zip(cells) {
                assert_eq!(
                    (cell.weekday, cell.hour, cell.count),
                    (weekday, hour, count),
                    "{zone} {filter:?}"
                );
                assert!(near(cell.average, sum / count as f64));
            }
        }
    }
    let error = place.db.hour_profile(&Filter::default(), "Mars/Base").await.unwrap_err();
    assert_eq!(error.to_string(), "`Mars/Base` is not a time zone such as Europe/Helsinki");
}

pub async fn lines_have_every_price_or_its_bucket<B: Bed>() {
    let (place, all, mut rng) = random::<B>(31).await;
    for round in 0..60 {
        let filter = filter(&mut rng);
        let points = [3, 20, 10_000][round % 3];
        let (rows, _) = passing(&all, &filter);
        let mut lines: BTreeMap<(String, String, String), Vec<&Seen>> = BTreeMap::new();
        rows.iter().for_each(|row| lines.entry(series(row)).or_default().push(row));
        let found = place.db.history(&filter, 50, points).await.unwrap();
        assert_eq!(found.matched, lines.len() as u64);
        assert_eq!(found.lines.len(), lines.len());
        let names: BTreeSet<&str> = found.lines.iter().map(|line| &*line.name).collect();
        assert_eq!(names.len(), lines.len(), "every line has its own name");
        // Lines by what they draw: no two series of a random history draw the same.
        let mut drawn: Vec<Vec<(Time, u64, f64, f64)>> = found
            .lines
            .iter()
            .map(|line| line.points.iter().map(|p| (p.at, p.price.to_bits(), p.low, p.high)).collect())
            .collect();
        let bucket = found.bucket;
        let mut wanted: Vec<Vec<(Time, u64, f64, f64)>> = lines
            .values()
            .map(|rows| {
                let mut rows: Vec<&&Seen> = rows.iter().filter(|row| row.current).collect();
                rows.sort_by_key(|row| row.at);
                let mut buckets: BTreeMap<Time, Vec<f64>> = BTreeMap::new();
                let mut single = Vec::new();
                for row in rows {
                    single.push((row.at, value(row).to_bits(), value(row), value(row)));
                    let start = if bucket > 0 { row.at.millis().div_euclid(bucket) * bucket } else { 0 };
                    buckets.entry(Time::from_millis(start)).or_default().push(value(row));
                }
                if bucket == 0 {
                    return single;
                }
                let point = |(at, prices): (Time, Vec<f64>)| {
                    let (low, high) = (
                        prices.iter().copied().fold(f64::INFINITY, f64::min),
                        prices.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    );
                    (at, (prices.iter().sum::<f64>() / prices.len() as f64).to_bits(), low, high)
                };
                buckets.into_iter().map(point).collect()
            })
            .collect();
        for line in &drawn {
            assert!(line.len() <= points, "{} points, at most {points}", line.len());
        }
        // Prices of a quarter are exact in binary, so sums in any order are equal.
        let order = |line: &Vec<(Time, u64, f64, f64)>| {
            line.iter().map(|p| (p.0, p.1, p.2.to_bits(), p.3.to_bits())).collect::<Vec<_>>()
        };
        drawn.sort_by_key(order);
        wanted.sort_by_key(order);
        assert_eq!(drawn, wanted, "{filter:?} {points} {bucket}");
    }
}

pub async fn lines_are_those_with_the_latest_observations<B: Bed>() {
    let (place, all, _) = random::<B>(37).await;
    let mut last: BTreeMap<(String, String, String), Time> = BTreeMap::new();
    for row in &all {
        let seen = last.entry(series(row)).or_insert(row.o.observed_at);
        *seen = (*seen).max(row.o.observed_at);
    }
    let found = place.db.history(&Filter::default(), 3, 10_000).await.unwrap();
    assert_eq!((found.lines.len(), found.matched), (3, last.len() as u64));
    let mut latest: Vec<Time> = last.into_values().collect();
    latest.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
    let quotes = found.lines.iter().zip(latest).filter(|(line, _)| !line.schedule);
    quotes.for_each(|(line, seen)| assert!(line.points.iter().any(|point| point.at == seen)));
    assert!(place.db.history(&Filter::default(), 0, 10).await.unwrap().lines.is_empty());
    assert!(place.db.history(&Filter::default(), 3, 0).await.unwrap().lines.is_empty());
}

pub async fn an_export_is_every_row_in_the_order_of_time<B: Bed>() {
    let (place, all, mut rng) = random::<B>(41).await;
    for _ in 0..20 {
        let filter = filter(&mut rng);
        let mut found = Vec::new();
        place
            .db
            .export(&filter, |row| {
                found.push(row);
                ControlFlow::Continue(())
            })
            .await
            .unwrap();
        let at = |row: &ExportRow| row.slot.map_or(row.observed_at, |slot| slot.start);
        assert!(found.is_sorted_by_key(at));
        let mut wanted: Vec<ExportRow> = all
            .iter()
            .filter(|seen| passes(&filter, seen))
            .map(|seen| ExportRow {
                monitor: seen.monitor.clone(),
                source: seen.o.source.to_string(),
                item: seen.o.item.to_string(),
                event: event(&seen.o),
                section: seen.o.labels.get("section").unwrap_or_default().to_owned(),
                price: seen.o.price.to_string(),
                base: None,
                unit: seen.o.unit_or_currency().to_owned(),
                observed_at: seen.o.observed_at,
                slot: seen.o.slot,
            })
            .collect();
        let order = |row: &ExportRow| format!("{row:?}");
        wanted.sort_by_key(order);
        found.sort_by_key(order);
        assert_eq!(found, wanted);
    }
    let mut given = 0;
    place
        .db
        .export(&Filter::default(), |_| {
            given += 1;
            if given == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await
        .unwrap();
    assert_eq!(given, 7);
    let mut rows = place.db.export_stream(&Filter::default());
    assert!(rows.try_next().await.unwrap().is_some());
}

pub async fn facets_name_what_can_be_chosen<B: Bed>() {
    let (place, all, _) = random::<B>(43).await;
    let found = place.db.facets().await.unwrap();
    assert_eq!(found.monitors.len(), 2);
    for monitor in &found.monitors {
        let rows: Vec<&Seen> = all.iter().filter(|row| row.monitor == monitor.monitor).collect();
        let mut events: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in &rows {
            let sections = events.entry(event(&row.o)).or_default();
            sections.extend(row.o.labels.get("section").map(str::to_owned));
        }
        let named: BTreeMap<String, BTreeSet<String>> =
            monitor.events.iter().map(|e| (e.event.clone(), e.sections.iter().cloned().collect())).collect();
        assert_eq!(named, events);
        assert_eq!(monitor.from, rows.iter().map(|row| row.at).min());
        assert_eq!(monitor.to, rows.iter().map(|row| row.o.slot.map_or(row.at, |slot| slot.end)).max());
        assert_eq!(monitor.schedule, rows.iter().any(|row| row.o.slot.is_some()));
        let units: BTreeSet<&str> = rows.iter().map(|row| row.o.unit_or_currency()).collect();
        assert_eq!(monitor.units.iter().map(String::as_str).collect::<BTreeSet<_>>(), units);
    }
}

pub async fn the_cursor_moves_with_every_write_and_only_then<B: Bed>() {
    let place = place::<B>().await;
    assert_eq!(place.db.cursor().await.unwrap(), Cursor::default());
    let mut writer = writing(&place.db, "m").await;
    writer.write(&observations(&mut Rng(1), 10, false)).await;
    let cursor = place.db.cursor().await.unwrap();
    assert_eq!(cursor, Cursor { rows: 10, alerts: 0 });
    assert_eq!(place.db.changed_since(cursor).await.unwrap(), None);
    writer.write(&[]).await;
    assert_eq!(place.db.changed_since(cursor).await.unwrap(), None);
    writer.write(&observations(&mut Rng(2), 1, false)).await;
    assert_eq!(place.db.changed_since(cursor).await.unwrap(), Some(Cursor { rows: 11, alerts: 0 }));
}

pub async fn an_empty_database_answers_everything<B: Bed>() {
    let place = place::<B>().await;
    let all = Filter::default();
    assert_eq!(place.db.facets().await.unwrap(), Default::default());
    assert_eq!(place.db.statistics(&all).await.unwrap(), Default::default());
    assert_eq!(place.db.history(&all, 10, 10).await.unwrap(), Default::default());
    assert!(place.db.distribution(&all, 10).await.unwrap().is_empty());
    assert!(place.db.hour_profile(&all, "UTC").await.unwrap().is_empty());
    assert!(place.db.alerts(&all, 10, None).await.unwrap().is_empty());
}

/// More rows than are read one by one: the figures stand for them, and every count adds up.
pub async fn beyond_the_exact_limits_hours_stand_for_their_rows<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let mut rng = Rng(5);
    let (series, per_series) = (4u64, 45_000u64);
    let mut batch = Vec::new();
    for n in 0..per_series {
        for s in 0..series {
            let amount = pricemonitor_model::Decimal::new(10_000 + rng.below(400) as i64 * 25, 2);
            let at = START.plus(n as i64 * 1_500);
            batch.push(pricemonitor_model::Observation::new("x", format!("i{s}"), amount, "USD", at));
        }
        if batch.len() >= 20_000 || n + 1 == per_series {
            writer.write(&batch).await;
            batch.clear();
        }
    }
    let all = Filter::default();
    let bars = place.db.distribution(&all, 10).await.unwrap();
    assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), series * per_series);
    // 180,000 rows over 19 hours: sampled, a point for each bucket, each a price of that bucket.
    let history = place.db.history(&all, 10, 300).await.unwrap();
    assert!(history.bucket > 0 && history.bucket < HOUR, "{}", history.bucket);
    for line in &history.lines {
        assert!(line.points.len() > 100 && line.points.len() <= 300, "{}", line.points.len());
        assert!(line.points.iter().all(|p| p.low == p.high && (100.0..200.0).contains(&p.price)));
    }
    // A piece of the range is exact again.
    let to = Some(START.plus(HOUR));
    let exact = place.db.history(&Filter { to, ..all }, 10, 60).await.unwrap();
    assert!(exact.lines.iter().all(|line| line.points.iter().any(|p| p.low < p.high)));
}
