//! The Kafka engine: every topic of the log is a topic of a cluster.
//!
//! For any number of processes. What the embedded engine has from SQLite's transactions comes here from Kafka's
//! (KIP-98, KIP-447): records, state, checkpoints and the group's offsets become visible together, and a member that
//! was replaced is fenced, by its transactional id or by the generation of its group.
//!
//! # Guarantees
//! - An append that returned, and a transaction that was told `committed`, is acknowledged by all in-sync replicas.
//! - Readers see committed records only.
//! - The state partition says itself where the fold stands ([`meta`]); the group's offsets are for fencing and for
//!   tools that show lag. Deleting them changes nothing.
//!
//! # Assumptions
//! - The topics exist, as [`setup`] makes them. The engine never makes or changes one.

mod appender;
mod asker;
mod client;
mod collect;
mod commit;
mod ear;
mod fold;
mod gain;
mod hanging;
mod lag;
mod life;
mod log;
mod mark;
mod membership;
mod meta;
mod native;
mod opening;
mod parts;
mod put;
mod recover;
mod restore;
mod scan;
mod settings;
mod setup;
mod sink;
mod stall;
mod takeover;
mod topic_id;
mod transaction;
mod trouble;
mod untold;

pub use appender::KafkaAppender;
pub use client::Connection;
pub use log::{KafkaLog, Options};
pub use settings::{Difference, Setup};
pub use setup::{SetUp, setup, teardown};
