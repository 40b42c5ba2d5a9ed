//! What the sinks write: rows and alerts, each with the position behind it.

use std::collections::BTreeMap;
use std::iter;

use ahash::HashSet;
use pricemonitor_model::{Alert, Incarnation, Time};

use super::{Database, Engine};
use crate::batch::in_order;
use crate::claim::{Accepting, Claim, HistoryRow, Written};
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

    /// Takes alerts of one partition into the outbox; see [`Database::accept_all`].
    ///
    /// # Errors
    /// As for [`Database::accept_all`].
    pub async fn accept_alerts(
        &self,
        claim: &mut Claim,
        incarnation: Incarnation,
        partition: u32,
        alerts: &[(Alert<'static>, Vec<String>)],
        next_offset: u64,
        now: Time,
    ) -> Result<u64> {
        let one = Accepting { claim, incarnation, partition, alerts, next_offset };
        self.accept_all(&mut [one], now).await.into_iter().sum()
    }

    /// Takes alerts of several partitions into the outbox, each with the channels that must tell it, and stores the
    /// positions with them. An alert whose id is known is passed over, and one that several of them have is stored once.
    /// Each partition has an answer of its own, in their order: how many of its alerts were new; all of them, when the
    /// answer to an earlier attempt was lost. A claim that is fenced does not keep the others; what the
    /// database has against the statement keeps all.
    ///
    /// # Errors
    /// For each as for [`Database::write_history`].
    pub async fn accept_all(&self, accepting: &mut [Accepting<'_>], now: Time) -> Vec<Result<u64>> {
        let (mut open, mut answers) = (Vec::with_capacity(accepting.len()), BTreeMap::new());
        for (place, one) in accepting.iter_mut().enumerate() {
            // Alerts carry their own identity, so replays need no look at offsets.
            match one.claim.before(one.incarnation, one.partition, iter::empty()) {
                Ok(_) => open.push((place, one)),
                Err(error) => drop(answers.insert(place, Err(error))),
            }
        }
        while !open.is_empty() {
            let done = self.accept_once(&mut open, now).await;
            let mut left = Vec::new();
            for ((place, one), done) in open.into_iter().zip(done) {
                match done {
                    Ok(Some(new)) => drop(answers.insert(place, Ok(new))),
                    // An earlier attempt did arrive, as a rule this whole batch.
                    Ok(None) if one.is_reached() => drop(answers.insert(place, Ok(different(one.alerts)))),
                    // Each such turn moves the position on, so they come to an end.
                    Ok(None) => left.push((place, one)),
                    Err(error) => drop(answers.insert(place, Err(error))),
                }
            }
            open = left;
        }
        answers.into_values().collect()
    }

    /// One attempt: for each, how many alerts are new, or `None` where its position had been moved before.
    async fn accept_once(
        &self,
        open: &mut [(usize, &mut Accepting<'_>)],
        now: Time,
    ) -> Vec<Result<Option<u64>>> {
        let mut all: Vec<_> = open.iter_mut().map(|(_, one)| &mut **one).collect();
        let done = on!(self, long, db => db.accept_alerts(&mut all, now));
        done.unwrap_or_else(|error| open.iter().map(|_| Err(error.clone())).collect())
    }
}

/// How many alerts these are: the same id is the same alert.
fn different(alerts: &[(Alert<'static>, Vec<String>)]) -> u64 {
    alerts.iter().map(|(alert, _)| alert.id.as_str()).collect::<HashSet<&str>>().len() as u64
}
