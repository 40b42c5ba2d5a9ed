//! The four workers: producer, processor, storage and alert.
//!
//! Each is a loop between the doors of the floors below, with its metrics, its health and an
//! orderly end. Nothing here parses a format, judges a price or speaks a protocol of its own. The
//! same code runs in `pricemonitor up` (embedded engine, one process) and in a pod (Kafka).

pub mod alert;
pub mod at_work;
pub mod clock;
pub mod health;
pub mod letters;
pub mod metrics;
pub mod observing;
pub mod processor;
pub mod producer;
pub mod storage;
pub mod supervise;
pub mod witness;

pub use at_work::AtWork;
pub use clock::now;
pub use health::{Health, Notice};
pub use metrics::{Metrics, MonitorMetrics};
pub use observing::Observing;
pub use witness::{Seen, Witness};
