//! Single rows.

use futures::TryStreamExt as _;
use pricemonitor_model::{Millis, Slot, Time};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::Tx;
use super::super::failure::failure;
use crate::ask::{Described, Span};
use crate::error::Result;
use crate::query::ExportRow;

/// Calls `each` with every price that counts, or with the last one in every bucket of the `sampled`
/// width. A series' prices come as one text: a row of an answer costs more than a price.
pub(super) async fn prices(
    tx: &mut Tx,
    ids: &str,
    span: Span,
    sampled: Option<Millis>,
    each: &mut (dyn FnMut(i64, i64, f64) + Send),
) -> Result<()> {
    let sql = match sampled {
        None => {
            "SELECT j.value, (
                 SELECT group_concat((p.at - ?2) || ' ' || p.price, ';') FROM price_history p
                 WHERE p.series = j.value AND p.at >= ?2 AND p.at < ?3 AND p.current = 1 AND ?4 IS NULL)
             FROM json_each(?1) j"
        }
        Some(_) => {
            "WITH RECURSIVE bucket (start) AS (
                 SELECT ?2 / ?4 * ?4 UNION ALL SELECT start + ?4 FROM bucket WHERE start + ?4 < ?3)
             SELECT j.value, (
                 SELECT group_concat((
                     SELECT (p.at - ?2) || ' ' || p.price FROM price_history p
                     WHERE p.series = j.value AND p.at >= max(b.start, ?2) AND p.at < min(b.start + ?4, ?3)
                       AND p.current = 1
                     ORDER BY p.at DESC LIMIT 1), ';')
                 FROM bucket b)
             FROM json_each(?1) j"
        }
    };
    let mut texts = sqlx::query(sql).bind(ids).bind(span.from).bind(span.to).bind(sampled).fetch(&mut **tx);
    while let Some(row) = texts.try_next().await.map_err(|error| failure("cannot read prices", &error))? {
        let (series, text): (i64, Option<&str>) = (row.get(0), row.get(1));
        for entry in text.unwrap_or_default().split(';') {
            let Some((after, price)) = entry.split_once(' ') else { continue };
            if let (Ok(after), Ok(price)) = (after.parse::<i64>(), price.parse()) {
                each(series, span.from + after, price);
            }
        }
    }
    Ok(())
}

/// Calls `each` with every price that counts. A series' prices come as one text: a row of an answer costs more than a price.
pub(super) async fn values(
    tx: &mut Tx,
    ids: &str,
    span: Span,
    each: &mut (dyn FnMut(f64) + Send),
) -> Result<()> {
    let mut texts = sqlx::query(
        "SELECT (SELECT group_concat(p.price, ';') FROM price_history p
                 WHERE p.series = j.value AND p.at >= ?2 AND p.at < ?3 AND p.current = 1)
         FROM json_each(?1) j",
    )
    .bind(ids)
    .bind(span.from)
    .bind(span.to)
    .fetch(&mut **tx);
    while let Some(row) = texts.try_next().await.map_err(|error| failure("cannot count prices", &error))? {
        let text: Option<&str> = row.get(0);
        let prices = text.unwrap_or_default().split(';').filter_map(|price| price.parse::<f64>().ok());
        prices.for_each(&mut *each);
    }
    Ok(())
}

/// Every row of the `series` (in the order of their ids), in the order of time.
pub(super) async fn all(tx: &mut Tx, series: &[Described], span: Span) -> Result<Vec<ExportRow>> {
    let ids: Vec<i64> = series.iter().map(|series| series.id).collect();
    let rows = sqlx::query(
        "SELECT p.series, p.at, p.seen, p.price, p.base, p.length FROM price_history p
             WHERE p.series IN (SELECT value FROM json_each(?1)) AND p.at >= ?2 AND p.at < ?3
             ORDER BY p.at, p.series, p.seen, p.stream, p.\"offset\"",
    )
    .bind(super::ids(&ids)?)
    .bind(span.from)
    .bind(span.to)
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read prices", &error))?;
    Ok(rows.iter().filter_map(|row| exported(row, series)).collect())
}

fn exported(row: &SqliteRow, series: &[Described]) -> Option<ExportRow> {
    let id: i64 = row.get(0);
    let of = &series[series.binary_search_by_key(&id, |series| series.id).ok()?];
    let at = Time::from_millis(row.get(1));
    Some(ExportRow {
        monitor: of.monitor.clone(),
        source: of.source.clone(),
        item: of.item.clone(),
        event: of.event.clone(),
        section: of.section.clone(),
        price: row.get(3),
        base: row.get(4),
        unit: of.unit.clone(),
        observed_at: at.plus(row.get(2)),
        slot: row.get::<Option<i64>, _>(5).map(|length| Slot { start: at, end: at.plus(length) }),
    })
}
