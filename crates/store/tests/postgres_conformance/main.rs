//! The PostgreSQL engine on a real server. Needs `cargo xtask provision postgres`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fence;
mod lease;
mod lost;
mod months;
mod plans;
mod roles;
mod secure;
mod server;
mod setup;
#[path = "../suite/mod.rs"]
mod suite;

use pricemonitor_store::Database;
use pricemonitor_store::postgres::Settings;
use suite::common::Bed;

/// A database of its own.
pub(crate) struct Prepared(pub(crate) Settings);

impl Bed for Prepared {
    async fn fresh() -> Prepared {
        Prepared(server::prepared().await)
    }

    async fn open(&self) -> Database {
        Database::open_postgres(&self.0).await.unwrap()
    }

    async fn sql(&self, statement: &'static str) {
        server::sql_in(&self.0, statement).await;
    }

    async fn later(&self, millis: i64) {
        let moved = format!("UPDATE channel_leases SET until = until - {millis} * interval '1 millisecond'");
        server::sql_in(&self.0, &moved).await;
    }
}

conformance!(crate::Prepared);
