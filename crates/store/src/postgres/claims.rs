//! Positions, and who owns them.

use std::collections::HashMap;

use pricemonitor_model::{Incarnation, MonitorId, Time};
use sqlx::{PgConnection, PgExecutor, Row as _};

use super::Postgres;
use super::failure::failure;
use super::values::Stamp;
use crate::claim::{Claim, number};
use crate::error::{Error, Result};

/// What a writer needs to know for its transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Rows in hours before this instant mark their hour as stale.
    pub(super) closing: Time,
    /// Deletions of series so far.
    pub(super) generation: i64,
}

/// Epoch and position of a row.
pub(super) type Found = (i64, Option<(Incarnation, u64)>);

impl Postgres {
    pub(crate) async fn claim(&self, monitor: &MonitorId, sink: &str, partition: u32) -> Result<Claim> {
        // Waits for a batch that is under way: it was written by the owner it belongs to.
        let row = sqlx::query(
            "INSERT INTO sink_offsets AS o (monitor, sink, partition, owner_epoch, rows)
             SELECT id, $2, $3, 1, 0 FROM monitors WHERE monitor = $1
             ON CONFLICT (monitor, sink, partition) DO UPDATE SET owner_epoch = o.owner_epoch + 1
             RETURNING id, owner_epoch, incarnation, next_offset",
        )
        .bind(monitor.as_str())
        .bind(sink)
        .bind(i64::from(partition))
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| failure("cannot claim a position", &error))?;
        let Some(row) = row else {
            return Err(Error::Storage(format!("the monitor {monitor} is not registered in the database")));
        };
        Ok(Claim {
            epoch: row.get(1),
            position: position(row.get(2), row.get(3)),
            id: row.get::<i32, _>(0).into(),
            name: format!("{sink} of {monitor}"),
            partition,
            furthest: 0,
        })
    }
}

/// Moves the position on inside the transaction, if it is still this claim's and where the claim knows it. `span` is
/// the stretch of time that the rows tell prices for. `None`: an earlier write under the claim has moved it, whose
/// answer was lost; the claim stands there now.
pub(super) async fn advance(
    connection: &mut PgConnection,
    claim: &mut Claim,
    incarnation: Incarnation,
    next_offset: u64,
    rows: u64,
    span: Option<(Time, Time)>,
) -> Result<Option<Standing>> {
    let expected = claim.position.map(|(_, next)| number(next)).transpose()?;
    let row = sqlx::query(
        "UPDATE sink_offsets o
         SET incarnation = $4, next_offset = $5, rows = o.rows + $6,
             first_at = least(o.first_at, $7), last_at = greatest(o.last_at, $8)
         FROM housekeeping h
         WHERE o.id = $1 AND o.owner_epoch = $2 AND o.next_offset IS NOT DISTINCT FROM $3
         RETURNING h.hours_closing, h.series_generation",
    )
    .bind(claim.id)
    .bind(claim.epoch)
    .bind(expected)
    .bind(incarnation.0 as i64)
    .bind(number(next_offset)?)
    .bind(number(rows)?)
    .bind(span.map(|(first, _)| Stamp(first)))
    .bind(span.map(|(_, last)| Stamp(last)))
    .fetch_optional(&mut *connection)
    .await
    .map_err(|error| failure("cannot store the position", &error))?;
    if let Some(row) = row {
        claim.furthest = claim.furthest.max(next_offset);
        return Ok(Some(Standing { closing: row.get::<Stamp, _>(0).0, generation: row.get(1) }));
    }
    let found = reread(connection, &[claim.id]).await?;
    claim.adopt(incarnation, found.get(&claim.id).copied())?;
    Ok(None)
}

/// Epochs and positions as the database has them, by number, for [`Claim::adopt`]. Whoever found another one than the
/// claim's has waited for a write that was still under way on the server, so this sees what came of it.
pub(super) async fn reread(connection: impl PgExecutor<'_>, ids: &[i64]) -> Result<HashMap<i64, Found>> {
    let rows = sqlx::query(
        "SELECT id::bigint, owner_epoch, incarnation, next_offset FROM sink_offsets WHERE id = ANY ($1)",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
    .map_err(|error| failure("cannot read the position", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), position(row.get(2), row.get(3))))).collect())
}

/// A position, as its columns tell it.
fn position(incarnation: Option<i64>, next: Option<i64>) -> Option<(Incarnation, u64)> {
    incarnation.zip(next).map(|(life, next)| (Incarnation(life as u64), next as u64))
}
