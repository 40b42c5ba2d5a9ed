//! The manifest: what a person writes to get a monitor.
//!
//! [`spec`] holds the types (serde and schemars), [`secrets`] the references to secrets and how
//! they are resolved. One manifest serves both runtimes: `pricemonitor up` and the operator.

pub mod secrets;
pub mod spec;

pub use secrets::{SecretError, SecretRef, SecretString, SecretValue, Secrets};
pub use spec::{
    ChannelSpec, CsvSpec, DiscordSpec, FileSpec, Format, HttpSpec, KafkaSpec, Mapping, MappingInput,
    Metadata, PriceMonitor, PriceMonitorSpec, RuleSpec, SimulatorSpec, SourceSpec, StorageSpec, WebhookSpec,
};
