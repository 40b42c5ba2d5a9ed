//! Every row, in the order of time, in bounded memory.

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::{BTreeMap, VecDeque};

use super::{Ask, Described, Group, Look as _, Span};
use crate::cells::HOUR;
use crate::error::Result;
use crate::query::{ExportRow, Filter};

/// About how many rows are held in memory.
const PORTION: u64 = 10_000;

/// Where an export stands.
struct Export<A> {
    db: A,
    /// In the order of their ids.
    series: Vec<Described>,
    /// Stretches of time still to be read, each of about a portion of rows.
    stretches: VecDeque<Span>,
    rows: std::vec::IntoIter<ExportRow>,
}

pub(crate) fn export<A: Ask>(db: &A, filter: &Filter) -> BoxStream<'static, Result<ExportRow>> {
    let (db, filter) = (db.clone(), filter.clone());
    let begun = async move {
        let begun = begin(db, filter).await?;
        Ok(stream::try_unfold(begun, next))
    };
    stream::once(begun).try_flatten().boxed()
}

async fn begin<A: Ask>(db: A, filter: Filter) -> Result<Export<A>> {
    let mut look = db.begin_look().await?;
    let ids = look.choose(&filter).await?.ids();
    let series = look.describe(&ids).await?;
    let span = Span::of(filter.from, filter.to);
    let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
    look.figures(&ids, span, Group::Together, &mut |_, (hour, _), figures| {
        *hours.entry(hour).or_default() += figures.rows;
    })
    .await?;
    drop(look);
    Ok(Export { db, series, stretches: stretches(&hours, span), rows: Vec::new().into_iter() })
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

async fn next<A: Ask>(mut export: Export<A>) -> Result<Option<(ExportRow, Export<A>)>> {
    loop {
        if let Some(row) = export.rows.next() {
            return Ok(Some((row, export)));
        }
        let Some(stretch) = export.stretches.pop_front() else { return Ok(None) };
        // Each stretch is a look of its own: who reads slowly must hold nothing.
        export.rows = export.db.begin_look().await?.rows(&export.series, stretch).await?.into_iter();
    }
}
