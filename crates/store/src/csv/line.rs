//! The lines of the file.

use std::borrow::Cow;

use pricemonitor_model::Time;

use crate::claim::HistoryRow;
use crate::error::{Error, Result};

/// The first line.
pub(super) const HEADER: &str = "received_timestamp,price,startDate,endDate,source\n";

/// The rows as lines. Price and times stand as the source wrote them; where it did not say, the exact
/// decimal and RFC 3339 times. A price without a slot begins and ends when it was seen.
pub(super) fn write(rows: &[HistoryRow<'_>], source: &str) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::with_capacity(rows.len() * 96));
    for row in rows {
        let fields = fields(row, source);
        writer
            .write_record(fields.iter().map(|field| field.as_bytes()))
            .map_err(|error| Error::Storage(format!("cannot write a CSV line: {error}")))?;
    }
    writer.into_inner().map_err(|error| Error::Storage(format!("cannot write CSV lines: {error}")))
}

/// What stands in a row's line, before it is quoted.
pub(super) fn fields<'r>(row: &HistoryRow<'r>, source: &'r str) -> [Cow<'r, str>; 5] {
    let o = row.observation;
    let written = o.as_written.as_ref();
    let price = written.map_or_else(|| Cow::Owned(o.price.to_string()), |w| Cow::Borrowed(&*w.price));
    let start = written.and_then(|w| w.start.as_deref()).map_or_else(
        || Cow::Owned(o.slot.map_or(o.observed_at, |slot| slot.start).to_string()),
        Cow::Borrowed,
    );
    let end = written
        .and_then(|w| w.end.as_deref())
        .map_or_else(|| Cow::Owned(o.slot.map_or(o.observed_at, |slot| slot.end).to_string()), Cow::Borrowed);
    [received(row.log_time).into(), price, start, end, source.into()]
}

/// `YYYY-MM-DDTHH:MM:SS` in UTC.
fn received(at: Time) -> String {
    at.to_jiff().strftime("%Y-%m-%dT%H:%M:%S").to_string()
}
