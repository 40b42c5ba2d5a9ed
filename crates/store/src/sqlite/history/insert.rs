//! Rows into the history.

use super::super::Tx;
use super::super::failure::failure;
use super::super::many::{pieces, values};
use super::json;
use super::series::{Met, Prepared};
use crate::batch::SlotKey;
use crate::error::Result;

/// Rows per statement.
const SIZES: [usize; 4] = [1000, 100, 10, 1];

/// Stores the rows, and leaves them in the order of the table: neighbours are written together.
pub(super) async fn rows(tx: &mut Tx, stream: i64, series: &[Met], rows: &mut [Prepared]) -> Result<()> {
    rows.sort_by_key(|row| (series[row.place].id, row.at));
    // `OR ROLLBACK`: a row that is there already ends the whole transaction, which is what it should do;
    // without it SQLite copies every page aside before each statement, to undo that alone.
    const HEAD: &str = "INSERT OR ROLLBACK INTO price_history \
        (stream, series, at, seen, \"offset\", value, price, base, length, changed, current) VALUES";
    for piece in pieces(rows, &SIZES) {
        let sql = values(HEAD, "(?,?,?,?,?,?,?,?,?,?,?)", piece.len());
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for row in piece {
            query = query
                .bind(stream)
                .bind(series[row.place].id)
                .bind(row.at.millis())
                .bind(row.observed_at.since(row.at))
                .bind(row.offset as i64)
                .bind(row.drawn.1)
                .bind(&row.drawn.0)
                .bind(row.base.map(|base| base.to_string()))
                .bind(row.length)
                .bind(row.changed)
                .bind(row.current);
        }
        query.execute(&mut **tx).await.map_err(|error| failure("cannot store prices", &error))?;
    }
    Ok(())
}

/// The stored rows of these slots do not count any more.
pub(super) async fn demote(tx: &mut Tx, series: &[Met], slots: &[SlotKey]) -> Result<()> {
    if slots.is_empty() {
        return Ok(());
    }
    let pairs: Vec<(i64, i64)> = slots.iter().map(|(place, at)| (series[*place].id, at.millis())).collect();
    sqlx::query(
        "UPDATE price_history SET current = 0
         FROM (SELECT value ->> 0 AS series, value ->> 1 AS at FROM json_each(?1)) j
         WHERE price_history.series = j.series AND price_history.at = j.at AND current = 1",
    )
    .bind(json(&pairs)?)
    .execute(&mut **tx)
    .await
    .map_err(|error| failure("cannot mark revised prices", &error))?;
    Ok(())
}
