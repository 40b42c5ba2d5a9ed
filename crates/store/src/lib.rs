//! What is kept: price history, alerts and their deliveries, positions; and the questions the
//! dashboard asks.

pub mod query;
