//! Closed hours are summed up; late rows have their hours summed up anew.

use std::collections::BTreeSet;

use pricemonitor_model::Time;
use sqlx::{Connection as _, PgConnection, Row as _, Transaction};

use super::super::failure::failure;
use super::super::values::Stamp;
use super::exclusive;
use crate::cells::{HOUR, hour_of};
use crate::error::Result;

/// How long after its end an hour is closed: what is late by less is summed up once.
const GRACE: i64 = 10 * 60 * 1_000;
const DAY: i64 = 24 * HOUR;
/// Most that is summed up in one transaction.
const STRETCH: i64 = 10 * DAY;
/// What is older than this is summed up at once: it is little as a rule, and may reach far back.
const LONG_AGO: i64 = 400 * DAY;
/// Hours of one turn that are summed up anew.
const ANEW: i64 = 240;
/// Most turns; the rest waits for the next call.
const TURNS: usize = 50;

/// Where a row's figures go, and what becomes of figures that are there.
const INTO: &str =
    "INSERT INTO price_hourly AS h (series, hour, observations, prices, changes, last_seen, total,
    lowest, highest)
    SELECT f.series, date_bin(interval '1 hour', f.at, timestamptz 'epoch'), count(*),
           count(*) FILTER (WHERE f.current), count(*) FILTER (WHERE f.changed), max(f.observed_at),
           coalesce(sum(f.price) FILTER (WHERE f.current)::float8, 0),
           coalesce(min(f.price) FILTER (WHERE f.current)::float8, 'Infinity'),
           coalesce(max(f.price) FILTER (WHERE f.current)::float8, '-Infinity')";
const OVER: &str = "GROUP BY 1, 2 ON CONFLICT (series, hour) DO UPDATE
    SET observations = excluded.observations, prices = excluded.prices, changes = excluded.changes,
        last_seen = excluded.last_seen, total = excluded.total, lowest = excluded.lowest, highest = excluded.highest";

/// A transaction on the housekeeper's connection.
type Tx<'c> = Transaction<'c, sqlx::Postgres>;

pub(super) async fn close(connection: &mut PgConnection, now: Time) -> Result<()> {
    let target = Time::from_millis(hour_of(now.plus(-GRACE)) * HOUR);
    let failed = |error| failure("cannot close hours", &error);
    let row = sqlx::query("SELECT hours_closing, hours_summed FROM housekeeping")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let (Stamp(mut closing), Stamp(mut summed)) = (row.get(0), row.get(1));
    if closing.since(target) > HOUR {
        // Somebody's clock was ahead and has been set right.
        let mut tx = exclusive(connection, "cannot open hours").await?;
        sqlx::query("UPDATE housekeeping SET hours_closing = $1, hours_summed = least(hours_summed, $1)")
            .bind(Stamp(target))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        (closing, summed) = (target, summed.min(target));
    }
    if closing < target {
        // From here on writers mark what they add to these hours; those who did not know have ended.
        let mut tx = exclusive(connection, "cannot close hours").await?;
        sqlx::query("UPDATE housekeeping SET hours_closing = $1")
            .bind(Stamp(target))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        closing = target;
    }
    while summed < closing {
        let behind = closing.min(summed.plus(STRETCH).max(closing.plus(-LONG_AGO)));
        sum_up_to(connection, summed, behind).await?;
        summed = behind;
    }
    for _ in 0..TURNS {
        if !anew(connection, summed).await? {
            break;
        }
    }
    Ok(())
}

async fn sum_up_to(connection: &mut PgConnection, from: Time, to: Time) -> Result<()> {
    let failed = |error| failure("cannot sum up hours", &error);
    let mut tx = connection.begin().await.map_err(failed)?;
    between(&mut tx, from, to).await?;
    sqlx::query("UPDATE housekeeping SET hours_summed = $1")
        .bind(Stamp(to))
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)
}

/// Sums up all rows of a range of whole hours.
async fn between(tx: &mut Tx<'_>, from: Time, to: Time) -> Result<()> {
    let sql = format!("{INTO} FROM price_history f WHERE f.at >= $1 AND f.at < $2 {OVER}");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(Stamp(from))
        .bind(Stamp(to))
        .execute(&mut **tx)
        .await
        .map_err(|error| failure("cannot sum up hours", &error))?;
    Ok(())
}

/// Sums up marked hours anew, some at a time; `false` when there is none. A mark goes together with what it
/// asks for, and a row comes together with its mark: none is missed, whoever comes first.
async fn anew(connection: &mut PgConnection, summed: Time) -> Result<bool> {
    let failed = |error| failure("cannot sum up late hours", &error);
    let mut tx = connection.begin().await.map_err(failed)?;
    let marks = sqlx::query(
        "DELETE FROM price_hourly_stale WHERE hour IN (SELECT DISTINCT hour FROM price_hourly_stale ORDER BY hour
         LIMIT $1) RETURNING hour, series",
    )
    .bind(ANEW)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed)?;
    let any = !marks.is_empty();
    let mut all: BTreeSet<Time> = BTreeSet::new();
    let mut single: BTreeSet<(Time, i64)> = BTreeSet::new();
    for mark in marks {
        let (Stamp(hour), series) = (mark.get(0), mark.get(1));
        match series {
            // Open hours are summed up in their time.
            _ if hour >= summed => false,
            None => all.insert(hour),
            Some(series) => single.insert((hour, series)),
        };
    }
    let mut hours = all.iter().copied().peekable();
    while let Some(from) = hours.next() {
        let mut to = from.plus(HOUR);
        while let Some(next) = hours.next_if_eq(&to) {
            to = next.plus(HOUR);
        }
        between(&mut tx, from, to).await?;
    }
    let (hours, series): (Vec<Stamp>, Vec<i64>) = single
        .into_iter()
        .filter(|(hour, _)| !all.contains(hour))
        .map(|(hour, id)| (Stamp(hour), id))
        .unzip();
    if !series.is_empty() {
        let sql = format!(
            "{INTO} FROM unnest($1::timestamptz[], $2::bigint[]) AS s (hour, series)
             CROSS JOIN LATERAL (
                 SELECT * FROM price_history p
                 WHERE p.series = s.series AND p.at >= s.hour AND p.at < s.hour + interval '1 hour' OFFSET 0) f {OVER}"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(hours)
            .bind(series)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(any)
}
