//! What is kept: price history, alerts and their deliveries, positions; and the questions the
//! dashboard asks.
//!
//! Every write stores the position in the log together with its effect, in one transaction, so each raw
//! record has its effect exactly once ([`Database::write_history`], [`Database::accept_all`],
//! [`csv::CsvSink`]). [`Database`] is one door to two engines: SQLite for one process, PostgreSQL for any number;
//! one suite of promises (`tests/suite`) holds for both.

mod ask;
mod batch;
mod cells;
mod claim;
pub mod csv;
mod database;
mod error;
mod outbox;
pub mod postgres;
pub mod query;
mod sqlite;
mod writer;

pub use claim::{Accepting, Claim, HistoryRow, Maintained, MonitorKey, Removed, Written};
pub use database::{Database, Position};
pub use error::{Error, Result};
pub use outbox::{DeliveryEnd, Due, Pending, PendingCount, Unreadable};
pub use writer::HistoryWriter;
