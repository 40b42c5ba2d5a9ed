//! The forms that texts of the manifest have, as regular expressions for schemas. The same rules
//! with words for people are in [`crate::validate`].

/// A DNS label: names of monitors, sources, rules, channels.
pub const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A duration, such as `10s` or `1h30m`.
pub const DURATION: &str = "^([0-9]+(ms|s|m|h|d|w))+$";
/// A size, such as `10MiB`.
pub const SIZE: &str = "^[0-9]+(B|KiB|MiB|Ki|Mi)?$";
/// An exact decimal.
pub const DECIMAL: &str = "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?$";
/// An http or https address without a user name.
pub const URL: &str = "^https?://[^\\s/?#@]+([/?#]\\S*)?$";
/// A name of a Kafka topic or group.
pub const TOPIC: &str = "^[a-zA-Z0-9._-]+$";
/// ISO 4217.
pub const CURRENCY: &str = "^[A-Z]{3}$";
/// Name of a Kubernetes Secret or ConfigMap.
pub const OBJECT: &str = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";
/// Key in a Secret or ConfigMap.
pub const KEY: &str = "^[-._a-zA-Z0-9]+$";
/// A quantity of Kubernetes, such as `500m` or `128Mi`.
pub const QUANTITY: &str = "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";
/// A host name, with a port or without.
pub const HOST: &str = "^[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?(:[0-9]+)?$";
/// A container image: no blanks.
pub const IMAGE: &str = "^[a-zA-Z0-9][-._/:@a-zA-Z0-9]*$";
