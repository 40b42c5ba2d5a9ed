//! Levels of a quote: fires beyond the level, clear at the clear level.

use pricemonitor_model::{Decimal, Rearm, Time, Transition};

use crate::compiled::{Compiled, Level};
use crate::state::RuleState;

/// Takes the next price; what the rule has to say is already in its state.
pub(crate) fn step(
    compiled: &Compiled,
    level: &Level,
    state: &mut RuleState,
    price: Decimal,
    now: Time,
) -> Option<Transition> {
    let beyond = level.beyond(price);
    let progress = &mut state.progress;
    progress.hits = if beyond { progress.hits.saturating_add(1) } else { 0 };
    // Clearing needs no confirmation: a level that is not beyond any more is not to be told again.
    if progress.told && level.cleared(price) {
        progress.told = false;
        return Some(Transition::Resolved);
    }
    let confirmed = beyond && progress.hits >= compiled.rule.confirm.max(1);
    if !confirmed || !may_fire(compiled, state, now) {
        return None;
    }
    if compiled.cooling(state.last_alert, now) {
        state.suppressed = state.suppressed.saturating_add(1);
        return None;
    }
    state.progress.told = true;
    state.last_alert = Some(now);
    Some(Transition::Firing)
}

fn may_fire(compiled: &Compiled, state: &RuleState, now: Time) -> bool {
    match compiled.rule.rearm {
        Rearm::WhenCleared => !state.progress.told,
        Rearm::Never => state.last_alert.is_none(),
        Rearm::After(wait) => {
            !state.progress.told || state.last_alert.is_none_or(|last| now.since(last) >= wait)
        }
    }
}
