//! The fold's doors.

use pricemonitor_model::price::percent_change;
use pricemonitor_model::{
    Alert, Coordinates, Decimal, Direction, MonitorId, Observation, PriceEvent, PriceKind, Rule, Tick,
};

use crate::compiled::{Compiled, RuleSet};
use crate::hit::{About, Hit};
use crate::state::ItemState;
use crate::{STATE_RETENTION, quote, schedule};

/// The rules of a monitor, ready to be followed. Cheap to look things up in, never changes, holds
/// no state of any series.
#[derive(Clone, Debug)]
pub struct Detector {
    monitor: MonitorId,
    rules: RuleSet,
    /// Some rule looks at prices before fees.
    base: bool,
    /// Some rule depends on time alone.
    starts: bool,
}

/// What a tick did to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickEffect {
    /// Nothing: the state need not be written.
    Unchanged,
    /// The state changed.
    Changed,
    /// The item was not seen for so long that its state is to be removed.
    Expired,
}

impl Detector {
    /// Compiles the rules of `monitor`. Names are unique in a monitor; of two rules with one name
    /// the first counts. No rules at all means that events are made and nothing is told: the
    /// default rule is [`Rule::any_drop`].
    pub fn new(monitor: MonitorId, rules: Vec<Rule>) -> Detector {
        let rules = RuleSet::new(rules);
        let base = rules.rules.iter().any(|compiled| compiled.rule.price == PriceKind::Base);
        let starts = rules.rules.iter().any(Compiled::starts);
        Detector { monitor, rules, base, starts }
    }

    /// Appends the key of the observation's state, `source/item`, to `buf`.
    pub fn key(observation: &Observation<'_>, buf: &mut Vec<u8>) {
        buf.extend_from_slice(observation.source.as_bytes());
        buf.push(b'/');
        buf.extend_from_slice(observation.item.as_bytes());
    }

    /// Folds one observation into the state of its key and pushes what is to be told to `alerts`.
    ///
    /// The observation is consumed, because the event takes over its texts and labels; nothing is
    /// allocated for a quote that was seen before and raises no alert.
    ///
    /// # Guarantees
    /// - One event for every observation.
    /// - Depends on nothing but its arguments, so the same records in the same order give the same
    ///   events and alerts, also when the state was encoded and decoded in between.
    /// - Never panics, whatever the decimals and times.
    pub fn observe<'o>(
        &self,
        state: &mut ItemState,
        observation: Observation<'o>,
        at: Coordinates,
        alerts: &mut Vec<Alert<'o>>,
    ) -> PriceEvent<'o> {
        let mut hits = Vec::new();
        let (direction, previous) = match observation.slot {
            None => quote::observe(&self.rules, self.base, &mut state.quote, &observation, &mut hits),
            Some(slot) => {
                schedule::observe(&self.rules, self.base, &mut state.schedule, &observation, slot, &mut hits)
            }
        };
        self.tell(&hits, at, alerts, || About::observation(&observation));
        event(observation, direction, previous, at)
    }

    /// Folds a tick into the state of one key of the tick's source: runs of slots that start now
    /// are told, slots that ended long ago are dropped. Keys of other sources stay as they are.
    ///
    /// # Guarantees
    /// With [`TickEffect::Unchanged`] the state means the same as before and need not be stored.
    pub fn tick(
        &self,
        state: &mut ItemState,
        key: &[u8],
        tick: &Tick<'_>,
        at: Coordinates,
        alerts: &mut Vec<Alert<'static>>,
    ) -> TickEffect {
        let Some((source, item)) = split_key(key).filter(|(source, _)| *source == tick.source) else {
            return TickEffect::Unchanged;
        };
        let now = tick.at;
        let quotes = state.quote.take_if(|quote| now.since(quote.observed_at) > STATE_RETENTION);
        let schedules = state.schedule.take_if(|schedule| schedule.expired(now));
        if state.quote.is_none() && state.schedule.is_none() {
            return TickEffect::Expired;
        }
        let mut changed = quotes.is_some() || schedules.is_some();
        if let Some(schedule) = &mut state.schedule {
            let mut hits = Vec::new();
            changed |= schedule::pass(&self.rules, schedule, source, item, now, &mut hits);
            let now = schedule.newest.max(now);
            self.tell(&hits, at, alerts, || About::schedule(source, item, schedule, now));
        }
        if changed { TickEffect::Changed } else { TickEffect::Unchanged }
    }

    /// Whether [`Detector::tick`] might do something to this state, to be asked before the state is
    /// copied. Costs next to nothing for a quote.
    pub fn due(&self, state: &ItemState, tick: &Tick<'_>) -> bool {
        let quote = state.quote.as_ref().map(|quote| tick.at.since(quote.observed_at) > STATE_RETENTION);
        let schedule = state.schedule.as_ref().map(|schedule| {
            // As `tick` sees it: time does not run backwards for a schedule.
            let now = tick.at.max(schedule.newest);
            (self.starts && schedule.under_way(now)) || schedule.forgettable(now) || schedule.expired(tick.at)
        });
        quote.unwrap_or(false) || schedule.unwrap_or(false) || (quote.is_none() && schedule.is_none())
    }

    /// Whether some rule must hear of every tick. If not, a tick now and then is enough, to forget
    /// what is long gone.
    pub fn needs_ticks(&self) -> bool {
        self.starts
    }

    fn tell<'a>(
        &self,
        hits: &[Hit],
        at: Coordinates,
        alerts: &mut Vec<Alert<'a>>,
        about: impl Fn() -> About<'a>,
    ) {
        for hit in hits {
            if let Some(compiled) = self.rules.rules.get(hit.rule as usize) {
                alerts.push(hit.alert(&self.monitor, compiled, about(), at));
            }
        }
    }
}

fn split_key(key: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(key).ok()?.split_once('/')
}

fn event<'o>(
    o: Observation<'o>,
    direction: Direction,
    previous: Option<Decimal>,
    coordinates: Coordinates,
) -> PriceEvent<'o> {
    let percent = match (direction, previous) {
        // The same without a division: most observations are of this kind.
        (Direction::Unchanged, Some(previous)) => (previous > Decimal::ZERO).then(|| Decimal::new(0, 1)),
        (_, Some(previous)) => percent_change(previous, o.price),
        (_, None) => None,
    };
    PriceEvent {
        source: o.source,
        item: o.item,
        labels: o.labels,
        price: o.price,
        previous,
        delta: previous.and_then(|previous| o.price.checked_sub(previous)),
        percent,
        direction,
        currency: o.currency,
        unit: o.unit,
        observed_at: o.observed_at,
        slot: o.slot,
        coordinates,
    }
}
