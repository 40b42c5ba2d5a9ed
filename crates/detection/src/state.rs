//! What is remembered of one item.

use pricemonitor_model::{Decimal, Labels, Observation, PriceKind, Slot, Time};

/// What the fold remembers of one item of one source: the value of the key `source/item` in the
/// processor's state.
///
/// The default is the state of an item that was never seen. Equality means that the fold goes on
/// in the same way; what is merely cached for speed is left out of it.
///
/// # Guarantees
/// - A quote under one rule takes at most 200 bytes, the heap included: 88 here, 64 for each rule that
///   matches, and 16 that the allocator keeps. Encoded, as it is kept between transactions, it takes
///   31 to 60 bytes.
/// - A schedule holds at most [`MAX_SLOTS`](crate::MAX_SLOTS) slots of 88 bytes (before revisions).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemState {
    pub(crate) quote: Option<Quote>,
    /// Boxed, for most items have none.
    pub(crate) schedule: Option<Box<Schedule>>,
}

/// A value that is worked out again when it is lost, and so is no part of what a state *is*.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cached<T>(pub(crate) T);

impl<T> PartialEq for Cached<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The last and the first price of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prices {
    pub(crate) last: Decimal,
    pub(crate) first: Decimal,
}

/// An item that is seen again and again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quote {
    pub(crate) observed_at: Time,
    /// Hash of currency and unit.
    pub(crate) unit: u64,
    pub(crate) total: Prices,
    /// Kept only while some rule looks at it.
    pub(crate) base: Option<Box<Prices>>,
    /// Of the rules that match, in the order of the rules.
    pub(crate) rules: Box<[RuleState]>,
    /// For which rules and labels `rules` was made.
    pub(crate) bound: Cached<u64>,
}

/// What one rule remembers of one series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RuleState {
    /// Name and meaning of the rule in one number: a rule that is edited is another rule.
    pub(crate) id: u64,
    /// Place in the detector's list.
    pub(crate) index: Cached<u32>,
    /// Hits that a cooldown kept back.
    pub(crate) suppressed: u32,
    /// Record time of the last alert.
    pub(crate) last_alert: Option<Time>,
    /// Whether the rule has seen its first price.
    pub(crate) armed: bool,
    pub(crate) progress: Progress,
}

/// How far a rule has come with one line of prices (a quote, or one slot of a schedule).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    /// `lastNotified`: the baseline. `previous`: the baseline of the hits so far.
    pub(crate) reference: Decimal,
    /// Consecutive hits that have not led to an alert yet.
    pub(crate) hits: u32,
    /// A level: has fired and is not clear. `first`: the move was told and still holds.
    pub(crate) told: bool,
    /// `lastNotified`: whether the hits so far are rises.
    pub(crate) rising: bool,
}

/// An item whose prices are published ahead, each for a slot of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// The latest `observed_at`.
    pub(crate) newest: Time,
    /// For alerts that a tick raises, when no observation is at hand.
    pub(crate) currency: Box<str>,
    pub(crate) unit: Option<Box<str>>,
    pub(crate) labels: Labels<'static>,
    /// In the order of (start, end).
    pub(crate) slots: Vec<SlotState>,
    pub(crate) rules: Box<[SlotRule]>,
    pub(crate) bound: Cached<u64>,
}

/// What is known of one slot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlotState {
    pub(crate) slot: Slot,
    pub(crate) observed_at: Time,
    pub(crate) total: Prices,
    pub(crate) base: Option<Box<Prices>>,
    /// Of the change rules for which it is not the default. Each rule once.
    pub(crate) moves: Vec<(u64, Progress)>,
}

/// What one rule remembers of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlotRule {
    pub(crate) state: RuleState,
    /// A level's runs that were dealt with.
    pub(crate) told: Vec<Told>,
}

/// A span of time whose run of slots was dealt with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) span: Slot,
    /// Whether there was an alert, not just a cooldown or a rule that never fires again.
    pub(crate) alerted: bool,
}

impl ItemState {
    /// How many hits were kept back by cooldowns since the rules were last edited. Only grows while
    /// the same rules watch the item, so the difference around a record is what that record added.
    pub fn suppressed(&self) -> u64 {
        let quote = self.quote.iter().flat_map(|quote| quote.rules.iter());
        let slots = self.schedule.iter().flat_map(|s| s.rules.iter().map(|rule| &rule.state));
        quote.chain(slots).map(|rule| u64::from(rule.suppressed)).sum()
    }
}

impl RuleState {
    pub(crate) fn new(id: u64, index: u32) -> RuleState {
        RuleState {
            id,
            index: Cached(index),
            suppressed: 0,
            last_alert: None,
            armed: false,
            progress: Progress::default(),
        }
    }
}

impl Prices {
    pub(crate) fn new(price: Decimal) -> Prices {
        Prices { last: price, first: price }
    }
}

impl Schedule {
    pub(crate) fn new(o: &Observation<'_>) -> Schedule {
        Schedule {
            newest: o.observed_at,
            currency: (*o.currency).into(),
            unit: o.unit.as_deref().map(Into::into),
            labels: Labels::new(),
            slots: Vec::new(),
            rules: Box::default(),
            bound: Cached(0),
        }
    }

    pub(crate) fn same_unit(&self, o: &Observation<'_>) -> bool {
        *self.currency == *o.currency && self.unit.as_deref() == o.unit.as_deref()
    }
}

impl SlotState {
    /// How far the rule `id` has come with the slot; `start` when it has nothing to remember.
    pub(crate) fn progress(&self, id: u64, start: Progress) -> Progress {
        self.moves.iter().find(|(rule, _)| *rule == id).map_or(start, |(_, progress)| *progress)
    }

    /// Remembers it, unless it is `start` anyway: most slots are never revised.
    pub(crate) fn set_progress(&mut self, id: u64, start: Progress, progress: Progress) {
        match self.moves.iter().position(|(rule, _)| *rule == id) {
            Some(place) if progress == start => drop(self.moves.swap_remove(place)),
            Some(place) => self.moves[place].1 = progress,
            None if progress == start => {}
            None => self.moves.push((id, progress)),
        }
    }

    /// The slot's prices of one kind.
    pub(crate) fn prices(&self, kind: PriceKind) -> Option<Prices> {
        match kind {
            PriceKind::Total => Some(self.total),
            PriceKind::Base => self.base.as_deref().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_under_one_rule_takes_at_most_200_bytes_of_memory() {
        // What the allocator keeps beside each block: the size, rounded up to 16.
        let heap = size_of::<RuleState>().next_multiple_of(16) + 16;
        assert_eq!((size_of::<ItemState>(), size_of::<RuleState>(), size_of::<SlotState>()), (88, 64, 88));
        assert!(size_of::<ItemState>() + heap <= 200);
    }
}
