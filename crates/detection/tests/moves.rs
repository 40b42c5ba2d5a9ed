//! Each change rule by each baseline, with the edges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::{Tape, quote, rule, told};
use pricemonitor_model::Direction;

/// (rule, prices, what is told)
fn check(table: &[(&str, &str, &str)]) {
    for (rule, prices, want) in table {
        assert_eq!(told(rule, prices), *want, "{rule} | {prices}");
    }
}

#[test]
fn any_move_counts_in_the_direction_of_the_rule() {
    check(&[
        ("drop: {}", "100 90 90 95 80", "1:100->90 4:95->80"),
        ("rise: {}", "100 90 90 95 80", "3:90->95"),
        ("change: {}", "100 90 90 95 80", "1:100->90 3:90->95 4:95->80"),
        ("drop: {}", "100.0 100.00 100", ""),
        ("drop: {}", "0.1000000001 0.1", "1:0.1000000001->0.1"),
    ]);
}

#[test]
fn a_percentage_is_met_exactly_at_its_edge() {
    check(&[
        ("drop: {percent: 10}", "100 90", "1:100->90"),
        ("drop: {percent: 10}", "100 90.000000001", ""),
        ("drop: {percent: 33.4}", "3 2", ""),
        ("drop: {percent: 33.3}", "3 2", "1:3->2"),
        ("rise: {percent: 10}", "100 110 120.99", "1:100->110"),
        ("change: {percent: 50}", "100 50 75 76", "1:100->50 2:50->75"),
        ("drop: {percent: 100}", "5 0.01 0", "2:0.01->0"),
        ("drop: {percent: 100}", "5 -3", "1:5->-3"),
    ]);
}

#[test]
fn a_percentage_of_zero_or_less_is_neither_an_error_nor_an_alert() {
    for kind in ["drop", "rise", "change"] {
        for baseline in ["previous", "lastNotified", "first"] {
            let rule = format!("{kind}: {{percent: 1, baseline: {baseline}}}");
            assert_eq!(told(&rule, "0 50"), "", "{rule}");
            assert_eq!(told(&rule, "-5 50"), "", "{rule}");
            assert_eq!(told(&rule, "-5 -50"), "", "{rule}");
            assert_eq!(told(&rule, "0 0 -1 0"), "", "{rule}");
        }
    }
    // While nothing is defined the baseline follows the price, and then goes on from there.
    check(&[
        ("drop: {percent: 10, baseline: lastNotified}", "-5 -2 20 19 18", "4:20->18"),
        ("drop: {percent: 10, baseline: lastNotified}", "100 0 50 40", "1:100->0 3:50->40"),
        ("drop: {percent: 10}", "-5 20 18", "2:20->18"),
    ]);
}

#[test]
fn a_distance_is_met_exactly_at_its_edge_and_below_zero_too() {
    check(&[
        ("drop: {absolute: 5}", "10 5 0.01 -4.99 -9.98", "1:10->5 3:0.01->-4.99"),
        ("rise: {absolute: 5}", "-5 0 4.99 10", "1:-5->0 3:4.99->10"),
        ("change: {absolute: 0.5}", "1 1.5 1.01 0.5", "1:1->1.5 3:1.01->0.5"),
        ("drop: {absolute: 5, baseline: lastNotified}", "-1 -3 -6 -7 -11", "2:-1->-6 4:-6->-11"),
    ]);
}

#[test]
fn a_slow_creep_does_not_escape_last_notified() {
    check(&[
        ("drop: {percent: 10}", "100 95 91 87 83", ""),
        ("drop: {percent: 10, baseline: lastNotified}", "100 95 91 90 85 81 80", "3:100->90 5:90->81"),
    ]);
}

#[test]
fn last_notified_moves_on_a_move_in_either_direction() {
    check(&[
        ("drop: {percent: 10, baseline: lastNotified}", "100 200 120", "2:200->120"),
        ("drop: {percent: 10, baseline: lastNotified}", "100 109 105 98 97", ""),
        ("rise: {percent: 10, baseline: lastNotified}", "100 50 54 55", "3:50->55"),
        ("change: {percent: 10, baseline: lastNotified}", "100 105 110 105 99", "2:100->110 4:110->99"),
        ("drop: {baseline: lastNotified}", "100 101 100", "2:101->100"),
    ]);
}

#[test]
fn against_the_first_price_a_move_is_told_once_until_it_is_undone() {
    check(&[
        ("drop: {percent: 20, baseline: first}", "100 90 80 80 70 81 79", "2:100->80 6:100->79"),
        ("rise: {absolute: 10, baseline: first}", "100 110 120 100 110", "1:100->110 4:100->110"),
        ("change: {percent: 10, baseline: first}", "100 110 90 100 90", "1:100->110 4:100->90"),
    ]);
}

#[test]
fn a_confirmed_move_must_hold_against_the_frozen_baseline() {
    check(&[
        ("drop: {percent: 10}; confirm: 2", "100 80 80", "2:100->80"),
        ("drop: {percent: 10}; confirm: 2", "100 80 100 80 79", "4:100->79"),
        ("drop: {percent: 10}; confirm: 3", "100 90 85 90 80", "3:100->90"),
        ("drop: {percent: 10}; confirm: 3", "100 90 90 91 90 90", ""),
        // Where it stops to hold, that price may begin a move of its own.
        ("change: {percent: 10}; confirm: 2", "100 80 100 100", "3:80->100"),
        ("drop: {percent: 10}; confirm: 2", "100 80 95 80 80", "4:95->80"),
        ("change: {percent: 10}; confirm: 2", "100 80 120", "2:100->120"),
        (
            "drop: {percent: 10, baseline: first}; confirm: 2",
            "100 80 95 80 80 80 100 70 70",
            "4:100->80 8:100->70",
        ),
    ]);
}

#[test]
fn a_single_slip_does_not_move_a_confirmed_baseline() {
    let rule = "drop: {percent: 10, baseline: lastNotified}; confirm: 2";
    check(&[
        (rule, "100 1000 100 100", ""),
        (rule, "100 1000 1000 100 100", "4:1000->100"),
        (rule, "100 80 120 80 80", "4:100->80"),
        (rule, "100 80 80 79 72 72", "2:100->80 5:80->72"),
        ("change: {percent: 10, baseline: lastNotified}; confirm: 2", "100 80 120 120", "2:100->120"),
    ]);
}

#[test]
fn a_cooldown_ends_at_its_very_millisecond() {
    check(&[
        ("drop: {}; cooldown: 10m", "9@0 8@1 7@10 6@11", "1:9->8 3:7->6"),
        ("drop: {}; cooldown: 10m", "9@0 8@1 7@2 7@11 7@12", "1:9->8"),
    ]);
    let mut tape = Tape::new(vec![rule("drop: {}; cooldown: 10m")]);
    let mut see = |price, ms: i64| {
        let mut o = quote(price, 0);
        o.observed_at = o.observed_at.plus(ms);
        tape.see(o).1.len()
    };
    assert_eq!([see("9", 0), see("8", 1), see("7", 600_000), see("6", 600_001)], [0, 1, 0, 1]);
    assert_eq!(tape.suppressed(), 1);
}

#[test]
fn a_suppressed_hit_does_not_move_the_baseline() {
    check(&[
        // Still a tenth below 80 when the cooldown is over, so it is told then.
        (
            "drop: {percent: 10, baseline: lastNotified}; cooldown: 5m",
            "100 80 60 60 60 60 60",
            "1:100->80 6:80->60",
        ),
        // A move in the other direction is no hit: it moves the baseline, cooldown or not.
        (
            "drop: {percent: 10, baseline: lastNotified}; cooldown: 5m",
            "100 80 100 95 95 95 90",
            "1:100->80 6:100->90",
        ),
        (
            "drop: {percent: 20, baseline: first}; cooldown: 5m",
            "100 80 100 80 80 80 80",
            "1:100->80 6:100->80",
        ),
        (
            "drop: {percent: 10}; confirm: 2; cooldown: 5m",
            "100 80 80 60 60 60 60 60 50 50",
            "2:100->80 9:60->50",
        ),
    ]);
    let mut tape = Tape::new(vec![rule("drop: {percent: 10, baseline: lastNotified}; cooldown: 5m")]);
    for (minute, price) in [(0, "100"), (1, "80"), (2, "60"), (3, "60"), (4, "79")] {
        tape.see(quote(price, minute));
    }
    assert_eq!(tape.suppressed(), 2, "60 twice; 79 is no hit against 80");
}

#[test]
fn a_late_record_is_neither_previous_nor_told() {
    check(&[
        ("drop: {}", "100@5 50@4 90@5 80@6", "2:100->90 3:90->80"),
        ("drop: {percent: 10, baseline: lastNotified}", "100@5 200@1 95@6", ""),
        ("drop: {}; confirm: 2", "100@5 80@6 100@3 80@7", "3:100->80"),
        ("below: {value: 50}", "100@5 10@4 40@6", "2:40<50"),
    ]);
    let mut tape = Tape::new(vec![rule("drop: {}")]);
    tape.see(quote("100", 5));
    let (event, alerts) = tape.see(quote("50", 4));
    assert_eq!(
        (event.direction, event.previous, event.delta, alerts.len()),
        (Direction::Late, None, None, 0)
    );
}

#[test]
fn another_currency_or_unit_starts_anew() {
    for (text, price) in [("drop: {}", "1"), ("drop: {percent: 10, baseline: lastNotified}", "1")] {
        let mut tape = Tape::new(vec![rule(text)]);
        tape.see(quote("100", 0));
        let mut euros = quote(price, 1);
        euros.currency = "EUR".into();
        let (event, alerts) = tape.see(euros.clone());
        assert_eq!((event.direction, event.previous, alerts.len()), (Direction::First, None, 0), "{text}");
        euros.observed_at = euros.observed_at.plus(1);
        euros.unit = Some("EUR/MWh".into());
        assert_eq!(tape.see(euros).0.direction, Direction::First);
    }
    let mut tape = Tape::new(vec![rule("below: {value: 50}")]);
    assert_eq!(tape.see(quote("40", 0)).1.len(), 1);
    let mut euros = quote("40", 1);
    euros.currency = "EUR".into();
    assert_eq!(tape.see(euros).1.len(), 1, "a level fires at first sight");
}

#[test]
fn an_event_tells_previous_delta_percent_and_direction() {
    let mut tape = Tape::new(vec![]);
    let mut see = |price, minute| {
        let event = tape.see(quote(price, minute)).0;
        let text = |value: Option<common::Number>| value.map_or("-".to_owned(), |value| value.to_string());
        (event.direction, [text(event.previous), text(event.delta), text(event.percent)].join(" "))
    };
    assert_eq!(see("120.00", 0), (Direction::First, "- - -".to_owned()));
    assert_eq!(see("84.00", 1), (Direction::Drop, "120.00 -36.00 -30.0".to_owned()));
    assert_eq!(see("84", 2), (Direction::Unchanged, "84.00 0.00 0.0".to_owned()));
    assert_eq!(see("112", 3), (Direction::Rise, "84 28 33.3".to_owned()));
    assert_eq!(see("0", 4), (Direction::Drop, "112 -112 -100.0".to_owned()));
    assert_eq!(see("1", 5), (Direction::Rise, "0 1 -".to_owned()));
    assert_eq!(see("99", 4), (Direction::Late, "- - -".to_owned()));
}

#[test]
fn a_rule_of_the_base_price_looks_at_nothing_else() {
    let text = "price: base; drop: {percent: 10}";
    let mut tape = Tape::new(vec![rule(text)]);
    tape.reload = true;
    let mut see = |total: &str, base: Option<&str>, minute| {
        let mut o = quote(total, minute);
        o.base = base.map(common::d);
        let alerts = tape.see(o).1;
        alerts.iter().map(|alert| common::short(&rule(text), alert)).collect::<String>()
    };
    assert_eq!(see("100", None, 0), "");
    assert_eq!(see("50", Some("100"), 1), "", "its first base price");
    assert_eq!(see("50", None, 2), "");
    assert_eq!(see("10", Some("91"), 3), "");
    assert_eq!(see("99", Some("80"), 4), "91->80");
}
