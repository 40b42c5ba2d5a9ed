//! The alerts that the page shows.

use ahash::HashMap;
use pricemonitor_model::{Slot, Time};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::failure::failure;
use super::{Sqlite, Tx};
use crate::error::{Error, Result};
use crate::query::{AlertRow, Cursor, DeliveryState, Filter};

/// The alerts that pass a filter, with `?1` to `?5` for its members.
const PASSING: &str = "FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor
    WHERE (?1 IS NULL OR m.monitor = ?1) AND (?2 IS NULL OR a.event = ?2) AND (?3 IS NULL OR a.section = ?3)
      AND (?4 IS NULL OR a.at >= ?4) AND (?5 IS NULL OR a.at < ?5)";

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Binds `?1` to `?5`.
fn passing<'q>(query: Query<'q>, filter: &'q Filter) -> Query<'q> {
    query
        .bind(filter.monitor.as_deref())
        .bind(filter.event.as_deref())
        .bind(filter.section.as_deref())
        .bind(filter.from.map(Time::millis))
        .bind(filter.to.map(Time::millis))
}

/// How many alerts pass.
pub(super) async fn count(tx: &mut Tx, filter: &Filter) -> Result<u64> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) {PASSING}"));
    let row = passing(sqlx::query(sql), filter).fetch_one(&mut **tx).await;
    Ok(row.map_err(|error| failure("cannot count alerts", &error))?.get::<i64, _>(0).unsigned_abs())
}

impl Sqlite {
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
                    a.event, a.section, a.item, a.price, a.reference, a.percent, a.unit, a.observed_at,
                    a.slot_start, a.slot_end, a.url, a.summary,
                    iif(json_valid(a.alert), a.alert ->> '$.side', NULL)
             {PASSING} AND (?6 IS NULL OR a.seq < (SELECT seq FROM price_drop_alerts WHERE id = ?6))
             ORDER BY a.seq DESC LIMIT ?7"
        );
        let rows = passing(sqlx::query(sqlx::AssertSqlSafe(sql)), filter)
            .bind(before)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await
            .map_err(|error| failure("cannot read alerts", &error))?;
        let mut alerts: Vec<AlertRow> = rows.iter().map(alert).collect();
        add_deliveries(&mut tx, &mut alerts).await?;
        Ok(alerts)
    }

    pub(crate) async fn cursor(&self) -> Result<Cursor> {
        let row = sqlx::query(
            "SELECT (SELECT coalesce(sum(rows), 0) FROM sink_offsets WHERE sink = 'history'),
                    (SELECT coalesce(max(seq), 0) FROM price_drop_alerts)",
        )
        .fetch_one(&self.read)
        .await
        .map_err(|error| failure("cannot read the database", &error))?;
        Ok(Cursor { rows: row.get(0), alerts: row.get(1) })
    }
}

fn alert(row: &SqliteRow) -> AlertRow {
    let time = |column: usize| row.get::<Option<i64>, _>(column).map(Time::from_millis);
    AlertRow {
        id: row.get(0),
        monitor: row.get(1),
        rule: row.get(2),
        transition: row.get(3),
        severity: row.get(4),
        // An alert may be here before the price that caused it.
        series: row.get::<Option<i64>, _>(5).unwrap_or_default(),
        event: row.get(6),
        section: row.get(7),
        item: row.get(8),
        price: row.get(9),
        reference: row.get(10),
        percent: row.get(11),
        side: row.get(18),
        unit: row.get(12),
        observed_at: Time::from_millis(row.get(13)),
        slot: time(14).zip(time(15)).map(|(start, end)| Slot { start, end }),
        url: row.get(16),
        summary: row.get(17),
        deliveries: Vec::new(),
    }
}

async fn add_deliveries(tx: &mut Tx, alerts: &mut [AlertRow]) -> Result<()> {
    let ids: Vec<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
    let ids = serde_json::to_string(&ids)
        .map_err(|error| Error::Storage(format!("cannot write a list of alerts: {error}")))?;
    let rows = sqlx::query(
        "SELECT a.id, d.channel, d.state, d.attempts, d.reason, d.under_way + d.maybe_sent > 0
         FROM price_drop_alerts a JOIN alert_deliveries d ON d.alert = a.seq
         WHERE a.id IN (SELECT value FROM json_each(?1)) ORDER BY d.alert, d.channel",
    )
    .bind(ids)
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read deliveries", &error))?;
    let mut found: HashMap<String, Vec<DeliveryState>> = HashMap::default();
    for row in rows {
        found.entry(row.get(0)).or_default().push(DeliveryState {
            channel: row.get(1),
            state: row.get(2),
            attempts: row.get(3),
            reason: row.get(4),
            maybe_sent: row.get(5),
        });
    }
    for alert in alerts {
        alert.deliveries = found.remove(&alert.id).unwrap_or_default();
    }
    Ok(())
}
