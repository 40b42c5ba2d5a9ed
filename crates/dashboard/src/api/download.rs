//! Prices as a CSV file, written as it is read.

use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use pricemonitor_store::query::ExportRow;

use super::Context;
use super::failure::Failure;
use super::question::Question;

/// Rows that travel together.
const ROWS_AT_ONCE: usize = 500;

const HEADER: [&str; 11] = [
    "monitor",
    "source",
    "item",
    "event",
    "section",
    "price",
    "base",
    "unit",
    "observed_at",
    "slot_start",
    "slot_end",
];

/// A download that fails half way ends in a broken connection, so nobody takes a part for the whole.
pub(super) async fn prices(State(context): State<Context>, question: Question) -> Result<Response, Failure> {
    let filter = question.filter()?;
    let name = file_name(filter.monitor.as_deref());
    let mut rows = context.prices.export(&filter);
    // The first row before the first byte: a store that cannot answer is told in words.
    let first = context.ask(async { rows.next().await.transpose() }).await?;
    let rows = stream::iter(first.map(Ok)).chain(rows).take_until(context.stop.clone().cancelled_owned());
    let heading = stream::once(async { csv(&[HEADER.map(String::from)]) });
    let stop = context.stop.clone();
    let body = rows.ready_chunks(ROWS_AT_ONCE).map(|rows| {
        let lines: Vec<_> = rows
            .into_iter()
            .map(|row| row.map(line))
            .collect::<Result<_, _>>()
            .map_err(|error| io::Error::other(error.0))?;
        csv(&lines)
    });
    // Told to stop half way is a failure of the download too.
    let ending = stream::once(async move {
        if stop.is_cancelled() { Err(io::Error::other("the program is ending")) } else { Ok(Vec::new()) }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(heading.chain(body).chain(ending))).into_response())
}

fn file_name(monitor: Option<&str>) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
    let monitor: String = monitor.unwrap_or("all").chars().take(64).map(safe).collect();
    format!("prices-{monitor}.csv")
}

fn csv(lines: &[[String; 11]]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).map_err(io::Error::other)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn line(row: ExportRow) -> [String; 11] {
    let (start, end) = row.slot.map_or_else(Default::default, |s| (s.start.to_string(), s.end.to_string()));
    [
        harmless(row.monitor),
        harmless(row.source),
        harmless(row.item),
        harmless(row.event),
        harmless(row.section),
        // Decimals that we wrote ourselves: a minus in front is no formula.
        row.price,
        row.base.unwrap_or_default(),
        harmless(row.unit),
        row.observed_at.to_string(),
        start,
        end,
    ]
}

/// A text that no spreadsheet takes for a formula: titles are written by strangers.
fn harmless(text: String) -> String {
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{feff}']).chars().next();
    match first {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            format!("'{text}")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_neutralised_and_other_texts_stay() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "=cmd|' /C calc'!A0"]
        {
            assert_eq!(harmless(formula.to_owned()), format!("'{formula}"));
        }
        for text in ["", "A", "a=b", "Rock & Roll", "1-2", "'=1"] {
            assert_eq!(harmless(text.to_owned()), text);
        }
    }

    #[test]
    fn the_file_has_a_name_that_no_header_can_be_broken_with() {
        assert_eq!(file_name(Some("default.con\"cert\r\nX: y/")), "prices-default.con_cert__X__y_.csv");
        assert_eq!(file_name(None), "prices-all.csv");
    }
}
