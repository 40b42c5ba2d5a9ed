//! The fold of an item that is seen again and again.

use pricemonitor_model::{Decimal, Direction, Observation, PriceKind, Transition};

use crate::STATE_RETENTION;
use crate::compiled::{Compiled, Fnv, RuleSet};
use crate::hit::Hit;
use crate::level;
use crate::movement::Move;
use crate::state::{Cached, Prices, Quote, RuleState};

/// Takes one observation without a slot. Returns how it stands to the last one, and that one's
/// price.
pub(crate) fn observe(
    rules: &RuleSet,
    base_wanted: bool,
    state: &mut Option<Quote>,
    o: &Observation<'_>,
    hits: &mut Vec<Hit>,
) -> (Direction, Option<Decimal>) {
    let unit = unit_hash(o);
    let mut known = true;
    let quote = match state {
        Some(quote) if o.observed_at < quote.observed_at => return (Direction::Late, None),
        Some(quote) if quote.unit == unit && o.observed_at.since(quote.observed_at) <= STATE_RETENTION => {
            quote
        }
        other => {
            known = false;
            other.insert(fresh(o, unit))
        }
    };
    rules.bind(&mut quote.rules, &mut quote.bound.0, &o.source, &o.item, |name| o.labels.get(name));
    let before = (quote.total, quote.base.as_deref().copied());
    for state in &mut quote.rules {
        let Some(compiled) = rules.rules.get(state.index.0 as usize) else { continue };
        let (before, price) = match compiled.rule.price {
            PriceKind::Total => (known.then_some(before.0), o.price),
            PriceKind::Base => match o.base {
                Some(base) => (before.1, base),
                None => continue,
            },
        };
        if let Some(hit) = step(compiled, state, before, price, o) {
            hits.push(hit);
        }
    }
    quote.observed_at = o.observed_at;
    quote.total.last = o.price;
    remember_base(&mut quote.base, o.base, base_wanted);
    if !known {
        return (Direction::First, None);
    }
    let previous = before.0.last;
    let direction = match o.price.cmp(&previous) {
        std::cmp::Ordering::Less => Direction::Drop,
        std::cmp::Ordering::Equal => Direction::Unchanged,
        std::cmp::Ordering::Greater => Direction::Rise,
    };
    (direction, Some(previous))
}

fn fresh(o: &Observation<'_>, unit: u64) -> Quote {
    Quote {
        observed_at: o.observed_at,
        unit,
        total: Prices::new(o.price),
        base: None,
        rules: Box::default(),
        bound: Cached(0),
    }
}

/// Keeps the last and the first base price while some rule looks at them.
pub(crate) fn remember_base(known: &mut Option<Box<Prices>>, base: Option<Decimal>, wanted: bool) {
    match (&mut *known, base) {
        _ if !wanted => *known = None,
        (_, None) => {}
        (Some(known), Some(base)) => known.last = base,
        (None, Some(base)) => *known = Some(Box::new(Prices::new(base))),
    }
}

fn step(
    compiled: &Compiled,
    state: &mut RuleState,
    before: Option<Prices>,
    price: Decimal,
    o: &Observation<'_>,
) -> Option<Hit> {
    let now = o.observed_at;
    let hit =
        |transition, reference| Hit { rule: state.index.0, transition, price, reference, slot: None, nth: 0 };
    if let Some((level, _)) = compiled.level() {
        state.armed = true;
        let hit = hit(Transition::Firing, level.level);
        return level::step(compiled, &level, state, price, now).map(|transition| Hit { transition, ..hit });
    }
    let change = Move::of(&compiled.rule.condition, compiled.rule.confirm)?;
    // A rule that was just made or edited, or a price that was never seen: there is no move yet.
    let Some(before) = before.filter(|_| state.armed) else {
        state.armed = true;
        let first = before.map_or(price, |before| before.first);
        state.progress = change.join(Prices { last: price, first });
        return None;
    };
    let reference = change.step(&mut state.progress, before, price)?;
    let told = !compiled.cooling(state.last_alert, now);
    change.settle(&mut state.progress, price, told);
    if !told {
        state.suppressed = state.suppressed.saturating_add(1);
        return None;
    }
    state.last_alert = Some(now);
    Some(Hit { rule: state.index.0, transition: Transition::Firing, price, reference, slot: None, nth: 0 })
}

/// Prices compare only within equal currency and unit.
fn unit_hash(o: &Observation<'_>) -> u64 {
    let mut hash = Fnv::default();
    hash.text(&o.currency);
    if let Some(unit) = &o.unit {
        hash.text(unit);
    }
    hash.finish()
}
