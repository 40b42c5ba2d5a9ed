//! Many rows in few statements.

use super::super::Tx;
use super::super::failure::failure;
use super::batch::{Met, Prepared, SlotKey};
use super::json;
use crate::error::Result;

/// Rows per statement, the largest first: few different statements, so that all stay prepared.
const SIZES: [usize; 4] = [500, 50, 7, 1];
const COLUMNS: usize = 11;

/// Cuts `list` into pieces of known sizes.
pub(super) fn pieces<'l, T>(mut list: &'l [T], sizes: &'static [usize]) -> impl Iterator<Item = &'l [T]> {
    std::iter::from_fn(move || {
        let size = sizes.iter().find(|size| **size <= list.len())?;
        let (piece, rest) = list.split_at(*size);
        list = rest;
        Some(piece)
    })
}

/// `head (?,?),(?,?)` for `rows` rows of `columns` columns.
///
/// The parameters have no numbers: SQLite would keep a list of those, which is searched for every one
/// that is bound.
pub(super) fn values(head: &str, rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("{head} {}", vec![row; rows].join(","))
}

/// Stores the rows, and leaves them in the order of the table: neighbours are written together.
pub(super) async fn rows(tx: &mut Tx, stream: i64, series: &[Met], rows: &mut [Prepared]) -> Result<()> {
    rows.sort_by_key(|row| (series[row.place].id, row.at));
    // `OR ROLLBACK`: a row that is there already ends the whole transaction, which is what it should do;
    // without it SQLite copies every page aside before each statement, to undo that alone.
    const HEAD: &str = "INSERT OR ROLLBACK INTO price_history \
        (stream, series, at, seen, \"offset\", value, price, base, length, changed, current) VALUES";
    for piece in pieces(rows, &SIZES) {
        let sql = values(HEAD, piece.len(), COLUMNS);
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for row in piece {
            query = query
                .bind(stream)
                .bind(series[row.place].id)
                .bind(row.at.millis())
                .bind(row.observed_at.since(row.at))
                .bind(row.offset as i64)
                .bind(row.value)
                .bind(&row.text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_into_few_different_sizes_and_nothing_is_left_out() {
        for length in [0, 1, 6, 7, 49, 557, 1234, 5000] {
            let list: Vec<usize> = (0..length).collect();
            let pieces: Vec<&[usize]> = pieces(&list, &SIZES).collect();
            assert!(pieces.iter().all(|piece| SIZES.contains(&piece.len())));
            assert_eq!(pieces.concat(), list);
        }
        assert_eq!(values("X", 2, 2), "X (?,?),(?,?)");
    }
}
