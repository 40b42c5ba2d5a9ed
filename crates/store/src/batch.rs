//! A batch on its way into the history: which price changed, which slot was revised. No I/O.

use ahash::{HashMap, HashSet};
use pricemonitor_model::{Decimal, Observation, Time};

use crate::claim::HistoryRow;
use crate::error::{Error, Result};

/// One row, ready but for its flags. `D` is what an engine keeps of it besides.
#[derive(Debug)]
pub(crate) struct Prepared<D = ()> {
    /// Place of its series in the batch.
    pub(crate) place: usize,
    pub(crate) at: Time,
    pub(crate) observed_at: Time,
    pub(crate) offset: u64,
    pub(crate) price: Decimal,
    pub(crate) base: Option<Decimal>,
    /// Of its slot; `None` for quotes.
    pub(crate) length: Option<i64>,
    pub(crate) changed: bool,
    pub(crate) current: bool,
    pub(crate) drawn: D,
}

impl<D> Prepared<D> {
    /// A row of the series at `place`.
    pub(crate) fn of(place: usize, row: &HistoryRow<'_>, drawn: D) -> Prepared<D> {
        let o = row.observation;
        Prepared {
            place,
            at: span(o).0,
            observed_at: o.observed_at,
            offset: row.offset,
            price: o.price,
            base: o.base,
            length: o.slot.map(|slot| slot.end.since(slot.start)),
            changed: false,
            current: true,
            drawn,
        }
    }
}

/// The first and last instant that an observation tells a price for.
pub(crate) fn span(observation: &Observation<'_>) -> (Time, Time) {
    observation.slot.map_or((observation.observed_at, observation.observed_at), |slot| (slot.start, slot.end))
}

/// A batch that is out of order is a mistake of the caller; it must not become a lost row.
pub(crate) fn in_order(rows: &[HistoryRow<'_>], next_offset: u64) -> Result<()> {
    let rising = rows.windows(2).all(|pair| pair[0].offset < pair[1].offset);
    let behind = rows.last().is_none_or(|last| last.offset < next_offset);
    if rising && behind {
        return Ok(());
    }
    Err(Error::Storage("a batch's offsets do not rise up to its next offset".to_owned()))
}

/// What the database knows of a series: its latest row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    pub(crate) at: Time,
    pub(crate) price: Decimal,
}

/// What the database knows of a slot: the row that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) observed_at: Time,
    pub(crate) price: Decimal,
}

/// A slot: place of the series, start.
pub(crate) type SlotKey = (usize, Time);

/// The slots of the batch that may have a row already: those that do not lie behind all that is stored.
pub(crate) fn to_look_up<D>(rows: &[Prepared<D>], last: &[Option<Last>]) -> Vec<SlotKey> {
    let mut seen = HashSet::default();
    rows.iter()
        .filter(|row| row.length.is_some() && last[row.place].is_some_and(|last| row.at <= last.at))
        .map(|row| (row.place, row.at))
        .filter(|slot| seen.insert(*slot))
        .collect()
}

/// Sets the flags of all rows, in the order of their offsets. Returns the slots whose stored row does not
/// count any more.
///
/// A quote is compared with the row before it in its series, a slot's price with the one published for it
/// before. What was seen before its predecessor is *late*: stored, no change, compared with by nobody.
///
/// `last` is each series' latest row before, and afterwards with the batch.
pub(crate) fn settle<D>(
    rows: &mut [Prepared<D>],
    last: &mut [Option<Last>],
    stored: HashMap<SlotKey, Stored>,
) -> Vec<SlotKey> {
    // The slot's price that counts so far, and where it stands: a row of the batch, or the database.
    let mut slots: HashMap<SlotKey, (Stored, Option<usize>)> =
        stored.into_iter().map(|(slot, stored)| (slot, (stored, None))).collect();
    let mut demoted = Vec::new();
    for at in 0..rows.len() {
        let row = &mut rows[at];
        (row.changed, row.current) = (false, true);
        let latest = &mut last[row.place];
        if row.length.is_none() {
            match latest {
                Some(last) if row.at < last.at => {}
                Some(last) => {
                    row.changed = last.price != row.price;
                    *last = Last { at: row.at, price: row.price };
                }
                none => *none = Some(Last { at: row.at, price: row.price }),
            }
            continue;
        }
        if latest.is_none_or(|latest| latest.at < row.at) {
            *latest = Some(Last { at: row.at, price: row.price });
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
