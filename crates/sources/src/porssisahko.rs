//! The format of porssisahko.net and of files that keep its shape:
//! `{"prices":[{"price":10.438,"startDate":"...Z","endDate":"...Z"}]}`.
//!
//! Cents per kilowatt-hour with VAT, newest first. Hourly documents (v1) give an exclusive end,
//! quarter-hourly ones (v2) an end one millisecond before the next slot; both become half-open
//! slots. Digits and times are kept as they were written. A document is believed as a whole or not
//! at all, and an empty list is refused like a torn file: the last good content stays.

use pricemonitor_model::price::{MAX_MAGNITUDE, MAX_SCALE, parse_decimal};
use pricemonitor_model::{AsWritten, Decimal, Observation, Slot, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::source::SourceError;

/// Price area of the service: Finland.
const AREA: &str = "FI";
const EVENT: &str = "Electricity FI";
const CURRENCY: &str = "EUR";
const UNIT: &str = "c/kWh";
/// Most problems that are named at once.
const NAMED: usize = 5;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    prices: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow, rename = "startDate")]
    start: Option<&'a RawValue>,
    #[serde(borrow, rename = "endDate")]
    end: Option<&'a RawValue>,
}

struct Read {
    index: usize,
    price: Decimal,
    slot: Slot,
    written: AsWritten<'static>,
}

/// Reads a document.
///
/// # Errors
/// `malformed`: up to five things that are wrong, each with its place such as
/// `prices[3].startDate`.
pub(crate) fn read(source: &str, text: &str, at: Time) -> Result<Vec<Observation<'static>>, SourceError> {
    let outer: Outer<'_> = serde_json::from_str(text)
        .map_err(|error| SourceError::malformed(format!("not a document of porssisahko's form: {error}")))?;
    if outer.prices.is_empty() {
        return Err(SourceError::malformed("`prices` is empty; the last good content stays"));
    }
    let mut problems = Vec::new();
    let mut all = Vec::with_capacity(outer.prices.len());
    for (index, raw) in outer.prices.iter().enumerate() {
        match entry(index, raw) {
            Ok(read) => all.push(read),
            Err(problem) => problems.push(problem),
        }
        if problems.len() == NAMED {
            break;
        }
    }
    if problems.is_empty() {
        problems.extend(settle(&mut all));
    }
    if !problems.is_empty() {
        return Err(SourceError::malformed(problems.join("; ")));
    }
    Ok(all.into_iter().map(|read| observation(source, read, at)).collect())
}

fn entry(index: usize, raw: &RawValue) -> Result<Read, String> {
    let entry: Entry<'_> = serde_json::from_str(raw.get())
        .map_err(|error| format!("prices[{index}]: not an object with price, startDate, endDate: {error}"))?;
    let (price, digits) = amount(entry.price).map_err(|why| format!("prices[{index}].price: {why}"))?;
    let (start, start_text) = time(entry.start).map_err(|why| format!("prices[{index}].startDate: {why}"))?;
    let (end, end_text) = time(entry.end).map_err(|why| format!("prices[{index}].endDate: {why}"))?;
    if end <= start {
        return Err(format!("prices[{index}].endDate: {end} is not after the start {start}"));
    }
    let slot = Slot { start, end: exclusive(end) };
    let written =
        AsWritten { price: digits.into(), start: Some(start_text.into()), end: Some(end_text.into()) };
    Ok(Read { index, price, slot, written })
}

/// An end that was written as the last millisecond of the slot, as the first one after it.
pub(crate) fn exclusive(end: Time) -> Time {
    if end.millis().rem_euclid(1000) == 999 { end.plus(1) } else { end }
}

/// Whether a price is one that could ever be admitted.
pub(crate) fn in_range(price: Decimal) -> Result<Decimal, String> {
    if price.abs() > Decimal::from(MAX_MAGNITUDE) || price.scale() > MAX_SCALE {
        return Err(format!("{price} is out of range: at most 10^12 and {MAX_SCALE} digits after the point"));
    }
    Ok(price)
}

fn amount(raw: Option<&RawValue>) -> Result<(Decimal, String), String> {
    let digits = raw.ok_or("is missing")?.get();
    if !digits.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(format!("{} is not a number", short(digits)));
    }
    let price = parse_decimal(digits).map_err(|error| error.to_string())?;
    Ok((in_range(price)?, digits.to_owned()))
}

fn time(raw: Option<&RawValue>) -> Result<(Time, String), String> {
    let raw = raw.ok_or("is missing")?.get();
    let text: String =
        serde_json::from_str(raw).map_err(|_| format!("{} is not a text with a time", short(raw)))?;
    let time = text.parse::<Time>().map_err(|error| error.to_string())?;
    Ok((time, text))
}

pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Sorts by start, drops what was said twice, and finds what contradicts or overlaps.
fn settle(all: &mut Vec<Read>) -> Option<String> {
    all.sort_by_key(|read| (read.slot.start, read.index));
    all.dedup_by(|b, a| a.slot == b.slot && a.price == b.price);
    all.windows(2).find(|two| two[1].slot.start < two[0].slot.end).map(|two| {
        let (a, b) = (&two[0], &two[1]);
        let what = if a.slot == b.slot { "have the same slot and other prices" } else { "overlap" };
        format!("prices[{}] and prices[{}] {what} at {}", a.index, b.index, b.slot.start)
    })
}

fn observation(source: &str, read: Read, at: Time) -> Observation<'static> {
    let mut o = Observation::new(source.to_owned(), AREA, read.price, CURRENCY, at);
    o.labels = o.labels.with("event", EVENT).with("area", AREA);
    o.unit = Some(UNIT.into());
    o.slot = Some(read.slot);
    o.as_written = Some(read.written);
    o
}
