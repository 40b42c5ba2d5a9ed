//! What is kept: price history, alerts and their deliveries, positions; and the questions the
//! dashboard asks.
//!
//! Every write stores the position in the log together with its effect, in one transaction, so each raw
//! record has its effect exactly once ([`Database::write_history`], [`Database::accept_alerts`],
//! [`csv::CsvSink`]).

mod cells;
mod claim;
pub mod csv;
mod database;
mod error;
mod outbox;
pub mod query;
mod sqlite;
mod writer;

pub use claim::{Claim, HistoryRow, Maintained, MonitorKey, Written};
pub use database::Database;
pub use error::{Error, Result};
pub use outbox::{DeliveryEnd, Due, Pending, PendingCount, Unreadable};
pub use writer::HistoryWriter;
