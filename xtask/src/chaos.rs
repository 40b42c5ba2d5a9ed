//! `cargo xtask chaos`: the long run of the chaos test, with its table.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::provision::{self, Program};
use crate::run;

/// What `cargo xtask chaos` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// At least so many observations
    #[arg(long, default_value_t = 100_000)]
    observations: u64,
    /// At least so many times `kill -9` of a worker
    #[arg(long, default_value_t = 50)]
    kills: u64,
    /// Repeats the faults of a run that told this seed
    #[arg(long)]
    seed: Option<u64>,
}

/// Gets the servers and runs the test; tells whether nothing was lost or doubled.
///
/// # Errors
/// When the servers cannot be had, or it was interrupted or took longer than two hours.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let programs = vec![Program::Kafka, Program::Postgres];
    if !provision::run(&provision::Arguments { programs })? {
        return Ok(false);
    }
    let mut command = run::cargo(["test", "-p", "pricemonitor", "--test", "kafka_chaos"]);
    command.args(["--", "--nocapture", "--exact", TEST]);
    command.env("PRICEMONITOR_CHAOS_OBSERVATIONS", arguments.observations.to_string());
    command.env("PRICEMONITOR_CHAOS_KILLS", arguments.kills.to_string());
    if let Some(seed) = arguments.seed {
        command.env("PRICEMONITOR_SEED", seed.to_string());
    }
    run::stream(&mut command, Duration::from_secs(2 * 60 * 60))
}

const TEST: &str = "whatever_is_killed_paused_cut_off_or_misbehaves_nothing_is_lost_or_doubled";
