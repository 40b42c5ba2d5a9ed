//! What the sinks write: rows and alerts, each with the position behind it.

use std::iter;

use ahash::HashSet;
use pricemonitor_model::{Alert, Incarnation, Time};

use super::{Database, Engine};
use crate::batch::in_order;
use crate::claim::{Claim, HistoryRow, Written};
use crate::error::Result;
use crate::postgres;
use crate::writer::HistoryWriter;

impl Database {
    /// Writes a batch of observations and the position behind it, both or neither. Rows that lie before
    /// the position are passed over and counted as duplicates.
    ///
    /// A batch that comes again because nobody knows what became of it (the answer to its commit was lost) is written
    /// once: what arrived of it before counts as written by this call.
    ///
    /// # Errors
    /// Nothing is written then, or all of it when the error is transient and the answer was lost: the same batch may
    /// be given again. [`Error::Fenced`](crate::Error::Fenced) when somebody claimed the position,
    /// [`Error::Incarnation`](crate::Error::Incarnation) when the batch is of another life of the topic,
    /// a transient one when the database is busy.
    pub async fn write_history(
        &self,
        writer: &mut HistoryWriter,
        claim: &mut Claim,
        incarnation: Incarnation,
        partition: u32,
        rows: &[HistoryRow<'_>],
        next_offset: u64,
    ) -> Result<Written> {
        let before = |claim: &Claim, rows: &[HistoryRow<'_>]| {
            claim.before(incarnation, partition, rows.iter().map(|row| row.offset))
        };
        let duplicates = before(claim, rows)?;
        let mut fresh = &rows[duplicates..];
        let written = Written { rows: fresh.len() as u64, duplicates: duplicates as u64 };
        loop {
            if claim.position.is_some_and(|(_, next)| next_offset <= next) && fresh.is_empty() {
                return Ok(written);
            }
            in_order(fresh, next_offset)?;
            // Many rows are not little: a slow server may need its time, and what is given up half-way comes again whole.
            let stored =
                on!(self, long, db => db.write_history(writer, claim, incarnation, fresh, next_offset))?;
            if stored {
                return Ok(written);
            }
            // An earlier attempt did arrive. Each such turn moves the position on, so they come to an end.
            fresh = &fresh[before(claim, fresh)?..];
        }
    }

    /// Takes alerts into the outbox, each with the channels that must tell it (none is fine), and
    /// stores the position with them. An alert whose id is known is passed over.
    /// Returns how many were new; all of them, when the answer to an earlier attempt was lost.
    ///
    /// # Errors
    /// As for [`Database::write_history`].
    pub async fn accept_alerts(
        &self,
        claim: &mut Claim,
        incarnation: Incarnation,
        partition: u32,
        alerts: &[(Alert<'static>, Vec<String>)],
        next_offset: u64,
        now: Time,
    ) -> Result<u64> {
        loop {
            // Alerts carry their own identity, so replays need no look at offsets.
            claim.before(incarnation, partition, iter::empty())?;
            let next = claim.position.map_or(next_offset, |(_, next)| next.max(next_offset));
            let new = on!(self, long, db => db.accept_alerts(claim, incarnation, alerts, next, now))?;
            if let Some(new) = new {
                return Ok(new);
            }
            // An earlier attempt did arrive, as a rule this whole batch.
            if claim.position.is_some_and(|(_, reached)| next <= reached) {
                let ids: HashSet<&str> = alerts.iter().map(|(alert, _)| alert.id.as_str()).collect();
                return Ok(ids.len() as u64);
            }
        }
    }
}
