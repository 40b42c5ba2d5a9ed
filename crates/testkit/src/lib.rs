//! For tests and benches only: the real binary as a child process, a webhook receiver that can
//! misbehave, price feeds with a known answer, readers of what a run left behind, and real servers
//! (Apache Kafka, PostgreSQL, a Kubernetes API) that `cargo xtask provision` has fetched.
//!
//! It sees `model` alone, so that what it expects is worked out apart from the code it tests.
//! Everything it starts ends with the value that started it; every wait has an end.

mod apart;
pub mod certificates;
pub mod docker;
pub mod documents;
pub mod feed;
pub mod http;
pub mod image;
pub mod kafka;
pub mod kubernetes;
pub mod oracle;
pub mod place;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod provisioned;
pub mod proxy;
pub mod read;
pub mod rng;
pub mod server;
pub mod terminal;
pub mod topics;
pub mod usage;
pub mod wait;
pub mod webhook;
