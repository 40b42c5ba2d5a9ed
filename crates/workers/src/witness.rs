//! What the processor shows to whoever looks on (the console of `pricemonitor up`).
//!
//! Looking on must never hold up the pipeline: the queue is bounded, and what does not fit is
//! counted, not waited for. Only what was committed is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pricemonitor_model::{Alert, Direction, PriceEvent};
use tokio::sync::mpsc;

/// Something to show.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A price changed (drop, rise, revised).
    Change {
        /// Id of the monitor.
        monitor: String,
        /// The label `event`, else the item.
        event: String,
        /// The label `section`; empty without one.
        section: String,
        /// Price before, as text.
        previous: String,
        /// Price now, as text.
        price: String,
        /// Unit of both.
        unit: String,
        /// Change in percent, where defined.
        percent: Option<String>,
        /// The slot's start, for schedules.
        slot: Option<pricemonitor_model::Slot>,
    },
    /// An alert was raised.
    Alert(Box<Alert<'static>>),
}

/// The looker-on's end, held by the processor.
#[derive(Clone, Debug)]
pub struct Witness {
    to: Option<mpsc::Sender<Seen>>,
    missed: Arc<AtomicU64>,
}

/// The most that one transaction holds back for showing.
const HELD: usize = 256;

impl Witness {
    /// Nobody looks on.
    pub fn none() -> Witness {
        Witness { to: None, missed: Arc::default() }
    }

    /// A witness and the end to read from, with room for `room`.
    pub fn channel(room: usize) -> (Witness, mpsc::Receiver<Seen>) {
        let (to, from) = mpsc::channel(room);
        (Witness { to: Some(to), missed: Arc::default() }, from)
    }

    /// How many things were not shown since the last call, for want of room.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    fn show(&self, seen: Seen) {
        if let Some(to) = &self.to
            && let Err(mpsc::error::TrySendError::Full(_)) = to.try_send(seen)
        {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What one transaction holds back until it is committed.
#[derive(Debug)]
pub(crate) struct Held {
    witness: Witness,
    seen: Vec<Seen>,
    over: u64,
}

impl Held {
    pub(crate) fn new(witness: Witness) -> Held {
        Held { witness, seen: Vec::new(), over: 0 }
    }

    pub(crate) fn event(&mut self, monitor: &str, event: &PriceEvent<'_>) {
        if !matches!(event.direction, Direction::Drop | Direction::Rise | Direction::Revised) {
            return;
        }
        let Some(previous) = event.previous else { return };
        if !self.has_room() {
            return;
        }
        self.seen.push(Seen::Change {
            monitor: monitor.to_owned(),
            event: event.labels.get("event").unwrap_or(&event.item).to_owned(),
            section: event.labels.get("section").unwrap_or_default().to_owned(),
            previous: previous.to_string(),
            price: event.price.to_string(),
            unit: event.unit.as_deref().unwrap_or(&event.currency).to_owned(),
            percent: event.percent.map(|p| p.to_string()),
            slot: event.slot,
        });
    }

    pub(crate) fn alert(&mut self, alert: &Alert<'_>) {
        if self.has_room() {
            self.seen.push(Seen::Alert(Box::new(alert.clone().into_owned())));
        }
    }

    fn has_room(&mut self) -> bool {
        if self.witness.to.is_none() {
            return false;
        }
        if self.seen.len() >= HELD {
            self.over += 1;
            return false;
        }
        true
    }

    pub(crate) fn committed(&mut self) {
        self.witness.missed.fetch_add(std::mem::take(&mut self.over), Ordering::Relaxed);
        for seen in self.seen.drain(..) {
            self.witness.show(seen);
        }
    }

    pub(crate) fn aborted(&mut self) {
        self.seen.clear();
        self.over = 0;
    }
}
