//! The door to what is stored.

use futures::stream::BoxStream;
use pricemonitor_store::query::{
    AlertRow, Bar, Cursor, ExportRow, Facets, Filter, History, HourCell, Statistics,
};

/// Exported rows, in the order of time.
pub type Exported = BoxStream<'static, Result<ExportRow, QueryError>>;

/// The questions that the page asks.
///
/// [`pricemonitor_store::Database`] answers them; tests and demonstrations may answer from memory.
#[async_trait::async_trait]
pub trait Prices: Send + Sync + 'static {
    /// What can be chosen in the filters.
    async fn facets(&self) -> Result<Facets, QueryError>;
    /// The figures on top of the page.
    async fn statistics(&self, filter: &Filter) -> Result<Statistics, QueryError>;
    /// Lines for the chart: at most `lines`, each with at most about `points` points.
    async fn history(&self, filter: &Filter, lines: u32, points: u32) -> Result<History, QueryError>;
    /// How often which prices were seen, in at most `bars` bars of equal width.
    async fn distribution(&self, filter: &Filter, bars: u32) -> Result<Vec<Bar>, QueryError>;
    /// Average prices per hour of the day and day of the week, in the time zone (an IANA name).
    async fn hour_profile(&self, filter: &Filter, zone: &str) -> Result<Vec<HourCell>, QueryError>;
    /// The latest alerts, newest first, at most `limit`.
    async fn alerts(&self, filter: &Filter, limit: u32) -> Result<Vec<AlertRow>, QueryError>;
    /// The place behind everything that is stored now. Asked twice a second while somebody
    /// listens: must be cheap.
    async fn cursor(&self) -> Result<Cursor, QueryError>;
    /// Every price row that passes the filter. Rows stored after the call may be missing.
    fn export(&self, filter: &Filter) -> Exported;
}

/// The store could not answer; the text is for people and holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(pub String);
