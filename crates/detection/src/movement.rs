//! Moves against a baseline.

use pricemonitor_model::price::moved_by_percent;
use pricemonitor_model::{Baseline, Condition, Decimal, Movement, Threshold};

use crate::state::{Prices, Progress};

/// A change condition with its confirmation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move<'r> {
    movement: Movement,
    threshold: &'r Threshold,
    baseline: Baseline,
    confirm: u32,
}

impl<'r> Move<'r> {
    pub(crate) fn of(condition: &'r Condition, confirm: u32) -> Option<Move<'r>> {
        match condition {
            Condition::Move { movement, threshold, baseline } => {
                Some(Move { movement: *movement, threshold, baseline: *baseline, confirm: confirm.max(1) })
            }
            Condition::Level { .. } => None,
        }
    }

    /// Where a line of prices that begins at `price` stands.
    pub(crate) fn start(&self, price: Decimal) -> Progress {
        match self.baseline {
            Baseline::LastNotified => Progress { reference: price, ..Progress::default() },
            Baseline::Previous | Baseline::First => Progress::default(),
        }
    }

    /// Where a line of prices stands that the rule sees for the first time, though it began earlier.
    /// What already holds against the first price is old news.
    pub(crate) fn join(&self, prices: Prices) -> Progress {
        let mut progress = self.start(prices.last);
        progress.told = self.baseline == Baseline::First && self.met(prices.first, prices.last);
        progress
    }

    /// Takes the next price of a line whose last was `before.last`. `Some(reference)`: the rule
    /// hits; the caller decides whether it is told and must then call [`Move::settle`].
    pub(crate) fn step(&self, p: &mut Progress, before: Prices, price: Decimal) -> Option<Decimal> {
        match self.baseline {
            Baseline::Previous => self.against_previous(p, before.last, price),
            Baseline::First => self.against_first(p, before.first, price),
            Baseline::LastNotified => self.against_last_notified(p, price),
        }
    }

    /// After a hit: `told`, or kept back by a cooldown.
    pub(crate) fn settle(&self, p: &mut Progress, price: Decimal, told: bool) {
        match self.baseline {
            // The observation before is gone, told or not.
            Baseline::Previous => *p = Progress::default(),
            Baseline::First if told => *p = Progress { told: true, ..Progress::default() },
            Baseline::LastNotified if told => *p = self.start(price),
            // The baseline stays, so the next price is measured by it too.
            Baseline::First | Baseline::LastNotified => {}
        }
    }

    fn against_previous(&self, p: &mut Progress, previous: Decimal, price: Decimal) -> Option<Decimal> {
        if p.hits > 0 && self.met(p.reference, price) {
            p.hits = p.hits.saturating_add(1);
        } else if self.met(previous, price) {
            *p = Progress { reference: previous, hits: 1, ..Progress::default() };
        } else {
            *p = Progress::default();
        }
        (p.hits >= self.confirm).then_some(p.reference)
    }

    fn against_first(&self, p: &mut Progress, first: Decimal, price: Decimal) -> Option<Decimal> {
        if !self.met(first, price) {
            *p = Progress::default();
        } else if !p.told {
            p.hits = p.hits.saturating_add(1);
        }
        (p.hits >= self.confirm).then_some(first)
    }

    fn against_last_notified(&self, p: &mut Progress, price: Decimal) -> Option<Decimal> {
        let reference = p.reference;
        if matches!(self.threshold, Threshold::Percent(_)) && reference <= Decimal::ZERO {
            // No percent of this is defined, so nothing could ever move the baseline away from it.
            *p = self.start(price);
            return None;
        }
        if !self.far(reference, price) {
            *p = self.start(reference);
            return None;
        }
        let rising = price > reference;
        // A change in either direction confirms a `change`; otherwise each direction is on its own.
        if p.hits > 0 && p.rising != rising && self.movement != Movement::Change {
            p.hits = 0;
        }
        (p.hits, p.rising) = (p.hits.saturating_add(1), rising);
        if p.hits < self.confirm {
            return None;
        }
        if self.counts(reference, price) {
            return Some(reference);
        }
        *p = self.start(price);
        None
    }

    /// Far enough, in a direction that counts.
    fn met(&self, from: Decimal, to: Decimal) -> bool {
        self.counts(from, to) && self.far(from, to)
    }

    fn counts(&self, from: Decimal, to: Decimal) -> bool {
        match self.movement {
            Movement::Drop => to < from,
            Movement::Rise => to > from,
            Movement::Change => to != from,
        }
    }

    /// At least the threshold away, in either direction; a price never moved from itself.
    fn far(&self, from: Decimal, to: Decimal) -> bool {
        from != to
            && match self.threshold {
                Threshold::Any => true,
                Threshold::Percent(percent) => moved_by_percent(from, to, *percent) == Some(true),
                // A distance too large for a decimal is larger than any threshold.
                Threshold::Absolute(by) => to.checked_sub(from).is_none_or(|moved| moved.abs() >= *by),
            }
    }
}
