//! Real servers to try things on: Kafka and PostgreSQL, empty, on free ports, until its standard input ends
//! (Ctrl-D) or it is ended; then nothing of them is left.
//!
//!     cargo xtask provision kafka postgres
//!     cargo run -p pricemonitor-testkit --example servers
//!
//! It prints two lines for a shell to evaluate, and one of what to do with them.

#![allow(clippy::print_stdout)]

use std::io::Read as _;

use anyhow::Result;
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::postgres::{self, Postgres};

fn main() -> Result<()> {
    let kafka = Kafka::start(&kafka::Options::default())?;
    let postgres = Postgres::start(&postgres::Options::default())?;
    println!("KAFKA={}", kafka.bootstrap());
    println!("DATABASE={}", postgres.url("postgres"));
    println!(
        "# pricemonitor up -f examples/tickets.yaml --bootstrap-servers $KAFKA --database-url $DATABASE"
    );
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
