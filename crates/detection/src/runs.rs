//! Levels of a schedule: runs of slots beyond a level.
//!
//! A *stretch* is an unbroken series of slots whose prices are not clear. A run reaches from the
//! first slot of a stretch that is beyond the level to the stretch's end; so there is at most one
//! run in a stretch, and slots between level and clear level prolong it.

use pricemonitor_model::{Decimal, PriceKind, Slot, Time};

use crate::compiled::Level;
use crate::state::{SlotState, Told};

/// How far apart two slots may be and still touch: some feeds end a slot one millisecond early.
const TOUCH: i64 = 1;

/// A run: places of its first and last slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// The slots as one level rule looks at them.
#[derive(Clone, Copy)]
pub(crate) struct View<'s> {
    pub(crate) slots: &'s [SlotState],
    pub(crate) level: &'s Level,
    pub(crate) kind: PriceKind,
}

impl View<'_> {
    fn price(&self, at: usize) -> Option<Decimal> {
        self.slots.get(at)?.prices(self.kind).map(|prices| prices.last)
    }

    /// Whether the slot keeps a run going.
    fn open(&self, at: usize) -> bool {
        self.price(at).is_some_and(|price| !self.level.cleared(price))
    }

    fn beyond(&self, at: usize) -> bool {
        self.price(at).is_some_and(|price| self.level.beyond(price))
    }

    fn touches(&self, left: usize) -> bool {
        match (self.slots.get(left), self.slots.get(left + 1)) {
            (Some(left), Some(right)) => right.slot.start.since(left.slot.end) <= TOUCH,
            _ => false,
        }
    }

    /// The run that the slot belongs to.
    pub(crate) fn run_of(&self, at: usize) -> Option<Run> {
        if !self.open(at) {
            return None;
        }
        let mut start = at;
        while start > 0 && self.touches(start - 1) && self.open(start - 1) {
            start -= 1;
        }
        let first = (start..=at).find(|at| self.beyond(*at))?;
        let mut last = at;
        while self.touches(last) && self.open(last + 1) {
            last += 1;
        }
        Some(Run { first, last })
    }

    /// All runs among the slots that start before `end` and end after `start`, in order.
    pub(crate) fn runs_in(&self, start: Time, end: Time) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, slot) in self.slots.iter().enumerate() {
            let passed = runs.last().is_some_and(|run| at <= run.last);
            if passed || slot.slot.end <= start || slot.slot.start >= end {
                continue;
            }
            runs.extend(self.run_of(at));
        }
        runs
    }

    /// From the first slot's start to the last slot's end.
    pub(crate) fn span(&self, run: Run) -> Option<Slot> {
        let slots = self.slots.get(run.first..=run.last)?;
        let end = slots.iter().map(|slot| slot.slot.end).max()?;
        Some(Slot { start: slots.first()?.slot.start, end })
    }

    /// Whether so many slots in a row are beyond the level.
    pub(crate) fn confirmed(&self, run: Run, confirm: u32) -> bool {
        let mut streak = 0u32;
        (run.first..=run.last).any(|at| {
            streak = if self.beyond(at) { streak.saturating_add(1) } else { 0 };
            streak >= confirm.max(1)
        })
    }

    /// The price to tell of: of the slot `seen` if that is beyond the level and not over, else of
    /// the run's first such slot. `None`: the run is over, or all that is left of it is tame.
    pub(crate) fn worth_telling(&self, run: Run, seen: Option<usize>, now: Time) -> Option<Decimal> {
        let live = |at: &usize| self.beyond(*at) && self.slots.get(*at).is_some_and(|s| s.slot.end > now);
        let at = seen.filter(live).or_else(|| (run.first..=run.last).find(live))?;
        self.price(at)
    }
}

/// Whether two spans overlap or touch.
pub(crate) fn meet(a: Slot, b: Slot) -> bool {
    a.start.since(b.end) <= TOUCH && b.start.since(a.end) <= TOUCH
}

/// Grows what was told over the whole of a run. `false`: nothing of the run was ever told.
pub(crate) fn merge(told: &mut Vec<Told>, span: Slot) -> bool {
    let mut whole: Option<Told> = None;
    told.retain(|known| {
        let part = meet(known.span, span);
        if part {
            let sum = whole.get_or_insert(Told { span, alerted: false });
            sum.span.start = sum.span.start.min(known.span.start);
            sum.span.end = sum.span.end.max(known.span.end);
            sum.alerted |= known.alerted;
        }
        !part
    });
    told.extend(whole);
    whole.is_some()
}
