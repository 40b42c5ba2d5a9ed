//! How fast the fold is, in time on one core, and how much it remembers:
//!
//! ```text
//! cargo run --release -p pricemonitor-detection --example bench_detection
//! ```
//!
//! 100,000 series under the rules of `examples/tickets.yaml`, a fixed pseudo-random walk: 40 % of the
//! observations change the price, half of them downwards.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pricemonitor_detection::{Detector, ItemState};
use pricemonitor_model::persist::Persist;
use pricemonitor_model::{
    Baseline, Condition, Coordinates, Decimal, Direction, LevelAt, Matcher, MonitorId, Movement, Observation,
    Rule, Side, Threshold, Time,
};

const SERIES: usize = 100_000;
const ROUNDS: usize = 50;

/// Time that this thread was on a core, where the system tells (Linux), so that other work on the
/// machine does not count; else the time on the clock.
struct Watch {
    clock: Instant,
    cpu: Option<Duration>,
}

impl Watch {
    fn cpu() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }

    fn start() -> Watch {
        Watch { cpu: Watch::cpu(), clock: Instant::now() }
    }

    fn seconds(&self) -> f64 {
        let cpu = self.cpu.zip(Watch::cpu()).map(|(start, end)| end.saturating_sub(start));
        cpu.unwrap_or_else(|| self.clock.elapsed()).as_secs_f64()
    }
}

/// xorshift64*: the same walk on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

fn change(name: &str, movement: Movement, percent: i64, baseline: Baseline) -> Rule {
    let threshold = Threshold::Percent(Decimal::from(percent));
    Rule {
        name: name.into(),
        condition: Condition::Move { movement, threshold, baseline },
        ..Rule::any_drop()
    }
}

fn ticket_rules(matchers: Vec<Matcher>) -> Vec<Rule> {
    let (level, clear) = (Decimal::from(60), Decimal::from(70));
    let off = change("ten-percent-off", Movement::Drop, 10, Baseline::LastNotified);
    let bargain = Condition::Level { side: Side::Below, level, clear, at: LevelAt::Published };
    vec![
        Rule { cooldown: Some(600_000), matchers: matchers.clone(), ..off },
        Rule { name: "bargain".into(), condition: bargain, matchers: matchers.clone(), ..Rule::any_drop() },
        Rule { matchers, ..change("big-rise", Movement::Rise, 25, Baseline::Previous) },
    ]
}

fn run(title: &str, rules: Vec<Rule>) {
    let detector = Detector::new(MonitorId::new(None, "bench"), rules);
    let mut random = Random(42);
    let texts: Vec<(String, String, String)> = (0..SERIES)
        .map(|i| {
            (
                format!("event-{}/section-{}/{i}", i % 500, i % 40),
                format!("Event {}", i % 500),
                format!("Section {}", i % 40),
            )
        })
        .collect();
    let mut cents: Vec<i64> = (0..SERIES).map(|_| 8_000 + random.below(30_000) as i64).collect();
    let mut states: Vec<ItemState> = vec![ItemState::default(); SERIES];
    let mut alerts = Vec::new();
    let (mut told, mut drops, mut changes, mut spent) = (0u64, 0u64, 0u64, 0.0);
    let mut batch: Vec<(usize, Observation<'_>)> = Vec::with_capacity(SERIES);
    for round in 0..ROUNDS {
        let now = Time::from_seconds(1_767_484_800 + round as i64 * 60);
        for (i, (item, event, section)) in texts.iter().enumerate() {
            let step = (cents[i] * (1 + random.below(14) as i64) / 200).max(1);
            cents[i] = match random.below(10) {
                0 | 1 => (cents[i] - step).max(500),
                2 | 3 => cents[i] + step,
                _ => cents[i],
            };
            let mut o = Observation::new("marketplace", item.as_str(), Decimal::new(cents[i], 2), "USD", now);
            o.labels.set("event", event.as_str());
            o.labels.set("section", section.as_str());
            batch.push((i, o));
        }
        // Only the fold is measured. The first round makes the states and is not counted.
        let watch = Watch::start();
        for (offset, (i, o)) in batch.drain(..).enumerate() {
            let at = Coordinates { offset: (round * SERIES + offset) as u64, ..Coordinates::default() };
            let event = detector.observe(&mut states[i], o, at, &mut alerts);
            if round > 0 {
                drops += u64::from(event.direction == Direction::Drop);
                changes += u64::from(matches!(event.direction, Direction::Drop | Direction::Rise));
                told += alerts.len() as u64;
            }
            black_box(&event);
            alerts.clear();
        }
        if round > 0 {
            spent += watch.seconds();
        }
    }
    let seen = (SERIES * (ROUNDS - 1)) as f64;
    let mut bytes = Vec::new();
    states.iter().for_each(|state| state.encode(&mut bytes));
    let percent = |count: u64| 100.0 * count as f64 / seen;
    println!(
        "{title:<28} {:>5.2} M observations/s {:>5.0} ns each | changes {:.1} %, drops {:.1} %, alerts {:.2} % | state {} bytes encoded",
        seen / spent / 1e6,
        spent * 1e9 / seen,
        percent(changes),
        percent(drops),
        percent(told),
        bytes.len() / SERIES,
    );
}

fn main() {
    run("default rule (any drop)", vec![Rule::any_drop()]);
    run("rules of the tickets", ticket_rules(Vec::new()));
    let event = Matcher { name: "event".into(), glob: "Event *".into() };
    let section = Matcher { name: "section".into(), glob: "*".into() };
    run("the same, matching labels", ticket_rules(vec![event, section]));
    println!("in memory: {} bytes a series and 64 for each rule that matches", size_of::<ItemState>());
}
