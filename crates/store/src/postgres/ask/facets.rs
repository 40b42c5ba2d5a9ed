//! What can be chosen in the filters.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::super::failure::failure;
use super::super::values::{Stamp, original};
use super::super::{Postgres, Tx};
use crate::ask::Catalogue;
use crate::error::Result;
use crate::query::Facets;

impl Postgres {
    pub(crate) async fn facets(&self) -> Result<Facets> {
        let mut tx = self.look().await?;
        let mut found = Catalogue::default();
        for row in all(&mut tx, "SELECT id, monitor FROM monitors").await? {
            found.monitor(row.get::<i32, _>(0).into(), row.get(1));
        }
        let spans = "SELECT monitor, first_at, last_at FROM sink_offsets WHERE first_at IS NOT NULL";
        for row in all(&mut tx, spans).await? {
            let (Stamp(from), Stamp(to)) = (row.get(1), row.get(2));
            found.span(row.get::<i32, _>(0).into(), from, to);
        }
        for row in all(&mut tx, "SELECT monitor, event FROM events").await? {
            found.event(row.get::<i32, _>(0).into(), original(row.get(1)));
        }
        let sections = "SELECT e.monitor, e.event, s.section FROM events e JOIN series s ON s.event = e.id
                        GROUP BY e.id, s.section";
        for row in all(&mut tx, sections).await? {
            found.section(row.get::<i32, _>(0).into(), &original(row.get(1)), original(row.get(2)));
        }
        let units = "SELECT monitor, unit, bool_or(schedule) FROM series GROUP BY monitor, unit
                     ORDER BY monitor, count(*) DESC, unit";
        for row in all(&mut tx, units).await? {
            found.unit(row.get::<i32, _>(0).into(), original(row.get(1)), row.get(2));
        }
        Ok(found.facets())
    }
}

async fn all(tx: &mut Tx, sql: &'static str) -> Result<Vec<PgRow>> {
    let rows = sqlx::query(sql).fetch_all(&mut **tx).await;
    rows.map_err(|error| failure("cannot read the filters", &error))
}
