//! What can be chosen in the filters.

use pricemonitor_model::Time;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::failure::failure;
use super::super::{Sqlite, Tx};
use crate::ask::Catalogue;
use crate::error::Result;
use crate::query::Facets;

impl Sqlite {
    pub(crate) async fn facets(&self) -> Result<Facets> {
        let mut tx = self.look().await?;
        let mut found = Catalogue::default();
        for row in all(&mut tx, "SELECT id, monitor FROM monitors").await? {
            found.monitor(row.get(0), row.get(1));
        }
        for row in all(&mut tx, "SELECT monitor, event, first_at, last_at FROM events").await? {
            found.span(row.get(0), Time::from_millis(row.get(2)), Time::from_millis(row.get(3)));
            found.event(row.get(0), row.get(1));
        }
        let sections = "SELECT e.monitor, e.event, s.section FROM events e JOIN series s ON s.event = e.id
                        GROUP BY e.id, s.section";
        for row in all(&mut tx, sections).await? {
            found.section(row.get(0), row.get(1), row.get(2));
        }
        let units = "SELECT monitor, unit, max(schedule) FROM series GROUP BY monitor, unit
                     ORDER BY monitor, count(*) DESC, unit";
        for row in all(&mut tx, units).await? {
            found.unit(row.get(0), row.get(1), row.get(2));
        }
        Ok(found.facets())
    }
}

async fn all(tx: &mut Tx, sql: &'static str) -> Result<Vec<SqliteRow>> {
    let rows = sqlx::query(sql).fetch_all(&mut **tx).await;
    rows.map_err(|error| failure("cannot read the filters", &error))
}
