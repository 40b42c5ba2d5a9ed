//! What a run left behind: tables and CSV files.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// Rows of a query on a SQLite file, every value as text (`NULL` as an empty text). Works beside a
/// running program as well as after a killed one.
///
/// # Errors
/// When the file is missing or the query fails; the message holds the query.
pub fn rows(file: &Path, query: &str) -> Result<Vec<Vec<String>>> {
    // Not read-only: after a kill the first reader must be able to recover the write-ahead log.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(file, flags).with_context(|| format!("opening {}", file.display()))?;
    connection.busy_timeout(Duration::from_secs(10))?;
    let mut statement = connection.prepare(query).with_context(|| query.to_owned())?;
    let columns = statement.column_count();
    let mut found = Vec::new();
    let mut cursor = statement.query([])?;
    while let Some(row) = cursor.next()? {
        let mut values = Vec::with_capacity(columns);
        for column in 0..columns {
            values.push(match row.get_ref(column)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            });
        }
        found.push(values);
    }
    Ok(found)
}

/// The single number that a query such as `SELECT count(*)` yields.
///
/// # Errors
/// As for [`rows`], and when the answer is no number.
pub fn number(file: &Path, query: &str) -> Result<i64> {
    let rows = rows(file, query)?;
    let text = rows.first().and_then(|row| row.first()).with_context(|| format!("no answer to {query}"))?;
    text.parse().with_context(|| format!("`{text}` answers {query}"))
}

/// A CSV file: its header and its lines, each with as many fields as the header.
///
/// # Errors
/// When it is missing, has a torn line or does not end with a line end.
pub fn csv(file: &Path) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    anyhow::ensure!(bytes.ends_with(b"\n"), "{} ends within a line", file.display());
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers()?.iter().map(str::to_owned).collect();
    let mut lines = Vec::new();
    for line in reader.records() {
        lines.push(line?.iter().map(str::to_owned).collect());
    }
    Ok((header, lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    #[test]
    fn tables_are_read_as_text_and_a_missing_file_is_not_made() {
        let place = Place::new().unwrap();
        let file = place.at("a.sqlite");
        assert!(rows(&file, "SELECT 1").is_err());
        assert!(!file.exists());
        Connection::open(&file)
            .unwrap()
            .execute_batch("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, NULL), ('x', 2.5)")
            .unwrap();
        assert_eq!(rows(&file, "SELECT a, b FROM t ORDER BY rowid").unwrap(), [["1", ""], ["x", "2.5"]]);
        assert_eq!(number(&file, "SELECT count(*) FROM t").unwrap(), 2);
    }

    #[test]
    fn a_torn_csv_line_is_an_error() {
        let place = Place::new().unwrap();
        let whole = place.write("whole.csv", "a,b\n1,2\n").unwrap();
        assert_eq!(csv(&whole).unwrap().1, [["1", "2"]]);
        for torn in ["a,b\n1,2", "a,b\n1\n", "a,b\n1,2\n3"] {
            assert!(csv(&place.write("torn.csv", torn).unwrap()).is_err(), "{torn:?}");
        }
    }
}
