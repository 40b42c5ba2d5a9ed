//! What an audit asks.

use std::ops::Range;

use futures::TryStreamExt as _;
use pricemonitor_model::{Incarnation, MonitorId};
use sqlx::Row as _;

use super::Postgres;
use super::failure::failure;
use crate::database::Position;
use crate::error::Result;

impl Postgres {
    pub(crate) async fn positions(&self, monitor: &MonitorId, sink: &str) -> Result<Vec<Position>> {
        let rows = sqlx::query(
            "SELECT o.partition, o.incarnation, o.next_offset FROM sink_offsets o JOIN monitors m ON m.id = o.monitor
             WHERE m.monitor = $1 AND o.sink = $2 AND o.incarnation IS NOT NULL AND o.next_offset IS NOT NULL
             ORDER BY o.partition, o.id",
        )
        .bind(monitor.as_str())
        .bind(sink)
        .fetch_all(&self.pool)
        .await
        .map_err(|error| failure("cannot read the positions", &error))?;
        let position = |row: &sqlx::postgres::PgRow| Position {
            partition: u32::try_from(row.get::<i32, _>(0)).unwrap_or_default(),
            incarnation: Incarnation(row.get::<i64, _>(1) as u64),
            next_offset: row.get::<i64, _>(2).max(0) as u64,
        };
        Ok(rows.iter().map(position).collect())
    }

    pub(crate) async fn coordinates(
        &self,
        monitor: &MonitorId,
        incarnation: Incarnation,
        partition: u32,
        offsets: Range<u64>,
        mut each: impl FnMut(u64),
    ) -> Result<()> {
        // The rows' order is that of the series: one walk through all of them, whatever the range.
        let mut rows = sqlx::query(
            "SELECT h.\"offset\" FROM price_history h
             WHERE h.stream IN (SELECT o.id FROM sink_offsets o JOIN monitors m ON m.id = o.monitor
                                WHERE m.monitor = $1 AND o.sink = 'history' AND o.partition = $2 AND o.incarnation = $3)
               AND h.\"offset\" >= $4 AND h.\"offset\" < $5",
        )
        .bind(monitor.as_str())
        .bind(i64::from(partition))
        .bind(incarnation.0 as i64)
        .bind(i64::try_from(offsets.start).unwrap_or(i64::MAX))
        .bind(i64::try_from(offsets.end).unwrap_or(i64::MAX))
        .fetch(&self.pool);
        let failed = |error| failure("cannot read the history's coordinates", &error);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            each(row.get::<i64, _>(0).max(0) as u64);
        }
        Ok(())
    }

    pub(crate) async fn alert_ids(&self, monitor: &MonitorId, mut each: impl FnMut(&str)) -> Result<()> {
        let mut rows = sqlx::query(
            "SELECT a.id FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor WHERE m.monitor = $1",
        )
        .bind(monitor.as_str())
        .fetch(&self.pool);
        while let Some(row) =
            rows.try_next().await.map_err(|error| failure("cannot read the alerts", &error))?
        {
            each(row.get(0));
        }
        Ok(())
    }
}
