//! The database answers the page.

use futures::StreamExt;
use pricemonitor_store::query::{AlertRow, Bar, Cursor, Facets, Filter, History, HourCell, Statistics};
use pricemonitor_store::{Database, Error};

use crate::prices::{Exported, Prices, QueryError};

fn told(error: Error) -> QueryError {
    QueryError(error.to_string())
}

// `Database::` spells out that these are its own methods, not the trait's.
#[async_trait::async_trait]
impl Prices for Database {
    async fn facets(&self) -> Result<Facets, QueryError> {
        Database::facets(self).await.map_err(told)
    }

    async fn statistics(&self, filter: &Filter) -> Result<Statistics, QueryError> {
        Database::statistics(self, filter).await.map_err(told)
    }

    async fn history(&self, filter: &Filter, lines: u32, points: u32) -> Result<History, QueryError> {
        Database::history(self, filter, lines as usize, points as usize).await.map_err(told)
    }

    async fn distribution(&self, filter: &Filter, bars: u32) -> Result<Vec<Bar>, QueryError> {
        Database::distribution(self, filter, bars as usize).await.map_err(told)
    }

    async fn hour_profile(&self, filter: &Filter, zone: &str) -> Result<Vec<HourCell>, QueryError> {
        Database::hour_profile(self, filter, zone).await.map_err(told)
    }

    async fn alerts(&self, filter: &Filter, limit: u32) -> Result<Vec<AlertRow>, QueryError> {
        Database::alerts(self, filter, limit as usize, None).await.map_err(told)
    }

    async fn cursor(&self) -> Result<Cursor, QueryError> {
        Database::cursor(self).await.map_err(told)
    }

    fn export(&self, filter: &Filter) -> Exported {
        self.export_stream(filter).map(|row| row.map_err(told)).boxed()
    }
}
