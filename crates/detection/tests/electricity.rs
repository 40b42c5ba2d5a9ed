//! Two years of real Finnish hours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::{DAY, HOUR, Tape, d, rule, slot};
use pricemonitor_model::{Decimal, Slot, Time, Transition};

/// Hour and price; see `examples/data/README.md`.
fn hours() -> Vec<(Time, Decimal)> {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/electricity-FI-hourly-2023-2024.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| line.split_once(',').map(|(at, price)| (at.parse().unwrap(), d(price))).unwrap();
    text.lines().skip(1).map(line).collect()
}

/// Each day is published at noon of the day before, as the exchange does.
fn publish(tape: &mut Tape, hours: &[(Time, Decimal)]) -> Vec<(Transition, Slot)> {
    let mut told = Vec::new();
    for (start, price) in hours {
        let mut o = slot(0, "1", 0);
        o.price = *price;
        o.slot = Some(Slot { start: *start, end: start.plus(HOUR) });
        o.observed_at = Time::from_millis(start.millis().div_euclid(DAY) * DAY - DAY / 2);
        told.extend(tape.see(o).1.iter().map(|alert| (alert.transition, alert.slot.unwrap())));
    }
    told
}

/// Starts of the runs of hours for which `beyond` holds without a gap.
fn runs(hours: &[(Time, Decimal)], beyond: impl Fn(Decimal) -> bool) -> Vec<Time> {
    let is = |i: usize| hours.get(i).is_some_and(|(_, price)| beyond(*price));
    let follows = |i: usize| i > 0 && is(i - 1) && hours[i].0.since(hours[i - 1].0) == HOUR;
    (0..hours.len()).filter(|i| is(*i) && !follows(*i)).map(|i| hours[i].0).collect()
}

#[test]
fn every_negative_run_is_told_once() {
    let hours = hours();
    assert!(hours.len() > 10_000, "{} hours", hours.len());
    assert!(hours.iter().filter(|(_, price)| *price < Decimal::ZERO).count() > 500);
    let mut tape = Tape::new(vec![rule("below: {value: 0}")]);
    let told = publish(&mut tape, &hours);
    let want = runs(&hours, |price| price < Decimal::ZERO);
    assert!(want.len() > 50);
    assert!(told.iter().all(|(transition, _)| *transition == Transition::Firing));
    assert_eq!(told.iter().map(|(_, slot)| slot.start).collect::<Vec<_>>(), want);
}

#[test]
fn hysteresis_joins_runs_and_ticks_tell_each_when_it_starts() {
    let hours = hours();
    let mut tape = Tape::new(vec![rule("above: {value: 15, clear: 12}")]);
    let joined = publish(&mut tape, &hours).len();
    let plain = runs(&hours, |price| price > d("15")).len();
    assert!(joined > 0 && joined < plain, "{joined} of {plain}");

    let mut tape = Tape::new(vec![rule("below: {value: 0, at: starts}")]);
    let mut starts = Vec::new();
    for day in hours.chunk_by(|a, b| a.0.millis().div_euclid(DAY) == b.0.millis().div_euclid(DAY)) {
        // Ticks up to noon, then tomorrow is published, then ticks until midnight.
        let midnight = day[0].0.millis().div_euclid(DAY) * DAY;
        let ticks = |tape: &mut Tape, hours: std::ops::Range<i64>| {
            let told: Vec<_> =
                hours.flat_map(|hour| tape.tick(Time::from_millis(midnight - DAY + hour * HOUR))).collect();
            told.iter().map(|alert| (alert.observed_at, alert.slot.unwrap().start)).collect::<Vec<_>>()
        };
        starts.extend(ticks(&mut tape, 0..12));
        // An observation is as good as a tick for the run that begins at noon.
        let noon = Time::from_millis(midnight - DAY / 2);
        starts.extend(publish(&mut tape, day).iter().map(|(_, slot)| (noon, slot.start)));
        starts.extend(ticks(&mut tape, 12..24));
    }
    let last = hours.last().unwrap().0.millis().div_euclid(DAY) * DAY;
    let end = (0..24).flat_map(|hour| tape.tick(Time::from_millis(last + hour * HOUR))).collect::<Vec<_>>();
    starts.extend(end.iter().map(|alert| (alert.observed_at, alert.slot.unwrap().start)));
    assert!(starts.iter().all(|(at, start)| at == start));
    assert_eq!(
        starts.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        runs(&hours, |price| price < Decimal::ZERO)
    );
}
