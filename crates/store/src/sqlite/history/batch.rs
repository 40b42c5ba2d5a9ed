//! A batch on its way into the history: which price changed, which slot was revised. No I/O.

use ahash::{HashMap, HashSet};
use pricemonitor_model::{Decimal, Time};

use crate::error::{Error, Result};

/// A series that the batch has rows of.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) id: i64,
    pub(super) event_id: i64,
    pub(super) schedule: bool,
    /// First and last instant with a price in the batch.
    pub(super) first: Time,
    pub(super) last: Time,
}

/// One row, ready but for its flags.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Place of its series in the batch.
    pub(super) place: usize,
    pub(super) at: Time,
    pub(super) observed_at: Time,
    pub(super) offset: u64,
    pub(super) price: Decimal,
    pub(super) base: Option<Decimal>,
    /// The price as it is stored and as it is drawn.
    pub(super) text: String,
    pub(super) value: f64,
    pub(super) length: Option<i64>,
    pub(super) changed: bool,
    pub(super) current: bool,
}

/// What the database knows of a series: its latest row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) at: Time,
    pub(super) price: Decimal,
}

/// What the database knows of a slot: the row that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) observed_at: Time,
    pub(super) price: Decimal,
}

/// A slot: place of the series, start.
pub(super) type SlotKey = (usize, Time);

/// The slots of the batch that may have a row already: those that do not lie behind all that is stored.
pub(super) fn to_look_up(series: &[Met], rows: &[Prepared], last: &[Option<Last>]) -> Vec<SlotKey> {
    let mut seen = HashSet::default();
    rows.iter()
        .filter(|row| series[row.place].schedule && last[row.place].is_some_and(|last| row.at <= last.at))
        .map(|row| (row.place, row.at))
        .filter(|slot| seen.insert(*slot))
        .collect()
}

/// Sets the flags of all rows, in the order of their offsets. Returns the slots whose stored row does not
/// count any more.
///
/// A quote is compared with the row before it in its series, a slot's price with the one published for it
/// before. What was seen before its predecessor is *late*: stored, no change, compared with by nobody.
pub(super) fn settle(
    series: &[Met],
    rows: &mut [Prepared],
    mut last: Vec<Option<Last>>,
    stored: HashMap<SlotKey, Stored>,
) -> Vec<SlotKey> {
    // The slot's price that counts so far, and where it stands: a row of the batch, or the database.
    let mut slots: HashMap<SlotKey, (Stored, Option<usize>)> =
        stored.into_iter().map(|(slot, stored)| (slot, (stored, None))).collect();
    let mut demoted = Vec::new();
    for at in 0..rows.len() {
        let row = &mut rows[at];
        (row.changed, row.current) = (false, true);
        if !series[row.place].schedule {
            match &mut last[row.place] {
                Some(last) if row.at < last.at => {}
                Some(last) => {
                    row.changed = last.price != row.price;
                    *last = Last { at: row.at, price: row.price };
                }
                none => *none = Some(Last { at: row.at, price: row.price }),
            }
            continue;
        }
        let slot = (row.place, row.at);
        let now = Stored { observed_at: row.observed_at, price: row.price };
        match slots.get_mut(&slot) {
            None => drop(slots.insert(slot, (now, Some(at)))),
            Some((before, _)) if now.observed_at < before.observed_at => row.current = false,
            Some(before) => {
                row.changed = before.0.price != now.price;
                match std::mem::replace(before, (now, Some(at))).1 {
                    Some(earlier) => rows[earlier].current = false,
                    None => demoted.push(slot),
                }
            }
        }
    }
    demoted
}

/// Reads `at price` (milliseconds, decimal), as the questions to the database write it.
pub(super) fn at_price(text: &str) -> Result<(i64, Decimal)> {
    text.split_once(' ')
        .and_then(|(at, price)| {
            Some((at.parse().ok()?, pricemonitor_model::price::parse_decimal(price).ok()?))
        })
        .ok_or_else(|| Error::Storage(format!("a stored price reads `{text}`: the database is damaged")))
}
