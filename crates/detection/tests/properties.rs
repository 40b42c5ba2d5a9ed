//! What holds for any prices, any rules and any order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
mod oracle;
use std::collections::HashSet;

use common::{HOUR, MINUTE, START, Tape, quote, reloaded, slot};
use pricemonitor_detection::ItemState;
use pricemonitor_model::{
    Alert, Baseline, Condition, Decimal, Direction, LevelAt, Movement, Observation, PriceKind, Rearm, Rule,
    Side, Slot, Threshold, Time,
};
use proptest::prelude::*;
use proptest::sample::select;

fn price() -> impl Strategy<Value = Decimal> {
    // Few values, so that edges are met, some of them with more digits than needed.
    prop_oneof![
        6 => (-3i64..13).prop_map(|n| Decimal::new(n * 10, 1)),
        2 => (80i64..121).prop_map(Decimal::from),
        1 => (-200i64..2000).prop_map(|n| Decimal::new(n, 2)),
    ]
}

fn movement() -> impl Strategy<Value = Condition> {
    let threshold = prop_oneof![
        Just(Threshold::Any),
        (1i64..60).prop_map(|n| Threshold::Percent(Decimal::from(n))),
        (1i64..40).prop_map(|n| Threshold::Absolute(Decimal::new(n, 1))),
    ];
    let baseline = select(vec![Baseline::Previous, Baseline::LastNotified, Baseline::First]);
    let movement = select(vec![Movement::Drop, Movement::Rise, Movement::Change]);
    (movement, threshold, baseline).prop_map(|(movement, threshold, baseline)| Condition::Move {
        movement,
        threshold,
        baseline,
    })
}

fn level(at: LevelAt) -> impl Strategy<Value = Condition> {
    (select(vec![Side::Below, Side::Above]), -2i64..11, 0i64..4).prop_map(move |(side, level, band)| {
        let clear = if side == Side::Below { level + band } else { level - band };
        Condition::Level { side, level: level.into(), clear: clear.into(), at }
    })
}

fn rule(condition: impl Strategy<Value = Condition>) -> impl Strategy<Value = Rule> {
    let rearm = prop_oneof![
        2 => Just(Rearm::WhenCleared),
        1 => Just(Rearm::Never),
        1 => (1i64..20).prop_map(|minutes| Rearm::After(minutes * MINUTE)),
    ];
    let cooldown = proptest::option::of((1i64..15).prop_map(|minutes| minutes * MINUTE));
    (condition, 1u32..4, cooldown, rearm).prop_map(|(condition, confirm, cooldown, rearm)| Rule {
        name: "rule".into(),
        condition,
        confirm,
        cooldown,
        rearm,
        ..Rule::any_drop()
    })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    rule(prop_oneof![3 => movement(), 1 => level(LevelAt::Published), 1 => level(LevelAt::Starts)])
}

/// Steps of record time in minutes; now and then backwards.
fn steps() -> impl Strategy<Value = Vec<(i64, Decimal)>> {
    let step = prop_oneof![8 => 0i64..6, 1 => -3i64..0];
    proptest::collection::vec((step, price()), 1..60)
}

fn numbered(mut rules: Vec<Rule>) -> Vec<Rule> {
    rules.iter_mut().enumerate().for_each(|(i, rule)| rule.name = format!("rule-{i}").into());
    rules
}

fn unique(alerts: &[Alert<'_>]) -> bool {
    let mut ids = HashSet::new();
    alerts.iter().all(|alert| ids.insert(alert.id.clone()))
}

/// One record of a mixed log.
#[derive(Clone, Debug)]
enum Step {
    See(Box<Observation<'static>>),
    Tick(Time),
}

/// Item, hour, price, base price, whether the unit is another (0), whether the label matches.
type Drawn = (u8, i64, Decimal, Option<Decimal>, u8, bool);

/// Quotes, slots and ticks of a few items, with labels, units and base prices that come and go.
fn log() -> impl Strategy<Value = Vec<Step>> {
    let see = (0u8..3, 0i64..30, price(), proptest::option::of(price()), 0u8..20, any::<bool>());
    let step = prop_oneof![6 => see.prop_map(Some), 1 => Just(None)];
    proptest::collection::vec((-20i64..60, step), 1..80).prop_map(|steps| {
        let mut minute = 0i64;
        let one = |(by, step): (i64, Option<Drawn>)| {
            minute += by;
            let Some((item, hour, price, base, rare, vip)) = step else {
                return Step::Tick(START.plus(minute * MINUTE));
            };
            let mut o = if item == 0 { slot(hour, "1", minute) } else { quote("1", minute) };
            (o.price, o.base, o.item) = (price, base, format!("i{item}").into());
            o.labels.set("section", if vip { "VIP" } else { "A" });
            if rare == 0 {
                o.currency = "SEK".into();
            }
            Step::See(Box::new(o))
        };
        steps.into_iter().map(one).collect()
    })
}

/// Everything that comes out, as one text each.
fn run(rules: &[Rule], log: &[Step], reload: impl Fn(usize) -> bool) -> (Vec<String>, Vec<Alert<'static>>) {
    let mut tape = Tape::new(rules.to_vec());
    let (mut events, mut all) = (Vec::new(), Vec::new());
    for (place, step) in log.iter().enumerate() {
        match step {
            Step::See(o) => {
                let (event, alerts) = tape.see(*o.clone());
                events.push(format!("{event:?}"));
                all.extend(alerts);
            }
            Step::Tick(at) => all.extend(tape.tick(*at)),
        }
        if reload(place) {
            tape.states.values_mut().for_each(|state| *state = reloaded(state));
        }
    }
    (events, all)
}

fn mixed_rules() -> impl Strategy<Value = Vec<Rule>> {
    let one = (any_rule(), any::<bool>(), any::<bool>()).prop_map(|(mut rule, base, vip)| {
        if base {
            rule.price = PriceKind::Base;
        }
        if vip {
            rule.matchers = vec![pricemonitor_model::Matcher { name: "section".into(), glob: "V*".into() }];
        }
        rule
    });
    proptest::collection::vec(one, 0..5).prop_map(numbered)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_quote_is_judged_as_the_naive_oracle_judges_it(rule in any_rule(), steps in steps()) {
        let mut tape = Tape::new(vec![rule.clone()]);
        tape.reload = true;
        let (mut minute, mut newest, mut accepted, mut said) = (0i64, i64::MIN, Vec::new(), Vec::new());
        for (by, price) in steps {
            minute += by;
            let mut o = quote("1", minute);
            o.price = price;
            let (event, alerts) = tape.see(o);
            prop_assert_eq!(event.direction == Direction::Late, minute < newest);
            if minute < newest {
                prop_assert!(alerts.is_empty());
                continue;
            }
            newest = minute;
            prop_assert_eq!(event.previous, accepted.last().map(|(_, price)| *price));
            let place = accepted.len();
            accepted.push((START.plus(minute * MINUTE), price));
            said.extend(alerts.iter().map(|a| (place, a.transition, a.price, a.reference.unwrap())));
        }
        let (want, suppressed) = oracle::quote(&rule, &accepted);
        prop_assert_eq!(said, want);
        prop_assert_eq!(tape.suppressed(), suppressed);
    }

    #[test]
    fn hours_are_judged_as_the_naive_oracle_judges_them(
        condition in level(LevelAt::Published),
        confirm in 1u32..3,
        steps in proptest::collection::vec((0i64..40, 0i64..20, -3i64..13), 1..60),
    ) {
        let rule = Rule { name: "rule".into(), condition, confirm, ..Rule::any_drop() };
        let mut tape = Tape::new(vec![rule.clone()]);
        tape.reload = true;
        let (mut minute, mut seen, mut said, mut all) = (0i64, Vec::new(), Vec::new(), Vec::new());
        for (by, hour, price) in steps {
            minute += by;
            let mut o = slot(hour, "1", minute);
            o.price = price.into();
            let place = seen.len();
            seen.push((o.observed_at, hour, o.price));
            let alerts = tape.see(o).1;
            let hour = |time: Time| time.since(START) / HOUR;
            said.extend(alerts.iter().map(|a| (place, a.transition, hour(a.slot.unwrap().start), hour(a.slot.unwrap().end))));
            all.extend(alerts);
        }
        prop_assert_eq!(said, oracle::hours(&rule, START, &seen));
        prop_assert!(unique(&all));
    }

    #[test]
    fn published_in_order_there_is_one_alert_for_each_run(prices in proptest::collection::vec(-3i64..4, 1..80)) {
        let rule = common::rule("below: {value: 0}");
        let mut tape = Tape::new(vec![rule]);
        let fired: usize = (0..).zip(&prices).map(|(hour, price)| tape.see(slot(hour, &price.to_string(), 0)).1.len()).sum();
        let runs = prices.chunk_by(|a, b| (*a < 0) == (*b < 0)).filter(|run| run[0] < 0).count();
        prop_assert_eq!(fired, runs);
    }

    #[test]
    fn the_same_log_gives_the_same_output_however_often_the_state_is_reloaded(
        rules in mixed_rules(), log in log(), reloads in proptest::collection::vec(any::<bool>(), 80),
    ) {
        let (events, alerts) = run(&rules, &log, |_| false);
        prop_assert_eq!(&(events, alerts.clone()), &run(&rules, &log, |_| false));
        prop_assert_eq!(&run(&rules, &log, |_| true), &run(&rules, &log, |place| reloads[place]));
        prop_assert_eq!(&run(&rules, &log, |_| true).1, &alerts);
        prop_assert!(unique(&alerts));
        prop_assert!(alerts.iter().all(|alert| rules.iter().any(|rule| *rule.name == *alert.rule)));
    }

    #[test]
    fn rules_do_not_hear_of_each_other(rules in mixed_rules(), log in log()) {
        let (_, together) = run(&rules, &log, |_| false);
        for rule in &rules {
            let (_, alone) = run(std::slice::from_ref(rule), &log, |_| false);
            let mine: Vec<_> = together.iter().filter(|alert| *alert.rule == *rule.name).cloned().collect();
            prop_assert_eq!(mine, alone);
        }
    }

    #[test]
    fn nothing_panics_whatever_the_numbers(
        numbers in proptest::collection::vec((any::<[u32; 3]>(), any::<bool>(), 0u32..29, any::<i64>(), any::<[i64; 2]>(), any::<u8>()), 1..30),
        mut rules in proptest::collection::vec(any_rule(), 1..4).prop_map(numbered),
        by in any::<[u32; 3]>(),
    ) {
        let huge = Decimal::from_parts(by[0], by[1], by[2], false, 0);
        for rule in &mut rules {
            if let Condition::Move { threshold: Threshold::Percent(by) | Threshold::Absolute(by), .. } = &mut rule.condition {
                *by = huge;
            }
        }
        let mut tape = Tape::new(rules);
        tape.reload = true;
        for (digits, negative, scale, time, span, kind) in numbers {
            let mut o = quote("1", 0);
            o.price = Decimal::from_parts(digits[0], digits[1], digits[2], negative, scale);
            o.base = (kind & 1 != 0).then_some(o.price);
            o.observed_at = Time::from_millis(time);
            let (start, end) = (Time::from_millis(span[0]), Time::from_millis(span[1]));
            o.slot = (kind & 2 != 0).then_some(Slot { start, end });
            tape.see(o);
            if kind & 4 != 0 {
                tape.tick(Time::from_millis(span[0] ^ time));
            }
        }
    }

    #[test]
    fn broken_bytes_are_an_error_and_no_panic(
        rules in mixed_rules(), log in log(), flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        use pricemonitor_model::persist::Persist;
        let mut tape = Tape::new(rules);
        for step in &log {
            match step {
                Step::See(o) => drop(tape.see(*o.clone())),
                Step::Tick(at) => drop(tape.tick(*at)),
            }
        }
        let states: Vec<_> = tape.states.keys().cloned().collect();
        for key in states {
            let mut bytes = Vec::new();
            tape.states[&key].encode(&mut bytes);
            for cut in 0..bytes.len() {
                prop_assert!(ItemState::decode(&bytes[..cut]).is_err(), "cut at {}", cut);
            }
            let mut longer = bytes.clone();
            longer.push(0);
            prop_assert!(ItemState::decode(&longer).is_err());
            for (place, flip) in &flips {
                let place = place % bytes.len();
                bytes[place] ^= flip;
            }
            // It may make sense by chance; then it must be usable.
            if let Ok(state) = ItemState::decode(&bytes) {
                tape.states.insert(key, reloaded(&state));
            }
        }
        for step in log {
            match step {
                Step::See(o) => drop(tape.see(*o)),
                Step::Tick(at) => drop(tape.tick(at)),
            }
        }
    }

    #[test]
    fn random_bytes_are_no_state(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        use pricemonitor_model::persist::Persist;
        drop(ItemState::decode(&bytes));
        bytes.insert(0, 1);
        drop(ItemState::decode(&bytes));
    }
}
