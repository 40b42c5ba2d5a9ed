//! The event log: ordered, partitioned, durable records, and the three ways of working with them.
//!
//! - [`Append`]: records and a checkpoint, both or neither (the producer).
//! - [`Fold`]: read, change keyed state, write, in one transaction (the processor).
//! - [`Sink`]: an effect elsewhere that stores the offset together with the effect (storage, alerts).
//!
//! Beside them [`EventLog::scan`] and [`EventLog::put`] look at a log and put records back, for the tools of operators.
//!
//! Two engines stand behind one interface: `embedded` (one SQLite file, one process, one machine) and, for a cluster,
//! Apache Kafka; [`Log`] is either, for programs that choose when they start. Everything is synchronous; a worker gives
//! the engine one OS thread, and the engine calls the worker's code, because revocation and abort happen inside polling.
//!
//! # Guarantees
//! - Records of one partition are read in the order they were appended, each exactly once per
//!   committed transaction of a [`Fold`], at least once by a [`Sink`] (which refuses what it has).
//! - What an append acknowledged is on disk.
//! - A worker that lost its partition cannot write any more (fencing).

mod any;
mod error;
mod interface;
mod layout;
mod observer;
mod out;
mod stop;
mod table;

pub mod embedded;
pub mod kafka;

pub use any::{Log, LogAppender};
pub use error::{Error, Result};
pub use interface::{
    Append, Appended, Appending, Batch, Ends, Entry, EventLog, Fold, LogStatus, Member, Ownership,
    PartitionLag, Position, Record, Restored, Sink, Topic, Write,
};
pub use layout::Layout;
pub(crate) use layout::{LARGEST, LARGEST_BATCH};
pub use observer::{Observer, Unobserved};
pub use out::{Out, Sent};
pub use stop::{Listening, Stop};
pub use table::Table;
