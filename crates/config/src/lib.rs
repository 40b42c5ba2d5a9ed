//! The manifest: what a person writes to get a monitor.
//!
//! ```text
//! text --read--> PriceMonitor (spec) --settings--> Monitor (settings)
//!      `-------------------- load --------------------^
//! ```
//!
//! [`spec`] holds the types (serde and schemars), [`read`] the strict reader with lines,
//! [`settings`] what a validated manifest means, [`secrets`] the references to secrets and how they
//! are resolved, [`schema`] what is generated from the types. One manifest serves both runtimes:
//! `pricemonitor up` and the operator.
//!
//! Nothing here opens a network connection or reads a clock; only [`Secrets::resolve`] reads files.

pub mod load;
mod nearest;
mod problem;
pub mod read;
pub mod schema;
pub mod secrets;
pub mod settings;
pub mod spec;
mod validate;

pub use load::{clashes, load};
pub use problem::{Problem, Problems};
pub use secrets::{SecretError, SecretRef, SecretString, SecretValue, Secrets};
pub use settings::{
    ChannelKind, ChannelSettings, CsvSettings, KafkaSettings, Monitor, ReaderSettings, SourceKind,
    SourceSettings, TopicRetention, WebhookUrl,
};
pub use spec::{Format, KeySpec, MappingInput, PriceMonitor, PriceMonitorSpec, SimulatorSpec};
pub use validate::duration;
