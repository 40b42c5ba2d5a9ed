//! Every row, in the order of time, in bounded memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use pricemonitor_model::{Slot, Time};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::Sqlite;
use super::super::failure::failure;
use super::choose;
use super::figures::{Span, figures};
use super::lines::{Described, describe};
use crate::cells::HOUR;
use crate::error::Result;
use crate::query::{ExportRow, Filter};

/// About how many rows are held in memory.
const PORTION: u64 = 10_000;

/// Where an export stands.
struct Export {
    db: Sqlite,
    /// In the order of their ids.
    series: Arc<Vec<Described>>,
    ids: Arc<str>,
    /// Stretches of time still to be read, each of about a portion of rows.
    stretches: VecDeque<Span>,
    rows: std::vec::IntoIter<ExportRow>,
}

impl Sqlite {
    pub(crate) fn export(&self, filter: &Filter) -> BoxStream<'static, Result<ExportRow>> {
        let (db, filter) = (self.clone(), filter.clone());
        let begun = async move {
            let begun = begin(db, filter).await?;
            Ok(stream::try_unfold(begun, next))
        };
        stream::once(begun).try_flatten().boxed()
    }
}

async fn begin(db: Sqlite, filter: Filter) -> Result<Export> {
    let mut tx = db.look().await?;
    let ids = choose(&mut tx, &filter).await?.ids()?;
    let series = describe(&mut tx, &ids).await?;
    let span = Span::of(filter.from, filter.to);
    let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
    figures(&mut tx, &ids, span, |_, hour, figures| *hours.entry(hour).or_default() += figures.rows).await?;
    drop(tx);
    let stretches = stretches(&hours, span);
    Ok(Export { db, series: Arc::new(series), ids: ids.into(), stretches, rows: Vec::new().into_iter() })
}

/// Cuts the range into stretches of about a portion of rows each: several hours, or parts of one.
fn stretches(hours: &BTreeMap<i64, u64>, span: Span) -> VecDeque<Span> {
    let mut stretches: VecDeque<Span> = VecDeque::new();
    let mut filled = PORTION;
    for (hour, rows) in hours {
        let (from, to) = (hour * HOUR, (hour + 1) * HOUR);
        if filled + rows <= PORTION
            && let Some(last) = stretches.back_mut()
        {
            last.to = to;
            filled += rows;
            continue;
        }
        let parts = rows.div_ceil(PORTION).clamp(1, 3600) as i64;
        let cut = |part: i64| from + HOUR * part / parts;
        stretches.extend((0..parts).map(|part| Span { from: cut(part), to: cut(part + 1) }));
        filled = if parts == 1 { *rows } else { PORTION };
    }
    for stretch in &mut stretches {
        *stretch = Span { from: stretch.from.max(span.from), to: stretch.to.min(span.to) };
    }
    stretches
}

async fn next(mut export: Export) -> Result<Option<(ExportRow, Export)>> {
    loop {
        if let Some(row) = export.rows.next() {
            return Ok(Some((row, export)));
        }
        let Some(stretch) = export.stretches.pop_front() else { return Ok(None) };
        let rows = sqlx::query(
            "SELECT p.series, p.at, p.seen, p.price, p.base, p.length FROM price_history p
             WHERE p.series IN (SELECT value FROM json_each(?1)) AND p.at >= ?2 AND p.at < ?3
             ORDER BY p.at, p.series, p.seen, p.stream, p.\"offset\"",
        )
        .bind(&*export.ids)
        .bind(stretch.from)
        .bind(stretch.to)
        .fetch_all(&export.db.read)
        .await
        .map_err(|error| failure("cannot read prices", &error))?;
        let rows: Vec<ExportRow> = rows.iter().filter_map(|row| exported(row, &export.series)).collect();
        export.rows = rows.into_iter();
    }
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
