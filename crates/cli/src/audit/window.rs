//! A stretch of a raw partition: what must have come of every record.

use std::ops::{ControlFlow, Range};

use pricemonitor_eventlog::{EventLog as _, Log, Result, Topic};
use pricemonitor_model::{Admission, Admitted, Rejection, Time, admission};

use super::bits::Bits;

/// Offsets that are compared at a time: four megabytes for each of the six sets of them.
pub(super) const WIDTH: u64 = 1 << 25;

/// The offsets of a stretch, by what the readers must have made of the records.
pub(super) struct Window {
    pub(super) partition: u32,
    /// Everything in it was read.
    pub(super) range: Range<u64>,
    /// All records.
    pub(super) records: Bits,
    /// Observations: each has an event, and a row while it is kept.
    pub(super) observed: Bits,
    /// Observations that the history's retention has not reached.
    pub(super) kept: Bits,
    /// Records with a dead letter.
    pub(super) dead: Bits,
    /// A record of a newer version, before which the stretch ends.
    pub(super) newer: Option<u64>,
}

impl Window {
    /// Reads the records of a stretch. Observations about an instant before `kept_from` may be gone from the history.
    pub(super) fn read(
        log: &Log,
        rules: &Admission,
        partition: u32,
        range: Range<u64>,
        kept_from: Time,
    ) -> Result<Window> {
        let empty = || Bits::of(range.clone());
        let (records, observed, kept, dead) = (empty(), empty(), empty(), empty());
        let mut window =
            Window { partition, range: range.clone(), records, observed, kept, dead, newer: None };
        log.scan(Topic::Raw, partition, range.start, Some(range.end), &mut |record| {
            window.records.add(record.offset);
            match admission::admit(rules, partition, record.key, record.value, record.timestamp) {
                Ok(Admitted::Observation(observation)) => {
                    window.observed.add(record.offset);
                    if observation.slot.map_or(observation.observed_at, |slot| slot.start) >= kept_from {
                        window.kept.add(record.offset);
                    }
                }
                Ok(Admitted::Tick(_) | Admitted::Foreign) => {}
                Err(Rejection::Dead { .. }) => drop(window.dead.add(record.offset)),
                Err(Rejection::Newer(_)) => {
                    window.newer = Some(record.offset);
                    window.range.end = record.offset;
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(window)
    }
}

/// What came of the records of a window, somewhere.
pub(super) struct Met<'w> {
    /// What may have come.
    may: &'w Bits,
    range: Range<u64>,
    seen: Bits,
    /// The lowest that was met.
    pub(super) lowest: Option<u64>,
}

/// How an offset was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As it should be, or not of this window.
    Fine,
    /// Before.
    Doubled,
    /// There is no such record.
    Causeless,
}

impl<'w> Met<'w> {
    /// Nothing was met yet.
    pub(super) fn none(window: &Window, may: &'w Bits) -> Met<'w> {
        Met { may, range: window.range.clone(), seen: Bits::of(window.range.clone()), lowest: None }
    }

    /// Something came of this offset.
    pub(super) fn meet(&mut self, offset: u64) -> How {
        if !self.range.contains(&offset) {
            return How::Fine;
        }
        self.lowest = Some(self.lowest.map_or(offset, |lowest| lowest.min(offset)));
        match (self.may.has(offset), self.seen.add(offset)) {
            (false, _) => How::Causeless,
            (true, true) => How::Doubled,
            (true, false) => How::Fine,
        }
    }

    /// What may have come.
    pub(super) fn may(&self) -> &'w Bits {
        self.may
    }

    /// How many different ones were met.
    pub(super) fn count(&self) -> u64 {
        self.seen.count()
    }

    /// Those that must have come, and did not.
    pub(super) fn missing<'m>(&'m self, must: &'m Bits, range: Range<u64>) -> impl Iterator<Item = u64> + 'm {
        // The sets of a window that was cut short are longer than what was met; offsets tell where each belongs.
        must.without(&self.seen, range.start..range.end.min(self.range.end))
    }
}
