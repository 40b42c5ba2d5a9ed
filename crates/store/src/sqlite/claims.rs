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
        let (incarnation, next): (Option<i64>, Option<i64>) = (row.get(2), row.get(3));
        let claim = Claim {
            epoch: row.get(1),
            position: incarnation.zip(next).map(|(life, next)| (Incarnation(life as u64), next as u64)),
            id: row.get(0),
            name: format!("{sink} of {monitor}"),
            partition,
        };
        tx.commit().await.map_err(failed)?;
        Ok(claim)
    }
}

/// Moves the position on inside the transaction, if it is still this claim's.
pub(super) async fn advance(
    tx: &mut Tx,
    claim: &Claim,
    incarnation: Incarnation,
    next_offset: u64,
    rows: u64,
) -> Result<()> {
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
        return Ok(());
    }
    Err(claim.fenced())
}
