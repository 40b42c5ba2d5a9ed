#![allow(clippy::todo, unused_variables)]
//! The CSV file of a monitor. Being written.
use crate::claim::HistoryRow;
use crate::error::Result;
use pricemonitor_model::Incarnation;
use std::path::Path;
/// A CSV file.
#[derive(Debug)]
pub struct CsvSink;
impl CsvSink {
    /// Opens it.
    pub fn open(path: &Path, source: &str) -> Result<CsvSink> {
        todo!()
    }
    /// Where it stands.
    pub fn position(&self, partition: u32) -> Option<(Incarnation, u64)> {
        todo!()
    }
    /// Appends.
    pub fn append(
        &mut self,
        incarnation: Incarnation,
        partition: u32,
        rows: &[HistoryRow<'_>],
        next_offset: u64,
    ) -> Result<()> {
        todo!()
    }
}
