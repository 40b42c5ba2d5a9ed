//! Positions, and who owns them.

use pricemonitor_model::{Incarnation, MonitorId};
use sqlx::Row as _;

use super::failure::failure;
use super::{Sqlite, Tx};
use crate::claim::{Claim, number};
use crate::error::{Error, Result};

impl Sqlite {
    pub(crate) async fn claim(&self, monitor: &MonitorId, sink: &str, partition: u32) -> Result<Claim> {
        let failed = |error| failure("cannot claim a position", &error);
        let mut tx = self.begin().await?;
        let renewed = sqlx::query(
            "UPDATE sink_offsets SET owner_epoch = owner_epoch + 1
             WHERE id = (SELECT max(o.id) FROM sink_offsets o JOIN monitors m ON m.id = o.monitor
                         WHERE m.monitor = ?1 AND o.sink = ?2 AND o.partition = ?3)
             RETURNING id, owner_epoch, incarnation, next_offset",
        )
        .bind(monitor.as_str())
        .bind(sink)
        .bind(partition)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
        let row = match renewed {
            Some(row) => Some(row),
            None => sqlx::query(
                "INSERT INTO sink_offsets (monitor, sink, partition, owner_epoch, rows)
                 SELECT id, ?2, ?3, 1, 0 FROM monitors WHERE monitor = ?1
                 RETURNING id, owner_epoch, incarnation, next_offset",
            )
            .bind(monitor.as_str())
            .bind(sink)
            .bind(partition)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed)?,
        };
        let Some(row) = row else {
            return Err(Error::Storage(format!("the monitor {monitor} is not registered in the database")));
        };
        let claim = Claim {
            epoch: row.get(1),
            position: position(row.get(2), row.get(3)),
            id: row.get(0),
            name: format!("{sink} of {monitor}"),
            partition,
            furthest: 0,
        };
        tx.commit().await.map_err(failed)?;
        Ok(claim)
    }
}

/// Moves the position on inside the transaction, if it is still this claim's and where the claim knows it. `false`: an
/// earlier write under the claim has moved it, whose answer was lost (it was given up in the middle of its commit); the
/// claim stands there now.
pub(super) async fn advance(
    tx: &mut Tx,
    claim: &mut Claim,
    incarnation: Incarnation,
    next_offset: u64,
    rows: u64,
) -> Result<bool> {
    let expected = claim.position.map(|(_, next)| number(next)).transpose()?;
    let done = sqlx::query(
        "UPDATE sink_offsets SET incarnation = ?4, next_offset = ?5, rows = rows + ?6
         WHERE id = ?1 AND owner_epoch = ?2 AND next_offset IS ?3",
    )
    .bind(claim.id)
    .bind(claim.epoch)
    .bind(expected)
    .bind(incarnation.0 as i64)
    .bind(number(next_offset)?)
    .bind(number(rows)?)
    .execute(&mut **tx)
    .await
    .map_err(|error| failure("cannot store the position", &error))?;
    if done.rows_affected() == 1 {
        claim.furthest = claim.furthest.max(next_offset);
        return Ok(true);
    }
    let found = sqlx::query("SELECT owner_epoch, incarnation, next_offset FROM sink_offsets WHERE id = ?1")
        .bind(claim.id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(|error| failure("cannot read the position", &error))?;
    claim.adopt(incarnation, found.map(|row| (row.get(0), position(row.get(1), row.get(2)))))?;
    Ok(false)
}

/// A position, as its columns tell it.
fn position(incarnation: Option<i64>, next: Option<i64>) -> Option<(Incarnation, u64)> {
    incarnation.zip(next).map(|(life, next)| (Incarnation(life as u64), next as u64))
}
