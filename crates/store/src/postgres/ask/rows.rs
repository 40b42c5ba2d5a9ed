//! Single rows.

use futures::TryStreamExt as _;
use pricemonitor_model::{Millis, Slot, Time};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::super::Tx;
use super::super::failure::failure;
use super::super::values::Stamp;
use crate::ask::{Described, Span};
use crate::error::Result;
use crate::query::ExportRow;

/// First and last instant of a range. The last is inclusive: behind the end of time there is none.
fn ends(span: Span) -> (Stamp, Stamp) {
    (Stamp(Time::from_millis(span.from)), Stamp(Time::from_millis(span.to - 1)))
}

/// Every price that counts. A series' prices come as two lists: a row of an answer costs more than a price.
pub(super) async fn prices(
    tx: &mut Tx,
    series: &[i64],
    span: Span,
    each: &mut (dyn FnMut(i64, i64, f64) + Send),
) -> Result<()> {
    let (from, to) = ends(span);
    let mut lists = sqlx::query(
        "SELECT series, array_agg(at), array_agg(price::float8) FROM price_history
         WHERE series = ANY($1) AND at >= $2 AND at <= $3 AND current GROUP BY series",
    )
    .bind(series)
    .bind(from)
    .bind(to)
    .fetch(&mut **tx);
    while let Some(row) = lists.try_next().await.map_err(|error| failure("cannot read prices", &error))? {
        let (series, at, prices): (i64, Vec<Stamp>, Vec<f64>) = (row.get(0), row.get(1), row.get(2));
        at.into_iter().zip(prices).for_each(|(Stamp(at), price)| each(series, at.millis(), price));
    }
    Ok(())
}

/// The last price of every bucket, found through the index without reading the others.
pub(super) async fn sampled(
    tx: &mut Tx,
    series: &[i64],
    span: Span,
    width: Millis,
    each: &mut (dyn FnMut(i64, i64, f64) + Send),
) -> Result<()> {
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    let mut start = span.from.div_euclid(width) * width;
    while start < span.to {
        starts.push(Stamp(Time::from_millis(start.max(span.from))));
        ends.push(Stamp(Time::from_millis((start + width).min(span.to) - 1)));
        start += width;
    }
    let mut rows = sqlx::query(
        "SELECT s.id, p.at, p.price::float8
         FROM unnest($1::bigint[]) AS s (id)
         CROSS JOIN unnest($2::timestamptz[], $3::timestamptz[]) AS b (first, last)
         CROSS JOIN LATERAL (
             SELECT h.at, h.price FROM price_history h
             WHERE h.series = s.id AND h.at >= b.first AND h.at <= b.last AND h.current
             ORDER BY h.at DESC LIMIT 1) p",
    )
    .bind(series)
    .bind(starts)
    .bind(ends)
    .fetch(&mut **tx);
    while let Some(row) = rows.try_next().await.map_err(|error| failure("cannot read prices", &error))? {
        each(row.get(0), row.get::<Stamp, _>(1).0.millis(), row.get(2));
    }
    Ok(())
}

/// Every row of the `series` (in the order of their ids), in the order of time.
pub(super) async fn all(tx: &mut Tx, series: &[Described], span: Span) -> Result<Vec<ExportRow>> {
    let ids: Vec<i64> = series.iter().map(|series| series.id).collect();
    let (from, to) = ends(span);
    let rows = sqlx::query(
        "SELECT series, at, observed_at, slot_end, price::text, base::text FROM price_history
         WHERE series = ANY($1) AND at >= $2 AND at <= $3
         ORDER BY at, series, observed_at, stream, \"offset\"",
    )
    .bind(ids)
    .bind(from)
    .bind(to)
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read prices", &error))?;
    Ok(rows.iter().filter_map(|row| exported(row, series)).collect())
}

fn exported(row: &PgRow, series: &[Described]) -> Option<ExportRow> {
    let id: i64 = row.get(0);
    let of = &series[series.binary_search_by_key(&id, |series| series.id).ok()?];
    let (Stamp(start), Stamp(observed_at)) = (row.get(1), row.get(2));
    Some(ExportRow {
        monitor: of.monitor.clone(),
        source: of.source.clone(),
        item: of.item.clone(),
        event: of.event.clone(),
        section: of.section.clone(),
        price: row.get(4),
        base: row.get(5),
        unit: of.unit.clone(),
        observed_at,
        slot: row.get::<Option<Stamp>, _>(3).map(|Stamp(end)| Slot { start, end }),
    })
}
