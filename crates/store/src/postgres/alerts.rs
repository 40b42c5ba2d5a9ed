//! The alerts that the page shows.

use ahash::HashMap;
use pricemonitor_model::Slot;
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgRow};

use super::failure::failure;
use super::values::{Stamp, original, stored};
use super::{Postgres, Tx};
use crate::error::Result;
use crate::query::{AlertRow, Cursor, DeliveryState, Filter};

/// The alerts that pass a filter, with `$1` to `$5` for its members.
const PASSING: &str = "FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor
    WHERE ($1 IS NULL OR m.monitor = $1) AND ($2 IS NULL OR a.event = $2) AND ($3 IS NULL OR a.section = $3)
      AND ($4 IS NULL OR a.at >= $4) AND ($5 IS NULL OR a.at < $5)";

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// Binds `$1` to `$5`.
fn passing<'q>(query: Query<'q>, filter: &'q Filter) -> Query<'q> {
    query
        .bind(filter.monitor.as_deref())
        .bind(filter.event.as_deref().map(stored))
        .bind(filter.section.as_deref().map(stored))
        .bind(filter.from.map(Stamp))
        .bind(filter.to.map(Stamp))
}

/// How many alerts pass.
pub(super) async fn count(tx: &mut Tx, filter: &Filter) -> Result<u64> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) {PASSING}"));
    let row = passing(sqlx::query(sql), filter).fetch_one(&mut **tx).await;
    Ok(row.map_err(|error| failure("cannot count alerts", &error))?.get::<i64, _>(0).unsigned_abs())
}

impl Postgres {
    pub(crate) async fn alerts(
        &self,
        filter: &Filter,
        limit: usize,
        before: Option<&str>,
    ) -> Result<Vec<AlertRow>> {
        let mut tx = self.look().await?;
        let sql = format!(
            "SELECT a.id, m.monitor, a.rule, a.transition, a.severity,
                    (SELECT s.id FROM series s WHERE s.monitor = a.monitor AND s.source = a.source AND s.item = a.item
                       AND s.currency = a.currency AND s.unit = a.unit AND s.schedule = (a.slot_start IS NOT NULL)),
                    a.event, a.section, a.item, a.price::text, a.reference::text, a.percent::text, a.side, a.unit,
                    a.observed_at, a.slot_start, a.slot_end, a.url, a.summary, a.seq
             {PASSING} AND ($6 IS NULL OR a.seq < (SELECT seq FROM price_drop_alerts WHERE id = $6))
             ORDER BY a.seq DESC LIMIT $7"
        );
        let rows = passing(sqlx::query(sqlx::AssertSqlSafe(sql)), filter)
            .bind(before)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await
            .map_err(|error| failure("cannot read alerts", &error))?;
        let mut found = deliveries(&mut tx, rows.iter().map(|row| row.get(19)).collect()).await?;
        Ok(rows
            .iter()
            .map(|row| alert(row, found.remove(&row.get::<i64, _>(19)).unwrap_or_default()))
            .collect())
    }

    pub(crate) async fn cursor(&self) -> Result<Cursor> {
        // Counts of what was written, which no one reads in any other order than it was committed: a number
        // from a sequence may become visible after a higher one.
        let row = sqlx::query(
            "SELECT coalesce(sum(rows) FILTER (WHERE sink = 'history'), 0)::bigint,
                    coalesce(sum(rows) FILTER (WHERE sink = 'alerts'), 0)::bigint FROM sink_offsets",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(|error| failure("cannot read the database", &error))?;
        Ok(Cursor { rows: row.get(0), alerts: row.get(1) })
    }
}

fn alert(row: &PgRow, deliveries: Vec<DeliveryState>) -> AlertRow {
    let time = |column: usize| row.get::<Option<Stamp>, _>(column).map(|Stamp(at)| at);
    AlertRow {
        id: row.get(0),
        monitor: row.get(1),
        rule: original(row.get(2)),
        transition: row.get(3),
        severity: row.get(4),
        // An alert may be here before the price that caused it.
        series: row.get::<Option<i64>, _>(5).unwrap_or_default(),
        event: original(row.get(6)),
        section: original(row.get(7)),
        item: original(row.get(8)),
        price: row.get(9),
        reference: row.get(10),
        percent: row.get(11),
        side: row.get(12),
        unit: original(row.get(13)),
        observed_at: row.get::<Stamp, _>(14).0,
        slot: time(15).zip(time(16)).map(|(start, end)| Slot { start, end }),
        url: row.get::<Option<String>, _>(17).map(original),
        summary: original(row.get(18)),
        deliveries,
    }
}

/// What became of the alerts, by their numbers.
async fn deliveries(tx: &mut Tx, alerts: Vec<i64>) -> Result<HashMap<i64, Vec<DeliveryState>>> {
    let rows = sqlx::query(
        "SELECT alert, channel, state, attempts, reason, under_way + maybe_sent > 0 FROM alert_deliveries
         WHERE alert = ANY($1) ORDER BY alert, channel",
    )
    .bind(alerts)
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read deliveries", &error))?;
    let mut found: HashMap<i64, Vec<DeliveryState>> = HashMap::default();
    for row in rows {
        found.entry(row.get(0)).or_default().push(DeliveryState {
            channel: row.get(1),
            state: row.get(2),
            attempts: u32::try_from(row.get::<i64, _>(3)).unwrap_or(u32::MAX),
            reason: row.get::<Option<String>, _>(4).map(original),
            maybe_sent: row.get(5),
        });
    }
    Ok(found)
}
