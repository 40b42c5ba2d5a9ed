//! The ground floor of PriceMonitor: the words every other crate speaks.
//!
//! An [`Observation`] is one price seen at one place and time. A [`Tick`] says that a source was
//! looked at. Both travel as JSON in the raw topic ([`wire`]); [`admit`](admission::admit) decides
//! which records are acceptable. The processor turns observations into [`PriceEvent`]s and
//! [`Alert`]s by the [`Rule`]s of the monitor.
//!
//! Nothing here does I/O, reads a clock or is asynchronous; prices are exact decimals and times
//! are UTC instants in milliseconds.

pub mod admission;
pub mod alert;
pub mod coordinates;
mod digits;
pub mod event;
mod fast;
pub mod labels;
pub mod letter;
pub mod monitor;
pub mod observation;
pub mod partition;
pub mod persist;
pub mod price;
pub mod rule;
pub mod series;
pub mod tick;
pub mod time;
pub mod wire;

pub use admission::{Admission, Admitted, Rejection};
pub use alert::{Alert, AlertId, Severity, Transition};
pub use coordinates::{Coordinates, Incarnation};
pub use event::{Direction, PriceEvent};
pub use labels::Labels;
pub use letter::{DeadLetter, Repeated, Retried};
pub use monitor::MonitorId;
pub use observation::{AsWritten, Availability, Observation, Slot};
pub use price::Decimal;
pub use rule::{Baseline, Condition, LevelAt, Matcher, Movement, Rearm, Rule, Side, Threshold};
pub use series::{PriceKind, SeriesKey};
pub use tick::{Outcome, Tick};
pub use time::{Millis, Time};
