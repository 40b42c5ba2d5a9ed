//! The storage worker: raw records into the history, and into the CSV file.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use pricemonitor_eventlog::{Batch, Error, Position, Result, Sink};
use pricemonitor_model::{Admission, Admitted, Coordinates, MonitorId, Rejection, admission};
use pricemonitor_store::{Claim, Database, HistoryRow, HistoryWriter};
use tokio::runtime::Handle;

use crate::metrics::MonitorMetrics;

mod csv;
mod pieces;

pub use csv::CsvFile;
use pieces::Pieces;

/// The observations of a batch that both readers of the raw topic agree on; ticks, foreign records
/// and dead letters are left out.
fn rows<'a>(admission: &Admission, batch: &Batch<'a>) -> Result<Vec<Row<'a>>> {
    let mut rows = Vec::with_capacity(batch.records.len());
    for record in batch.records {
        match admission::admit(admission, batch.partition, record.key, record.value, record.timestamp) {
            Ok(Admitted::Observation(observation)) => rows.push(Row { record: *record, observation }),
            Ok(Admitted::Tick(_) | Admitted::Foreign) | Err(Rejection::Dead { .. }) => {}
            Err(newer @ Rejection::Newer(_)) => {
                let (incarnation, partition) = (batch.incarnation, batch.partition);
                let at = Coordinates { incarnation, partition, offset: record.offset };
                return Err(Error::TooNew { offset: at.offset, why: format!("{at}: {newer}") });
            }
        }
    }
    Ok(rows)
}

struct Row<'a> {
    record: pricemonitor_eventlog::Record<'a>,
    observation: pricemonitor_model::Observation<'a>,
}

impl<'a> Row<'a> {
    fn history(&'a self) -> HistoryRow<'a> {
        HistoryRow {
            offset: self.record.offset,
            log_time: self.record.timestamp,
            observation: &self.observation,
        }
    }
}

/// The database's end of the raw topic.
pub struct HistorySink {
    monitor: MonitorId,
    admission: Arc<Admission>,
    database: Database,
    writer: HistoryWriter,
    claims: HashMap<u32, Claim>,
    pieces: Pieces,
    runtime: Handle,
    metrics: MonitorMetrics,
}

impl HistorySink {
    /// A sink that waits for the database on `runtime`; its methods must not be called from one of
    /// the runtime's threads.
    pub fn new(
        monitor: MonitorId,
        admission: Arc<Admission>,
        database: Database,
        writer: HistoryWriter,
        runtime: Handle,
        metrics: MonitorMetrics,
    ) -> HistorySink {
        let (claims, pieces) = (HashMap::new(), Pieces::default());
        HistorySink { monitor, admission, database, writer, claims, pieces, runtime, metrics }
    }

    /// Writes rows and where the partition goes on behind them, both or neither.
    fn store(&mut self, partition: u32, rows: &[HistoryRow<'_>], reached: Position) -> Result<()> {
        let Some(claim) = self.claims.get_mut(&partition) else {
            return Err(Error::Worker(format!("partition {partition} was never claimed")));
        };
        let (began, timer) = (Instant::now(), self.metrics.write_seconds("history").start_timer());
        let Position { incarnation, next_offset } = reached;
        let writer = &mut self.writer;
        let write = self.database.write_history(writer, claim, incarnation, partition, rows, next_offset);
        let written = self.runtime.block_on(write);
        self.pieces.after(rows.len(), began.elapsed(), written.is_ok());
        let written = written.map_err(failed)?;
        timer.observe_duration();
        self.metrics.rows("history").inc_by(written.rows);
        self.metrics.duplicates("history").inc_by(written.duplicates);
        Ok(())
    }
}

impl Sink for HistorySink {
    fn position(&mut self, partition: u32) -> Result<Option<Position>> {
        let claim = self
            .runtime
            .block_on(self.database.claim(&self.monitor, "history", partition))
            .map_err(failed)?;
        let position = position(&claim);
        self.claims.insert(partition, claim);
        Ok(position)
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        let kept = rows(&self.admission, batch)?;
        let rows: Vec<HistoryRow<'_>> = kept.iter().map(Row::history).collect();
        let mut left = &rows[..];
        loop {
            // Each piece has the position behind it, so that those that are written need not come again.
            let (piece, rest) = left.split_at(self.pieces.most().min(left.len()));
            let next_offset = rest.first().map_or(batch.next_offset(), |row| row.offset);
            let reached = Position { incarnation: batch.incarnation, next_offset };
            self.store(batch.partition, piece, reached)?;
            if rest.is_empty() {
                return Ok(());
            }
            left = rest;
        }
    }

    fn advance(&mut self, partition: u32, position: Position) -> Result<()> {
        self.store(partition, &[], position)
    }

    fn revoked(&mut self, partition: u32) {
        self.claims.remove(&partition);
    }
}

/// Where a claim says that its partition stands.
pub(crate) fn position(claim: &Claim) -> Option<Position> {
    claim.position.map(|(incarnation, next_offset)| Position { incarnation, next_offset })
}

/// The store's error in the log's words: what may pass is retried, what fences ends.
pub(crate) fn failed(error: pricemonitor_store::Error) -> Error {
    use pricemonitor_store::Error as Store;
    let text = error.to_string();
    match error {
        Store::Fenced(_) => Error::Fenced(text),
        Store::Newer(_) => Error::Newer(text),
        Store::Incarnation(_) => Error::Position(text),
        error if error.is_transient() => Error::Retry(text),
        _ => Error::Storage(text),
    }
}
