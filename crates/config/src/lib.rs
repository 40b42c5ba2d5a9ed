//! The manifest: what a person writes to get a monitor.
//!
//! [`spec`] holds the types (serde and schemars), [`settings`] what a validated manifest means,
//! [`secrets`] the references to secrets and how they are resolved. One manifest serves both
//! runtimes: `pricemonitor up` and the operator.

pub mod secrets;
pub mod settings;
pub mod spec;

pub use secrets::{SecretError, SecretRef, SecretString, SecretValue, Secrets};
pub use settings::{
    ChannelKind, ChannelSettings, CsvSettings, Monitor, ReaderSettings, SourceKind, SourceSettings,
    WebhookUrl,
};
pub use spec::{Format, KeySpec, MappingInput, PriceMonitor, PriceMonitorSpec, SimulatorSpec};
