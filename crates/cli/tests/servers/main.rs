//! The workers on real Kafka and PostgreSQL, each as a process of its own.
//!
//! The servers must have been fetched: `cargo xtask provision kafka postgres`.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod audit;
mod backlog;
mod channels;
#[path = "../common/mod.rs"]
mod common;
mod dashboards;
mod deleted;
mod electricity;
mod fleet;
mod grafana;
mod metrics;
mod one_server;
mod outages;
mod prices_dashboard;
mod refusals;
mod secure;
mod shop;
mod tickets;
mod topics;
