//! The fold of an item whose prices are published ahead, slot by slot.

use pricemonitor_model::{
    Decimal, Direction, LevelAt, Observation, PriceKind, Rearm, Slot, Time, Transition,
};

use crate::compiled::{Compiled, RuleSet};
use crate::hit::Hit;
use crate::movement::Move;
use crate::quote::remember_base;
use crate::runs::{self, Run, View};
use crate::state::{Prices, Schedule, SlotRule, SlotState, Told};
use crate::{MAX_SLOTS, SLOT_RETENTION, STATE_RETENTION};

/// Takes one observation of a slot. Returns how it stands to the slot's last one, and that one's
/// price.
pub(crate) fn observe(
    rules: &RuleSet,
    base_wanted: bool,
    state: &mut Option<Box<Schedule>>,
    o: &Observation<'_>,
    slot: Slot,
    hits: &mut Vec<Hit>,
) -> (Direction, Option<Decimal>) {
    let schedule = match state {
        Some(known) if !known.same_unit(o) && o.observed_at < known.newest => return (Direction::Late, None),
        Some(known) if known.same_unit(o) && !known.expired(o.observed_at) => known,
        other => other.insert(Box::new(Schedule::new(o))),
    };
    // First of all, so that it makes no difference whether a tick already did it.
    schedule.newest = schedule.newest.max(o.observed_at);
    schedule.forget(schedule.newest);
    let place = schedule.slots.binary_search_by(|known| known.slot.cmp(&slot));
    if let Ok(at) = place
        && o.observed_at < schedule.slots[at].observed_at
    {
        return (Direction::Late, None);
    }
    if schedule.labels != o.labels {
        schedule.labels = o.labels.clone().into_owned();
    }
    rules.bind(&mut schedule.rules, &mut schedule.bound.0, &o.source, &o.item, |name| o.labels.get(name));

    let before = place.ok().map(|at| (schedule.slots[at].total, schedule.slots[at].base.as_deref().copied()));
    let at = match place {
        Ok(at) => at,
        Err(at) => {
            schedule.slots.insert(at, SlotState::new(o, slot));
            at
        }
    };
    let known = &mut schedule.slots[at];
    known.observed_at = o.observed_at;
    known.total.last = o.price;
    remember_base(&mut known.base, o.base, base_wanted);

    schedule.judge(rules, at, o, before, hits);
    if schedule.slots.len() > MAX_SLOTS || over(slot.end, schedule.newest) {
        schedule.forget(schedule.newest);
    }
    match before.map(|(total, _)| total.last) {
        None => (Direction::First, None),
        Some(previous) if previous == o.price => (Direction::Unchanged, Some(previous)),
        Some(previous) => (Direction::Revised, Some(previous)),
    }
}

/// Lets time come to `now`: runs that begin now are told. Whether anything changed.
pub(crate) fn pass(
    rules: &RuleSet,
    schedule: &mut Schedule,
    source: &str,
    item: &str,
    now: Time,
    hits: &mut Vec<Hit>,
) -> bool {
    let labels = &schedule.labels;
    rules.bind(&mut schedule.rules, &mut schedule.bound.0, source, item, |name| labels.get(name));
    let now = schedule.newest.max(now);
    let mut changed = false;
    for own in &mut schedule.rules {
        if let Some(compiled) = rules.rules.get(own.state.index.0 as usize)
            && let Some((level, LevelAt::Starts)) = compiled.level()
        {
            let view = View { slots: &schedule.slots, level: &level, kind: compiled.rule.price };
            changed |= begun(compiled, &view, own, now, hits);
        }
    }
    schedule.forget(now) || changed
}

impl SlotState {
    fn new(o: &Observation<'_>, slot: Slot) -> SlotState {
        SlotState {
            slot,
            observed_at: o.observed_at,
            total: Prices::new(o.price),
            base: None,
            moves: Vec::new(),
        }
    }
}

impl Schedule {
    /// Unseen for long, with no slot left that could matter.
    pub(crate) fn expired(&self, now: Time) -> bool {
        now.since(self.newest) > STATE_RETENTION && self.slots.iter().all(|slot| over(slot.slot.end, now))
    }

    /// Whether `forget` would find something to forget.
    pub(crate) fn forgettable(&self, now: Time) -> bool {
        self.slots.iter().any(|slot| over(slot.slot.end, now))
            || self.rules.iter().any(|rule| rule.told.iter().any(|told| over(told.span.end, now)))
    }

    /// Whether some slot is under way, so that a run may begin.
    pub(crate) fn under_way(&self, now: Time) -> bool {
        let started = self.slots.partition_point(|slot| slot.slot.start <= now);
        self.slots[..started].iter().any(|slot| slot.slot.end > now)
    }

    /// Drops slots and runs that ended long ago, and the earliest slots beyond what is kept at most.
    fn forget(&mut self, now: Time) -> bool {
        let mut forgot = self.forgettable(now);
        if forgot {
            self.slots.retain(|slot| !over(slot.slot.end, now));
            self.rules.iter_mut().for_each(|rule| rule.told.retain(|told| !over(told.span.end, now)));
        }
        if self.slots.len() > MAX_SLOTS {
            self.slots.drain(..self.slots.len() - MAX_SLOTS);
            forgot = true;
        }
        forgot
    }

    /// What the rules say to the slot at `at`, which already has its new price.
    fn judge(
        &mut self,
        rules: &RuleSet,
        at: usize,
        o: &Observation<'_>,
        before: Option<(Prices, Option<Prices>)>,
        hits: &mut Vec<Hit>,
    ) {
        for own in &mut self.rules {
            let Some(compiled) = rules.rules.get(own.state.index.0 as usize) else { continue };
            let kind = compiled.rule.price;
            let arming = !std::mem::replace(&mut own.state.armed, true);
            if let Some((level, when)) = compiled.level() {
                let view = View { slots: &self.slots, level: &level, kind };
                cross(compiled, &view, own, Seen { at, now: o.observed_at, arming, when }, hits);
                if when == LevelAt::Starts {
                    begun(compiled, &view, own, self.newest, hits);
                }
                continue;
            }
            let Some(change) = Move::of(&compiled.rule.condition, compiled.rule.confirm) else { continue };
            if arming {
                self.slots.iter_mut().for_each(|slot| join(&change, own.state.id, kind, slot));
                continue;
            }
            let seen = match kind {
                PriceKind::Total => before.map(|(total, _)| (total, o.price)),
                PriceKind::Base => before.and_then(|(_, base)| base).zip(o.base),
            };
            let (Some((before, price)), Some(slot)) = (seen, self.slots.get_mut(at)) else { continue };
            hits.extend(revise(compiled, &change, own, slot, before, price));
        }
    }
}

fn over(end: Time, now: Time) -> bool {
    now.since(end) > SLOT_RETENTION
}

/// A change rule sees a slot for the first time that was there before it.
fn join(change: &Move<'_>, id: u64, kind: PriceKind, slot: &mut SlotState) {
    if let Some(prices) = slot.prices(kind) {
        slot.set_progress(id, change.start(prices.first), change.join(prices));
    }
}

/// A change rule and one more price of a slot.
fn revise(
    compiled: &Compiled,
    change: &Move<'_>,
    own: &mut SlotRule,
    slot: &mut SlotState,
    before: Prices,
    price: Decimal,
) -> Option<Hit> {
    let (state, now) = (&mut own.state, slot.observed_at);
    let start = change.start(before.first);
    let mut progress = slot.progress(state.id, start);
    let hit = change.step(&mut progress, before, price).and_then(|reference| {
        let told = !compiled.cooling(state.last_alert, now);
        change.settle(&mut progress, price, told);
        if !told {
            state.suppressed = state.suppressed.saturating_add(1);
            return None;
        }
        state.last_alert = Some(now);
        let (rule, slot) = (state.index.0, Some(slot.slot));
        Some(Hit { rule, transition: Transition::Firing, price, reference, slot, nth: 0 })
    });
    slot.set_progress(state.id, start, progress);
    hit
}

/// A slot that was just seen.
struct Seen {
    at: usize,
    now: Time,
    /// The rule sees the schedule for the first time.
    arming: bool,
    when: LevelAt,
}

/// A level rule and a slot with a new price.
fn cross(compiled: &Compiled, view: &View<'_>, own: &mut SlotRule, seen: Seen, hits: &mut Vec<Hit>) {
    let Some(run) = view.run_of(seen.at) else {
        split(view, own, &seen, hits);
        return all_at_first(compiled, view, own, &seen, hits);
    };
    let Some(span) = view.span(run) else { return };
    let told = runs::merge(&mut own.told, span);
    if !told && seen.when == LevelAt::Published {
        tell(compiled, view, own, run, Some(seen.at), seen.now, hits);
    }
    all_at_first(compiled, view, own, &seen, hits);
}

/// A rule that is new to a schedule tells of every run that is already known.
fn all_at_first(compiled: &Compiled, view: &View<'_>, own: &mut SlotRule, seen: &Seen, hits: &mut Vec<Hit>) {
    if !seen.arming || seen.when != LevelAt::Published {
        return;
    }
    for run in view.runs_in(Time::MIN, Time::MAX) {
        if view.span(run).is_some_and(|span| !runs::merge(&mut own.told, span)) {
            tell(compiled, view, own, run, None, seen.now, hits);
        }
    }
}

/// A run that is under way and was not told begins now.
fn begun(compiled: &Compiled, view: &View<'_>, own: &mut SlotRule, now: Time, hits: &mut Vec<Hit>) -> bool {
    let started = view.slots.partition_point(|slot| slot.slot.start <= now);
    let under_way =
        (0..started).rev().find(|at| view.slots[*at].slot.end > now && view.run_of(*at).is_some());
    let Some(run) = under_way.and_then(|at| view.run_of(at)) else { return false };
    match view.span(run) {
        Some(span) if !own.told.iter().any(|told| runs::meet(told.span, span)) => {
            tell(compiled, view, own, run, None, now, hits)
        }
        _ => false,
    }
}

/// Tells of a run, if there is a reason to and nothing is in the way. Whether the state changed.
fn tell(
    compiled: &Compiled,
    view: &View<'_>,
    own: &mut SlotRule,
    run: Run,
    seen: Option<usize>,
    now: Time,
    hits: &mut Vec<Hit>,
) -> bool {
    let (Some(span), Some(price)) = (view.span(run), view.worth_telling(run, seen, now)) else {
        return false;
    };
    if !view.confirmed(run, compiled.rule.confirm) {
        return false;
    }
    let spent = compiled.rule.rearm == Rearm::Never && own.state.last_alert.is_some();
    // Of one record every run is told, or none: they were published together.
    let together =
        hits.iter().filter(|hit| hit.rule == own.state.index.0 && hit.transition == Transition::Firing);
    let nth = together.count();
    let cooling = nth == 0 && compiled.cooling(own.state.last_alert, now);
    let alerted = !spent && !cooling;
    own.told.push(Told { span, alerted });
    if !alerted {
        own.state.suppressed = own.state.suppressed.saturating_add(u32::from(cooling && !spent));
        return true;
    }
    own.state.last_alert = Some(now);
    hits.push(Hit {
        rule: own.state.index.0,
        transition: Transition::Firing,
        price,
        reference: view.level.level,
        slot: Some(span),
        nth,
    });
    true
}

/// The slot is in no run (any more): what was told of it shrinks to the runs that are left. When
/// none is left and the time is not over, the alert is taken back.
fn split(view: &View<'_>, own: &mut SlotRule, seen: &Seen, hits: &mut Vec<Hit>) {
    let Some(slot) = view.slots.get(seen.at) else { return };
    let mut gone: Option<Slot> = None;
    for told in std::mem::take(&mut own.told) {
        if told.span.start >= slot.slot.end || told.span.end <= slot.slot.start {
            own.told.push(told);
            continue;
        }
        let left = view.runs_in(told.span.start, told.span.end);
        if left.is_empty() && told.alerted && told.span.end > seen.now {
            let whole = gone.get_or_insert(told.span);
            whole.start = whole.start.min(told.span.start);
            whole.end = whole.end.max(told.span.end);
        }
        own.told.extend(left.into_iter().filter_map(|run| view.span(run)).map(|span| Told { span, ..told }));
    }
    let Some((span, price)) = gone.zip(slot.prices(view.kind)) else { return };
    hits.push(Hit {
        rule: own.state.index.0,
        transition: Transition::Resolved,
        price: price.last,
        reference: view.level.level,
        slot: Some(span),
        nth: 0,
    });
}
