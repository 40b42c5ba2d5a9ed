//! Detection: a pure fold from (state, rules, record) to (state, event, alerts).
//!
//! [`Detector`] holds the rules of a monitor, [`ItemState`] what is remembered of one item. Every
//! observation gives one [`PriceEvent`](pricemonitor_model::PriceEvent) and any number of
//! [`Alert`](pricemonitor_model::Alert)s; time enters through observations and ticks alone. Nothing
//! here does I/O, reads a clock or knows of a log.
//!
//! An item is a *quote*, seen again and again, or a *schedule*, whose slots each have a price of
//! their own, published ahead. What the rules mean for either is told in `docs/rules.md`; every
//! example there is a test.
//!
//! # Guarantees
//! - The same records in the same order give the same output, however they are batched and however
//!   often the state is stored and read back in between.
//! - No decision rounds: prices are exact, percentages are compared by cross-multiplication.
//! - Never panics, whatever the prices, times and stored bytes.
//!
//! # Caveats
//! - What a record fires may depend on the records before it, not on those behind it: the slots of a
//!   run that are published later are not in the run's alert.
//! - Currency and unit of a quote are remembered as a 64-bit hash.

mod bytes;
mod compiled;
mod detector;
mod encode;
mod hit;
mod level;
mod movement;
mod quote;
mod runs;
mod schedule;
mod state;
mod summary;

pub use detector::{Detector, TickEffect};
use pricemonitor_model::Millis;
pub use state::ItemState;

/// A series that was not seen for longer (30 days of record time) begins anew and leaves the state.
pub const STATE_RETENTION: Millis = 30 * 24 * 3_600_000;
/// A slot that ended longer ago (48 hours of record time) leaves the state.
pub const SLOT_RETENTION: Millis = 48 * 3_600_000;
/// Most slots that are remembered of one item: more than a year of hours. The earliest go first.
pub const MAX_SLOTS: usize = 10_000;
