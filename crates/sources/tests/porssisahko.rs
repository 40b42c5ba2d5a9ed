//! The format of porssisahko.net through the public door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use pricemonitor_model::{Observation, Time};
use pricemonitor_sources::{SourceError, sample};
use proptest::prelude::*;
use support::{AT, PORSSISAHKO, file, hourly};

const LATEST: &[u8] = include_bytes!("data/latest-prices.json");

fn read(document: &[u8]) -> Result<Vec<Observation<'static>>, SourceError> {
    sample(&file("x.json", PORSSISAHKO), document, AT)
}

fn one(price: &str, start: &str, end: &str) -> String {
    format!(r#"{{"price":{price},"startDate":{start},"endDate":{end}}}"#)
}

fn good(n: u32) -> String {
    one("1.5", &format!("\"2026-01-04T{n:02}:00:00Z\""), &format!("\"2026-01-04T{:02}:00:00Z\"", n + 1))
}

fn refused(document: &str) -> String {
    let error = read(document.as_bytes()).unwrap_err();
    assert_eq!(error.reason, "malformed", "{document}");
    error.message
}

#[test]
fn a_real_quarter_hour_document_becomes_96_adjoining_slots() {
    let all = read(LATEST).unwrap();
    assert_eq!(all.len(), 96);
    assert!(all.windows(2).all(|two| two[0].slot.unwrap().end == two[1].slot.unwrap().start));
    let last = &all[95];
    assert_eq!((&*last.item, &*last.currency, last.unit.as_deref()), ("FI", "EUR", Some("c/kWh")));
    assert_eq!(last.labels.get("event"), Some("Electricity FI"));
    assert_eq!(last.labels.get("area"), Some("FI"));
    assert_eq!(last.slot.unwrap().end, "2025-05-07T22:00:00Z".parse::<Time>().unwrap());
    let written = last.as_written.clone().unwrap();
    assert_eq!(written.price, "11.817");
    assert_eq!(written.start.as_deref(), Some("2025-05-07T21:45:00.000Z"));
    assert_eq!(written.end.as_deref(), Some("2025-05-07T21:59:59.999Z"));
    assert_eq!(last.observed_at, AT);
}

#[test]
fn an_hourly_document_keeps_its_exclusive_ends_and_its_digits() {
    let all = read(hourly(&["-0.50", "0", "12.300"]).as_bytes()).unwrap();
    let prices: Vec<String> = all.iter().map(|o| o.price.to_string()).collect();
    assert_eq!(prices, ["-0.50", "0", "12.300"]);
    assert!(all.iter().all(|o| o.slot.unwrap().end.since(o.slot.unwrap().start) == 3_600_000));
    assert_eq!(all[2].as_written.as_ref().unwrap().price, "12.300");
}

#[test]
fn no_prefix_of_a_document_is_taken_for_the_document() {
    let whole = read(LATEST).unwrap();
    let end = LATEST.iter().rposition(|byte| *byte == b'}').unwrap() + 1;
    for cut in 0..LATEST.len() {
        match read(&LATEST[..cut]) {
            Ok(read) => assert!(cut >= end && read == whole, "cut at {cut}"),
            Err(error) => assert_eq!(error.reason, "malformed"),
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let at = |entry: String| format!(r#"{{"prices":[{},{},{entry}]}}"#, good(0), good(1));
    let (start, end) = ("\"2026-01-04T05:00:00Z\"", "\"2026-01-04T06:00:00Z\"");
    for (entry, why) in [
        ("5".to_owned(), "prices[2]: not an object"),
        ("null".to_owned(), "prices[2]: not an object"),
        ("{}".to_owned(), "prices[2].price: is missing"),
        (one("null", start, end), "prices[2].price: is missing"),
        (one("\"1.5\"", start, end), "prices[2].price: \"1.5\" is not a number"),
        (one("true", start, end), "prices[2].price: true is not a number"),
        (one("1e400", start, end), "prices[2].price: `1e400`"),
        (one("1e13", start, end), "prices[2].price: 10000000000000 is out of range"),
        (one("0.0000000001", start, end), "prices[2].price: 0.0000000001 is out of range"),
        (one(&"9".repeat(5000), start, end), "prices[2].price: `999"),
        (one("1", "5", end), "prices[2].startDate: 5 is not a text"),
        (
            one("1", "\"2026-01-04T05:00:00\"", end),
            "prices[2].startDate: `2026-01-04T05:00:00` is not a time",
        ),
        (one("1", "\"yesterday\"", end), "prices[2].startDate"),
        (one("1", start, "null"), "prices[2].endDate: is missing"),
        (one("1", start, start), "prices[2].endDate: 2026-01-04T05:00:00.000Z is not after the start"),
        (one("1", end, start), "prices[2].endDate"),
        (one("1", "\"2026-01-04T01:30:00Z\"", "\"2026-01-04T02:30:00Z\""), "prices[1] and prices[2] overlap"),
        (
            one("2", "\"2026-01-04T01:00:00Z\"", "\"2026-01-04T02:00:00Z\""),
            "prices[1] and prices[2] have the same slot",
        ),
        (r#"{"price":1,"price":2,"startDate":"a","endDate":"b"}"#.to_owned(), "prices[2]: not an object"),
    ] {
        let message = refused(&at(entry));
        assert!(message.contains(why), "{why}: {message}");
        assert!(message.len() < 400, "{message}");
    }
}

#[test]
fn documents_of_another_kind_are_refused() {
    for document in [
        "",
        "  \n",
        "null",
        "[]",
        "{}",
        "5",
        "\"prices\"",
        r#"{"prices":null}"#,
        r#"{"prices":{}}"#,
        r#"{"prices":[]}"#,
        r#"{"prices":"[]"}"#,
        r#"{"prices":[],"prices":[]}"#,
        "<html></html>",
        "{\"prices\":[",
    ] {
        refused(document);
    }
    assert!(refused(&format!("{} x", hourly(&["1"]))).contains("trailing"));
    assert!(refused(&format!("{0}{0}", hourly(&["1"]))).contains("trailing"));
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("{}".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(read(&utf16).unwrap_err().message.contains("UTF-16"));
    assert!(read(b"{\"prices\":[\xff]}").unwrap_err().message.contains("byte 11"));
    assert!(read(&vec![b' '; (1 << 20) + 1]).unwrap_err().reason == "too_large");
    let deep = format!("{{\"prices\":{}", "[".repeat(500_000));
    refused(&deep);
}

#[test]
fn what_does_no_harm_is_taken() {
    let plain = read(hourly(&["1"]).as_bytes()).unwrap();
    let marked = [b"\xef\xbb\xbf", hourly(&["1"]).as_bytes()].concat();
    assert_eq!(read(&marked).unwrap(), plain);
    assert_eq!(read(format!("\r\n{}\n\n", hourly(&["1"])).as_bytes()).unwrap(), plain);
    // Said twice in the same way; members that nobody knows.
    let twice = format!(r#"{{"meta":{{"a":[1]}},"prices":[{0},{0}]}}"#, good(3));
    assert_eq!(read(twice.as_bytes()).unwrap().len(), 1);
}

#[test]
fn at_most_five_problems_are_named() {
    let bad = vec![r#"{"price":"x"}"#; 50].join(",");
    assert_eq!(refused(&format!(r#"{{"prices":[{bad}]}}"#)).matches("prices[").count(), 5);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_change_of_a_document_makes_the_reader_panic(at in 0usize..400, byte in any::<u8>(), price in "-?[0-9]{1,30}(\\.[0-9]{1,30})?([eE][-+]?[0-9]{1,5})?") {
        let mut document = hourly(&["1.5", &price, "3"]).into_bytes();
        let _ = read(&document);
        let at = at % document.len();
        document[at] = byte;
        let _ = read(&document);
    }
}
