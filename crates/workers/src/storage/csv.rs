//! The CSV file's end of the raw topic.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_eventlog::{Batch, Error, Position, Result, Sink};
use pricemonitor_model::Admission;
use pricemonitor_store::HistoryRow;
use pricemonitor_store::csv::CsvSink;

use super::{Row, failed, rows};
use crate::metrics::MonitorMetrics;

/// How long the process that had the file before may take to give it up. Whoever is told to stop meanwhile still ends
/// in time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// A sink that has the file, and keeps other processes from it, while partitions are its. What stands in the file is
/// read when it gets the first one: until then another process may write, for years.
pub struct CsvFile {
    admission: Arc<Admission>,
    path: PathBuf,
    source: String,
    file: Option<CsvSink>,
    partitions: BTreeSet<u32>,
    metrics: MonitorMetrics,
}

impl CsvFile {
    /// A sink for the file at `path`, which is not opened yet. `source` fills the last column.
    pub fn new(admission: Arc<Admission>, path: PathBuf, source: String, metrics: MonitorMetrics) -> CsvFile {
        CsvFile { admission, path, source, file: None, partitions: BTreeSet::new(), metrics }
    }

    fn open(&self) -> Result<CsvSink> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match CsvSink::open(&self.path, &self.source) {
                Err(error) if error.is_transient() && Instant::now() < give_up => std::thread::sleep(LOOK),
                opened => return opened.map_err(failed),
            }
        }
    }
}

fn owned(file: &mut Option<CsvSink>, partition: u32) -> Result<&mut CsvSink> {
    file.as_mut().ok_or_else(|| Error::Worker(format!("partition {partition} was never taken over")))
}

impl Sink for CsvFile {
    fn position(&mut self, partition: u32) -> Result<Option<Position>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let at = file.position(partition);
        self.file = Some(file);
        self.partitions.insert(partition);
        Ok(at.map(|(incarnation, next_offset)| Position { incarnation, next_offset }))
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        let kept = rows(&self.admission, batch)?;
        let file = owned(&mut self.file, batch.partition)?;
        let rows: Vec<HistoryRow<'_>> = kept.iter().map(Row::history).collect();
        let timer = self.metrics.write_seconds("csv").start_timer();
        let written =
            file.append(batch.incarnation, batch.partition, &rows, batch.next_offset()).map_err(failed)?;
        timer.observe_duration();
        self.metrics.rows("csv").inc_by(written.rows);
        self.metrics.duplicates("csv").inc_by(written.duplicates);
        Ok(())
    }

    fn advance(&mut self, partition: u32, position: Position) -> Result<()> {
        let file = owned(&mut self.file, partition)?;
        file.append(position.incarnation, partition, &[], position.next_offset).map(drop).map_err(failed)
    }

    fn revoked(&mut self, partition: u32) {
        self.partitions.remove(&partition);
        if self.partitions.is_empty() {
            self.file = None;
        }
    }
}
