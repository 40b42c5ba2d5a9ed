//! The pure detection fold (signatures; bodies follow).
#![allow(missing_docs, unused_variables)]
use pricemonitor_model::persist::{Persist, PersistError};
use pricemonitor_model::{Alert, Coordinates, Direction, MonitorId, Observation, PriceEvent, Rule, Tick};

pub struct Detector {
    rules: Vec<Rule>,
}
#[derive(Clone, Default, PartialEq, Debug)]
pub struct ItemState {}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TickEffect {
    Unchanged,
    Changed,
    Expired,
}
impl Persist for ItemState {
    fn encode(&self, out: &mut Vec<u8>) {}
    fn decode(bytes: &[u8]) -> Result<Self, PersistError> {
        Ok(ItemState {})
    }
}
impl ItemState {
    pub fn suppressed(&self) -> u64 {
        0
    }
}
impl Detector {
    pub fn new(monitor: MonitorId, rules: Vec<Rule>) -> Detector {
        Detector { rules }
    }
    pub fn key(observation: &Observation<'_>, buf: &mut Vec<u8>) {
        buf.extend_from_slice(observation.source.as_bytes());
        buf.push(b'/');
        buf.extend_from_slice(observation.item.as_bytes());
    }
    pub fn needs_ticks(&self) -> bool {
        false
    }
    pub fn due(&self, state: &ItemState, tick: &Tick<'_>) -> bool {
        false
    }
    pub fn observe<'o>(
        &self,
        state: &mut ItemState,
        o: Observation<'o>,
        at: Coordinates,
        alerts: &mut Vec<Alert<'o>>,
    ) -> PriceEvent<'o> {
        PriceEvent {
            source: o.source,
            item: o.item,
            labels: o.labels,
            price: o.price,
            previous: None,
            delta: None,
            percent: None,
            direction: Direction::First,
            currency: o.currency,
            unit: o.unit,
            observed_at: o.observed_at,
            slot: o.slot,
            coordinates: at,
        }
    }
    pub fn tick(
        &self,
        state: &mut ItemState,
        key: &[u8],
        tick: &Tick<'_>,
        at: Coordinates,
        alerts: &mut Vec<Alert<'static>>,
    ) -> TickEffect {
        TickEffect::Unchanged
    }
}
