//! The embedded engine: every monitor's log in one SQLite file of the data folder.
//!
//! For one process on one machine; the folder is claimed by a lock on `<dir>/lock`.
//!
//! # Guarantees
//! - An append that returned, and a transaction that was told `committed`, is on disk
//!   ([`Durability::Full`]); `kill -9` and the loss of power take nothing of it and leave nothing half done.
//! - Of a group's members exactly one works on a partition; whoever was replaced gets
//!   [`Error::Fenced`](crate::Error::Fenced) before it can write anything.
//! - Record times of a monitor never run backwards.
//! - Retention deletes no record that a fold or sink of the monitor has still to read. (A group of
//!   which nothing was heard for a week, and which is not working now, does not count any more.)
//!
//! # How it works
//! One connection writes, behind a lock; each loop reads with its own. A fold's transaction is one
//! SQLite transaction: state, records and position. State is a log of changes that is compacted when
//! it has grown to three times its content (`state`), because rows in a table cost three times the
//! CPU: every transaction would rewrite most of their pages. Who owns which partition is kept in memory
//! (`group`), the fence is the epoch beside the stored position (`commit`). The ends of all
//! partitions are kept in memory too, so a waiting loop looks at a number and sleeps on a bell.

mod appender;
mod bell;
mod commit;
mod core;
mod fold;
mod folder;
mod frame;
mod group;
mod log;
mod monitor;
mod options;
mod pace;
mod read;
mod retention;
mod scan;
mod schema;
mod sink;
mod state;
mod store;
mod trouble;

pub use appender::EmbeddedAppender;
pub use log::EmbeddedLog;
pub use options::{Clock, Durability, Keep, Options, Retention};
pub use store::EmbeddedStore;
