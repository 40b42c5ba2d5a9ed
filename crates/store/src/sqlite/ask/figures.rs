//! Hourly figures over a range of time.

use futures::TryStreamExt as _;
use pricemonitor_model::Time;
use sqlx::Row as _;

use super::super::Tx;
use super::super::failure::failure;
use crate::ask::{EachFigures, Span};
use crate::cells::{Day, Figures, HOUR};
use crate::error::{Error, Result};

/// Calls `each` with series, hour since the epoch and the figures of (the part of) that hour in the range,
/// for every series of `ids` (a JSON list) and hour that has rows. Each series' hours may come in
/// any order.
pub(super) async fn figures(tx: &mut Tx, ids: &str, span: Span, each: &mut EachFigures<'_>) -> Result<()> {
    if span.from >= span.to {
        return Ok(());
    }
    let (hours, ends) = span.hours();
    // The series that have rows in the hours at the ends, as their figures tell.
    let mut touched: Vec<Vec<i64>> = vec![Vec::new(); ends.len()];
    let mut days = sqlx::query(
        "SELECT d.series, d.day, d.cells FROM json_each(?1) j CROSS JOIN price_hourly d
         ON d.series = j.value AND d.day BETWEEN ?2 AND ?3",
    )
    .bind(ids)
    .bind(span.from.div_euclid(24 * HOUR))
    .bind((span.to - 1).div_euclid(24 * HOUR))
    .fetch(&mut **tx);
    while let Some(row) =
        days.try_next().await.map_err(|error| failure("cannot read hourly figures", &error))?
    {
        let (series, day): (i64, i64) = (row.get(0), row.get(1));
        for (hour, figures) in Day::decode(day, row.get(2))?.0 {
            if hours.contains(&hour) {
                each(series, (hour, hour), &figures);
            } else if let Some(end) = ends.iter().position(|end| end.from.div_euclid(HOUR) == hour) {
                touched[end].push(series);
            }
        }
    }
    drop(days);
    for (end, touched) in ends.into_iter().zip(touched) {
        if !touched.is_empty() {
            part_of_hour(tx, &super::ids(&touched)?, end, each).await?;
        }
    }
    Ok(())
}

/// Sums up rows; no b-tree is built, because the rows already lie in the order of their series. All sums come
/// as one text: a row of an answer costs more than the look-up behind it.
async fn part_of_hour(tx: &mut Tx, ids: &str, span: Span, each: &mut EachFigures<'_>) -> Result<()> {
    let text: Option<String> = sqlx::query_scalar(
        "SELECT group_concat(series || ' ' || rows || ' ' || changes || ' ' || seen || ' ' || prices || ' '
                             || format('%!.17g', sum) || ' ' || low || ' ' || high, ';')
         FROM (SELECT p.series, count(*) AS rows, sum(p.changed) AS changes, max(p.at + p.seen) AS seen,
                      sum(p.current) AS prices, total(p.value) FILTER (WHERE p.current) AS sum,
                      coalesce(min(p.value) FILTER (WHERE p.current), 'inf') AS low,
                      coalesce(max(p.value) FILTER (WHERE p.current), '-inf') AS high
               FROM price_history p
               WHERE p.series IN (SELECT value FROM json_each(?1)) AND p.at >= ?2 AND p.at < ?3
               GROUP BY p.series)",
    )
    .bind(ids)
    .bind(span.from)
    .bind(span.to)
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failure("cannot sum up prices", &error))?;
    for entry in text.as_deref().unwrap_or_default().split(';').filter(|entry| !entry.is_empty()) {
        let (series, figures) = summed(entry)
            .ok_or_else(|| Error::Storage(format!("the sums `{entry}` of prices cannot be read")))?;
        let hour = span.from.div_euclid(HOUR);
        each(series, (hour, hour), &figures);
    }
    Ok(())
}

/// Reads `series rows changes seen prices sum low high`.
fn summed(entry: &str) -> Option<(i64, Figures)> {
    let mut parts = entry.split(' ');
    let series = parts.next()?.parse().ok()?;
    let figures = Figures {
        rows: parts.next()?.parse().ok()?,
        changes: parts.next()?.parse().ok()?,
        last_seen: Time::from_millis(parts.next()?.parse().ok()?),
        prices: parts.next()?.parse().ok()?,
        sum: parts.next()?.parse().ok()?,
        low: parts.next()?.parse().ok()?,
        high: parts.next()?.parse().ok()?,
    };
    Some((series, figures))
}
