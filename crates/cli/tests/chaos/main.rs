//! Chaos: every kind of worker several times over, on a real broker and a real database, while processes are killed
//! and paused, servers are killed, the network is cut and the webhook's receiver misbehaves. Afterwards everything
//! that a source showed is there once, in order, and whoever is to be told was told.
//!
//! The workload has a known answer. A simulated market is a function of its seed and of the step, which stands in its
//! checkpoint; the electricity file grows by one known hour at a time, and its hours are revised and put back in a way
//! that leaves no doubt about what was there to be seen; what the rules make of them is worked out by the plain oracle
//! of the test kit, which shares no code with the detection crate.
//!
//! The short run is part of `cargo xtask test`; `cargo xtask chaos` is the full one. `PRICEMONITOR_SEED` repeats the
//! faults of a run, `PRICEMONITOR_CHAOS_OBSERVATIONS` and `PRICEMONITOR_CHAOS_KILLS` say how long it is.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod churn;
#[path = "../common/mod.rs"]
mod common;
mod crew;
mod due;
mod faults;
#[allow(dead_code)] // its own tests use the rest
#[path = "../servers/fleet.rs"]
mod fleet;
mod ground;
mod hook;
mod hours;
mod incidents;
mod judge;
mod ledger;
mod told;
mod truth;

use std::time::{Duration, Instant};

use pricemonitor_testkit::rng::Rng;

use churn::Churn;
use crew::Crew;
use faults::Faults;
use ground::{CSV, Ground, MARKET, NETWORKED};
use ledger::Ledger;

/// What the short run reaches at least.
const OBSERVATIONS: i64 = 20_000;
const KILLS: usize = 5;

#[test]
fn whatever_is_killed_paused_cut_off_or_misbehaves_nothing_is_lost_or_doubled() {
    let _alone = incidents::alone();
    let observations = asked("OBSERVATIONS").map_or(OBSERVATIONS, |number| number as i64);
    let kills = asked("KILLS").map_or(KILLS, |number| number as usize);
    let mut rng = Rng::announced("chaos");
    let mut ledger = Ledger::default();
    let mut ground = Ground::new(rng.next_u64());
    let mut crew = Crew::muster(&ground);
    let churn = Churn::start(&ground, Rng::new(rng.next_u64()));
    let began = Instant::now();
    let limit = Duration::from_secs(300).max(Duration::from_millis(observations.unsigned_abs() * 30));

    let mut faults = Faults::new(rng, kills);
    loop {
        faults.round(&mut ground, &mut crew, &mut ledger);
        let there = ground.history_rows(MARKET);
        println!("{:>5.0?} {there} rows, {} kills", began.elapsed(), ledger.count("kill -9"));
        if there >= observations && ledger.count("kill -9") >= kills {
            break;
        }
        // What went wrong will not get better.
        if !ledger.failures.is_empty() || !crew.failures.is_empty() {
            break;
        }
        assert!(
            began.elapsed() < limit,
            "only {there} observations and {} kills in {limit:?}",
            ledger.count("kill -9")
        );
    }
    churn.end(&mut ledger);
    crew.look_after();
    let hours = ground.stop_sources(&mut crew);
    ground.drain(&mut crew, &mut ledger);
    crew.dismiss();
    ledger.failures.append(&mut crew.failures);
    ledger.notes.append(&mut crew.notes);

    ground.read_topics();
    judge::market(&ground, &mut ledger);
    judge::spot(&ground, &hours, &mut ledger);
    told::alerts(&ground, &mut ledger);
    judge::audits(&ground, &mut ledger);
    ledger.print(began.elapsed());
    assert!(ledger.rows("observations") >= observations, "that was no load");
    assert!(ledger.failures.is_empty(), "{:#?}", ledger.failures);
    for kind in NETWORKED.iter().chain(faults::KINDS) {
        assert!(ledger.count(kind) > 0, "the fault `{kind}` never happened");
    }
    assert!(ground.place.at(CSV).exists());
}

/// A number that the environment gives.
fn asked(name: &str) -> Option<u64> {
    std::env::var(format!("PRICEMONITOR_CHAOS_{name}")).ok()?.parse().ok()
}
