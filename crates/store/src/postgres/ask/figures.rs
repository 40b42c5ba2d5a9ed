//! Figures over a range of time: of closed hours as they were summed up, of all others from the rows.

use futures::TryStreamExt as _;
use pricemonitor_model::Time;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::super::Tx;
use super::super::failure::failure;
use super::super::values::Stamp;
use crate::ask::{EachFigures, Group, Span};
use crate::cells::{Figures, HOUR};
use crate::error::Result;

/// Hours of single series that are told apart; when more are stale, their hours are read for all series.
const MOST_APART: usize = 5_000;

/// Hours that were summed up and have changed since.
#[derive(Default)]
struct Stale {
    /// For all series, in rising order.
    hours: Vec<Time>,
    /// For single ones.
    series: Vec<i64>,
    hours_of_series: Vec<Time>,
}

pub(super) async fn figures(
    tx: &mut Tx,
    series: &[i64],
    span: Span,
    group: Group,
    each: &mut EachFigures<'_>,
) -> Result<()> {
    if span.from >= span.to || series.is_empty() {
        return Ok(());
    }
    let summed = summed_up_to(tx).await?;
    let (hours, _) = span.hours();
    let (first, end) = (hours.start * HOUR, (hours.end * HOUR).min(summed));
    if first >= end {
        return from_rows(tx, series, span, group, each).await;
    }
    let closed = Span { from: first, to: end };
    let stale = stale(tx, closed).await?;
    from_hours(tx, series, closed, &stale, group, each).await?;
    let mut spans = vec![Span { from: span.from, to: first }];
    for hour in &stale.hours {
        let hour = Span { from: hour.millis(), to: hour.millis() + HOUR };
        match spans.last_mut() {
            Some(last) if last.to == hour.from => last.to = hour.to,
            _ => spans.push(hour),
        }
    }
    match spans.last_mut() {
        Some(last) if last.to == end => last.to = span.to,
        _ => spans.push(Span { from: end, to: span.to }),
    }
    for span in spans.into_iter().filter(|span| span.from < span.to) {
        from_rows(tx, series, span, group, each).await?;
    }
    from_single_hours(tx, series, &stale, group, each).await
}

/// Hours before this instant (milliseconds) were summed up.
async fn summed_up_to(tx: &mut Tx) -> Result<i64> {
    let Stamp(summed) = sqlx::query_scalar("SELECT hours_summed FROM housekeeping")
        .fetch_one(&mut **tx)
        .await
        .map_err(|error| failure("cannot read hourly figures", &error))?;
    Ok(summed.millis())
}

async fn stale(tx: &mut Tx, closed: Span) -> Result<Stale> {
    let rows = sqlx::query(
        "SELECT DISTINCT hour, series FROM price_hourly_stale WHERE hour >= $1 AND hour < $2 ORDER BY hour",
    )
    .bind(Stamp(Time::from_millis(closed.from)))
    .bind(Stamp(Time::from_millis(closed.to)))
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read hourly figures", &error))?;
    let apart = rows.len() <= MOST_APART;
    let mut stale = Stale::default();
    for row in rows {
        let (Stamp(hour), series): (Stamp, Option<i64>) = (row.get(0), row.get(1));
        match series.filter(|_| apart) {
            None if stale.hours.last() == Some(&hour) => {}
            None => stale.hours.push(hour),
            Some(series) => {
                stale.series.push(series);
                stale.hours_of_series.push(hour);
            }
        }
    }
    // An hour that is read for all series is read for each of them.
    let (series, hours) = stale
        .series
        .into_iter()
        .zip(stale.hours_of_series)
        .filter(|(_, hour)| stale.hours.binary_search(hour).is_err())
        .unzip();
    Ok(Stale { series, hours_of_series: hours, ..stale })
}

/// What to select besides the figures, and what to group by.
fn grouping(group: Group, hour: &str) -> (String, String) {
    match group {
        Group::Series => (format!("f.series, min({hour}), max({hour})"), "f.series".to_owned()),
        Group::Hours(hours) => (
            format!("f.series, min({hour}), max({hour})"),
            // Not by date_bin: a stretch of centuries may begin before there was time.
            format!("f.series, floor(date_part('epoch', {hour}) / 3600 / {hours})"),
        ),
        Group::Together => (format!("min(f.series), {hour}, {hour}"), hour.to_owned()),
    }
}

const HOUR_OF: &str = "date_bin(interval '1 hour', f.at, timestamptz 'epoch')";
/// Figures of rows.
const SUMS: &str = "count(*), count(*) FILTER (WHERE f.current), count(*) FILTER (WHERE f.changed),
    max(f.observed_at), coalesce(sum(f.price) FILTER (WHERE f.current)::float8, 0),
    coalesce(min(f.price) FILTER (WHERE f.current)::float8, 'Infinity'),
    coalesce(max(f.price) FILTER (WHERE f.current)::float8, '-Infinity')";

async fn from_hours(
    tx: &mut Tx,
    series: &[i64],
    closed: Span,
    stale: &Stale,
    group: Group,
    each: &mut EachFigures<'_>,
) -> Result<()> {
    let (select, by) = grouping(group, "f.hour");
    let sql = format!(
        "SELECT {select}, sum(f.observations)::bigint, sum(f.prices)::bigint, sum(f.changes)::bigint,
                max(f.last_seen), sum(f.total), min(f.lowest), max(f.highest)
         FROM price_hourly f
         WHERE f.series = ANY($1) AND f.hour >= $2 AND f.hour < $3 AND f.hour <> ALL ($4)
           AND (f.series, f.hour) NOT IN (SELECT * FROM unnest($5::bigint[], $6::timestamptz[]))
         GROUP BY {by}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(series)
        .bind(Stamp(Time::from_millis(closed.from)))
        .bind(Stamp(Time::from_millis(closed.to)))
        .bind(stamps(&stale.hours))
        .bind(&stale.series)
        .bind(stamps(&stale.hours_of_series))
        .fetch(&mut **tx);
    give(rows, each).await
}

async fn from_rows(
    tx: &mut Tx,
    series: &[i64],
    span: Span,
    group: Group,
    each: &mut EachFigures<'_>,
) -> Result<()> {
    let (select, by) = grouping(group, HOUR_OF);
    let sql = format!(
        "SELECT {select}, {SUMS} FROM price_history f
         WHERE f.series = ANY($1) AND f.at >= $2 AND f.at <= $3 GROUP BY {by}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(series)
        .bind(Stamp(Time::from_millis(span.from)))
        // Whole milliseconds, and the very last instant is one of them.
        .bind(Stamp(Time::from_millis(span.to - 1)))
        .fetch(&mut **tx);
    give(rows, each).await
}

async fn from_single_hours(
    tx: &mut Tx,
    series: &[i64],
    stale: &Stale,
    group: Group,
    each: &mut EachFigures<'_>,
) -> Result<()> {
    let (series, hours): (Vec<i64>, Vec<Time>) = stale
        .series
        .iter()
        .zip(&stale.hours_of_series)
        .filter(|(id, _)| series.binary_search(id).is_ok())
        .map(|(id, hour)| (*id, *hour))
        .unzip();
    if series.is_empty() {
        return Ok(());
    }
    let (select, by) = grouping(group, HOUR_OF);
    let sql = format!(
        "SELECT {select}, {SUMS}
         FROM unnest($1::bigint[], $2::timestamptz[]) AS s (series, hour)
         CROSS JOIN LATERAL (
             SELECT * FROM price_history p
             WHERE p.series = s.series AND p.at >= s.hour AND p.at < s.hour + interval '1 hour' OFFSET 0) f
         GROUP BY {by}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(series).bind(stamps(&hours)).fetch(&mut **tx);
    give(rows, each).await
}

fn stamps(times: &[Time]) -> Vec<Stamp> {
    times.iter().copied().map(Stamp).collect()
}

async fn give(
    mut rows: impl futures::Stream<Item = std::result::Result<PgRow, sqlx::Error>> + Send + Unpin,
    each: &mut EachFigures<'_>,
) -> Result<()> {
    while let Some(row) = rows.try_next().await.map_err(|error| failure("cannot sum up prices", &error))? {
        let hour = |column| row.get::<Stamp, _>(column).0.millis().div_euclid(HOUR);
        let count = |column: usize| row.get::<i64, _>(column).unsigned_abs();
        let figures = Figures {
            rows: count(3),
            prices: count(4),
            changes: count(5),
            last_seen: row.get::<Stamp, _>(6).0,
            sum: row.get(7),
            low: row.get(8),
            high: row.get(9),
        };
        each(row.get(0), (hour(1), hour(2)), &figures);
    }
    Ok(())
}
