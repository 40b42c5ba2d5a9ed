#![allow(clippy::todo, unused_variables, missing_docs)]
//! Being written.
use crate::claim::{Claim, HistoryRow, Maintained, MonitorKey, Written};
use crate::error::Result;
use crate::outbox::{DeliveryEnd, Pending, PendingCount};
use crate::query::{AlertRow, Bar, Cursor, ExportRow, Facets, Filter, History, HourCell, Statistics};
use crate::writer::HistoryWriter;
use futures::stream::BoxStream;
use pricemonitor_model::{Alert, AlertId, Incarnation, Millis, MonitorId, Time};
use std::path::Path;
use std::time::Duration;
#[derive(Clone, Debug)]
pub(crate) struct Sqlite;
impl Sqlite {
    pub(crate) async fn open(path: &Path) -> Result<Sqlite> {
        todo!()
    }
    pub(crate) fn export(&self, filter: &Filter) -> BoxStream<'static, Result<ExportRow>> {
        todo!()
    }
    pub(crate) async fn register(
        &self,
        monitor: &MonitorId,
        retention: Duration,
        now: Time,
    ) -> Result<MonitorKey> {
        todo!()
    }
    pub(crate) async fn close(&self) {
        todo!()
    }
    pub(crate) async fn claim(&self, monitor: &MonitorId, sink: &str, partition: u32) -> Result<Claim> {
        todo!()
    }
    pub(crate) async fn write_history(
        &self,
        writer: &mut HistoryWriter,
        claim: &mut Claim,
        incarnation: Incarnation,
        partition: u32,
        rows: &[HistoryRow<'_>],
        next_offset: u64,
    ) -> Result<Written> {
        todo!()
    }
    pub(crate) async fn accept_alerts(
        &self,
        claim: &mut Claim,
        incarnation: Incarnation,
        partition: u32,
        alerts: &[(Alert<'static>, Vec<String>)],
        next_offset: u64,
        now: Time,
    ) -> Result<u64> {
        todo!()
    }
    pub(crate) async fn due(
        &self,
        monitor: &MonitorId,
        channel: &str,
        now: Time,
        limit: usize,
    ) -> Result<Vec<Pending>> {
        todo!()
    }
    pub(crate) async fn attempting(
        &self,
        monitor: &MonitorId,
        channel: &str,
        ids: &[AlertId],
        now: Time,
    ) -> Result<()> {
        todo!()
    }
    pub(crate) async fn delivered(
        &self,
        monitor: &MonitorId,
        channel: &str,
        ids: &[AlertId],
        message_id: Option<&str>,
        now: Time,
    ) -> Result<()> {
        todo!()
    }
    pub(crate) async fn failed(
        &self,
        monitor: &MonitorId,
        channel: &str,
        ids: &[AlertId],
        reason: &str,
        next_attempt: Time,
        ambiguous: bool,
    ) -> Result<()> {
        todo!()
    }
    pub(crate) async fn finish(
        &self,
        monitor: &MonitorId,
        channel: &str,
        ids: &[AlertId],
        end: DeliveryEnd,
        reason: &str,
        now: Time,
    ) -> Result<()> {
        todo!()
    }
    pub(crate) async fn lease(
        &self,
        monitor: &MonitorId,
        channel: &str,
        owner: &str,
        now: Time,
        ttl: Millis,
    ) -> Result<bool> {
        todo!()
    }
    pub(crate) async fn pending_counts(&self, monitor: &MonitorId) -> Result<Vec<PendingCount>> {
        todo!()
    }
    pub(crate) async fn facets(&self) -> Result<Facets> {
        todo!()
    }
    pub(crate) async fn statistics(&self, filter: &Filter) -> Result<Statistics> {
        todo!()
    }
    pub(crate) async fn history(
        &self,
        filter: &Filter,
        max_lines: usize,
        max_points: usize,
    ) -> Result<History> {
        todo!()
    }
    pub(crate) async fn distribution(&self, filter: &Filter, bars: usize) -> Result<Vec<Bar>> {
        todo!()
    }
    pub(crate) async fn hour_profile(&self, filter: &Filter, time_zone: &str) -> Result<Vec<HourCell>> {
        todo!()
    }
    pub(crate) async fn alerts(
        &self,
        filter: &Filter,
        limit: usize,
        before: Option<&str>,
    ) -> Result<Vec<AlertRow>> {
        todo!()
    }
    pub(crate) async fn cursor(&self) -> Result<Cursor> {
        todo!()
    }
    pub(crate) async fn maintain(&self, now: Time) -> Result<Maintained> {
        todo!()
    }
}
