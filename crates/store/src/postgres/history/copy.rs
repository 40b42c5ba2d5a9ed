//! Rows into the history, by binary `COPY`.

use sqlx::PgConnection;

use super::super::failure::failure;
use super::super::values::micros;
use super::numeric::numeric;
use crate::batch::Prepared;
use crate::error::{Error, Result};

const COPY: &str = "COPY price_history (at, observed_at, slot_end, series, \"offset\", stream, changed, current, \
    price, base) FROM STDIN (FORMAT binary)";
/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// About the bytes of a row.
const ROW: usize = 120;

/// Stores the rows, each under the number of its series.
pub(super) async fn rows(
    connection: &mut PgConnection,
    stream: i64,
    ids: &[i64],
    rows: &[Prepared],
) -> Result<()> {
    let failed = |error| failure("cannot store prices", &error);
    let stream = i32::try_from(stream)
        .map_err(|_| Error::Storage(format!("the number {stream} of a position is out of range")))?;
    let mut bytes = Vec::with_capacity(HEADER.len() + rows.len() * ROW);
    bytes.extend_from_slice(HEADER);
    for row in rows {
        encode(stream, ids[row.place], row, &mut bytes);
    }
    bytes.extend_from_slice(&(-1i16).to_be_bytes());
    let mut copy = connection.copy_in_raw(COPY).await.map_err(failed)?;
    copy.send(bytes).await.map_err(failed)?;
    let stored = copy.finish().await.map_err(failed)?;
    if stored == rows.len() as u64 {
        return Ok(());
    }
    Err(Error::Storage(format!("cannot store prices: {} were sent, {stored} arrived", rows.len())))
}

fn encode(stream: i32, series: i64, row: &Prepared, out: &mut Vec<u8>) {
    out.extend_from_slice(&10i16.to_be_bytes());
    long(micros(row.at), out);
    long(micros(row.observed_at), out);
    match row.length {
        Some(length) => long(micros(row.at.plus(length)), out),
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
    long(series, out);
    // Checked with the position, which is higher.
    long(row.offset as i64, out);
    out.extend_from_slice(&4i32.to_be_bytes());
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 1, u8::from(row.changed), 0, 0, 0, 1, u8::from(row.current)]);
    numeric(row.price, out);
    match row.base {
        Some(base) => numeric(base, out),
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}

fn long(value: i64, out: &mut Vec<u8>) {
    let mut field = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    field[4..].copy_from_slice(&value.to_be_bytes());
    out.extend_from_slice(&field);
}
