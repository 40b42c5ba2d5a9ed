//! Observations into the history.

mod copy;
mod numeric;
mod series;
mod stale;
mod stored;

use pricemonitor_model::{Incarnation, Time};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection};

use super::Postgres;
use super::claims::{Standing, advance};
use super::failure::failure;
use crate::batch::{self, span};
use crate::claim::{Claim, HistoryRow};
use crate::error::Result;
use crate::writer::HistoryWriter;

/// Begins a batch. The shared lock keeps housekeeping from closing hours and deleting series meanwhile.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock_shared(1886613097, 1)";

impl Postgres {
    /// Writes the rows, all of them behind the claim's position. `false`, and nothing was written: an earlier write under
    /// the claim has moved the position, see [`advance`].
    pub(crate) async fn write_history(
        &self,
        writer: &mut HistoryWriter,
        claim: &mut Claim,
        incarnation: Incarnation,
        rows: &[HistoryRow<'_>],
        next_offset: u64,
    ) -> Result<bool> {
        let failed = |error| failure("cannot begin to write to the database", &error);
        let mut attempt = Attempt { connection: self.pool.acquire().await.map_err(failed)?, whole: false };
        let mut tx = attempt.connection.begin_with(BEGIN).await.map_err(failed)?;
        let spans = rows.iter().map(|row| span(row.observation));
        let spanned = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        // First of all: a writer that was fenced must not look any further.
        let moved = advance(&mut tx, claim, incarnation, next_offset, rows.len() as u64, spanned).await?;
        let Some(standing) = moved else { return Ok(false) };
        if !rows.is_empty() {
            writer.begin();
            if writer.generation != standing.generation {
                // Series were deleted, perhaps remembered ones.
                writer.forget();
                writer.generation = standing.generation;
            }
            store(&mut tx, writer, claim, standing, rows).await?;
        }
        tx.commit().await.map_err(|error| failure("cannot commit prices", &error))?;
        attempt.whole = true;
        writer.committed();
        claim.position = Some((incarnation, next_offset));
        Ok(true)
    }
}

/// A batch on its way. When it is given up half-way, perhaps in the middle of a `COPY`, nobody knows what its
/// connection would answer next: it is closed, and the server takes the batch back.
struct Attempt {
    connection: PoolConnection<sqlx::Postgres>,
    whole: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.whole {
            self.connection.close_on_drop();
        }
    }
}

async fn store(
    connection: &mut PgConnection,
    writer: &mut HistoryWriter,
    claim: &Claim,
    standing: Standing,
    rows: &[HistoryRow<'_>],
) -> Result<()> {
    let under = (claim.id, claim.epoch);
    let (met, mut prepared) = series::resolve(connection, writer, under, rows).await?;
    let ids: Vec<i64> = met.iter().map(|met| met.id).collect();
    let mut last = stored::latest(connection, &met).await?;
    let slots = stored::look_up(connection, &ids, &prepared, &last).await?;
    let demoted = batch::settle(&mut prepared, &mut last, slots);
    stored::demote(connection, &ids, &demoted).await?;
    // Neighbours in the index are written together, and a chart finds a series' rows on few pages.
    prepared.sort_by_key(|row| (ids[row.place], row.at));
    copy::rows(connection, claim.id, &ids, &prepared).await?;
    stale::mark(connection, writer.monitor, standing.closing, &ids, &prepared).await?;
    series::remember(writer, under, rows, &met, last);
    Ok(())
}

/// The first instant of an hour.
fn hour_start(at: Time) -> Time {
    Time::from_millis(crate::cells::hour_of(at) * crate::cells::HOUR)
}
