//! From what a source showed to records of the raw topic. Pure.

use pricemonitor_config::KeySpec;
use pricemonitor_eventlog::Write;
use pricemonitor_model::{Observation, Tick, wire};

/// One record for each observation.
pub(super) fn observations(observations: &[Observation<'_>], key: KeySpec) -> Vec<Write> {
    observations.iter().map(|observation| record(observation, key)).collect()
}

fn record(observation: &Observation<'_>, key: KeySpec) -> Write {
    // Long enough for nearly every observation, so that the buffer grows once.
    let mut value = Vec::with_capacity(384);
    wire::write_observation(observation, &mut value);
    let key = match key {
        KeySpec::Item => observation.key(),
        KeySpec::SlotStart => slot_start(observation),
    };
    Write { partition: None, key: Some(key.into_bytes()), value: Some(value) }
}

/// The slot's start as the source wrote it; the item's key for what has no slot.
fn slot_start(observation: &Observation<'_>) -> String {
    let written = observation.as_written.as_ref().and_then(|written| written.start.as_deref());
    match (written, observation.slot) {
        (Some(written), _) => written.to_owned(),
        (None, Some(slot)) => slot.start.to_string(),
        (None, None) => observation.key(),
    }
}

/// A tick, for every raw partition.
pub(super) fn tick(tick: &Tick<'_>) -> Write {
    let mut value = Vec::with_capacity(128);
    wire::write_tick(tick, &mut value);
    Write { partition: None, key: None, value: Some(value) }
}
