//! Schedules: revisions, runs of slots beyond a level, and time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::{HOUR, MINUTE, START, Tape, rule, short, slot};
use pricemonitor_model::{Alert, Direction, Rule, Transition};

/// `hour=price` or `hour=price@minute` (of being seen), and `t@minute` for a tick; what is told as
/// `place:alert[first hour,end hour)`.
fn told_by(tape: &mut Tape, rule: &Rule, words: &str) -> String {
    let mut minute = 0;
    let mut told = Vec::new();
    for (place, word) in words.split_whitespace().enumerate() {
        let (what, at) = word.split_once('@').unwrap_or((word, ""));
        minute = if at.is_empty() { minute } else { at.parse().unwrap() };
        let alerts = match what.split_once('=') {
            Some((hour, price)) => tape.see(slot(hour.parse().unwrap(), price, minute)).1,
            None => tape.tick(START.plus(minute * MINUTE)),
        };
        told.extend(alerts.iter().map(|alert| format!("{place}:{}{}", short(rule, alert), hours(alert))));
    }
    told.join(" ")
}

fn hours(alert: &Alert<'_>) -> String {
    let slot = alert.slot.unwrap();
    format!("[{},{})", slot.start.since(START) / HOUR, slot.end.since(START) / HOUR)
}

fn told(text: &str, words: &str) -> String {
    let rule = rule(text);
    let mut tape = Tape::new(vec![rule.clone()]);
    tape.reload = true;
    told_by(&mut tape, &rule, words)
}

fn check(table: &[(&str, &str, &str)]) {
    for (rule, words, want) in table {
        assert_eq!(told(rule, words), *want, "{rule} | {words}");
    }
}

#[test]
fn a_slot_is_first_then_unchanged_or_revised() {
    let mut tape = Tape::new(vec![]);
    let mut see = |hour, price, minute| {
        let event = tape.see(slot(hour, price, minute)).0;
        (event.direction, event.delta.map(|delta| delta.to_string()))
    };
    assert_eq!(see(5, "10", 0), (Direction::First, None));
    assert_eq!(see(6, "3", 0), (Direction::First, None), "another slot is no move");
    assert_eq!(see(5, "10.0", 1), (Direction::Unchanged, Some("0.0".to_owned())));
    assert_eq!(see(5, "8", 2), (Direction::Revised, Some("-2.0".to_owned())));
    assert_eq!(see(5, "9", 1), (Direction::Late, None), "late is judged by the slot");
    assert_eq!(see(6, "4", 1), (Direction::Revised, Some("1".to_owned())));
    assert_eq!(see(7, "4", 0), (Direction::First, None), "a slot never seen is not late");
}

#[test]
fn change_rules_hear_of_revisions_alone() {
    check(&[
        ("drop: {}", "5=10 6=3 7=1 6=2", "3:3->2[6,7)"),
        ("rise: {percent: 10}", "5=10 5=10.9 5=12", "2:10.9->12[5,6)"),
        ("drop: {percent: 10, baseline: lastNotified}", "5=100 6=50 5=95 5=91 6=49 5=90", "5:100->90[5,6)"),
        ("drop: {percent: 10, baseline: first}", "5=100 5=90 5=90 6=1 5=89", "1:100->90[5,6)"),
        ("drop: {}; confirm: 2", "5=10 5=8 6=1 5=8", "3:10->8[5,6)"),
    ]);
}

#[test]
fn a_cooldown_is_of_the_rule_and_the_item_not_of_the_slot() {
    check(&[("drop: {}; cooldown: 1h", "5=10 6=10 5=9@1 6=9@2 6=8@60 5=8@61", "2:10->9[5,6) 5:9->8[5,6)")]);
}

#[test]
fn a_level_fires_once_for_a_run_that_grows() {
    check(&[
        ("below: {value: 0}", "5=1 6=-1 7=-2 8=-3 9=0", "1:-1<0[6,7)"),
        ("below: {value: 0}", "9=0 8=-3 7=-2 6=-1 5=1", "1:-3<0[8,9)"),
        ("below: {value: 0}", "6=-1 8=-1 7=-1", "0:-1<0[6,7) 1:-1<0[8,9)"),
        ("below: {value: 0}", "6=-1 7=0 8=-1", "0:-1<0[6,7) 2:-1<0[8,9)"),
        ("below: {value: 0}", "6=-1 6=-1@1 7=-1@2 7=-5@3", "0:-1<0[6,7)"),
        ("above: {value: 15}", "1=15 2=15.01 3=20", "1:15.01>15[2,3)"),
    ]);
}

#[test]
fn slots_that_end_a_millisecond_early_still_touch() {
    let text = "below: {value: 0}";
    let mut tape = Tape::new(vec![rule(text)]);
    let mut fired = 0;
    for (hour, short_by) in [(5, 1), (6, 0), (7, 2), (8, 0)] {
        let mut o = slot(hour, "-1", 0);
        o.slot = o.slot.map(|slot| pricemonitor_model::Slot { end: slot.end.plus(-short_by), ..slot });
        fired += tape.see(o).1.len();
    }
    assert_eq!(fired, 2, "one millisecond is no gap, two are");
}

#[test]
fn slots_between_level_and_clear_level_prolong_a_run_but_begin_none() {
    check(&[
        ("above: {value: 15, clear: 12}", "1=14 2=16 3=13 4=16 5=12 6=13 7=16", "1:16>15[2,3) 6:16>15[7,8)"),
        ("above: {value: 15, clear: 12}", "1=14 2=14 3=12", ""),
        // Joined from behind: 2 begins the run that 3 and 4 already belong to.
        ("above: {value: 15, clear: 12}", "4=16 3=13 2=16", "0:16>15[4,5)"),
    ]);
}

#[test]
fn what_is_over_is_not_told() {
    check(&[
        ("below: {value: 0}", "1=-1@120 2=1 3=1", ""),
        ("below: {value: 0}", "1=-1@119 2=1 3=1", "0:-1<0[1,2)"),
        // A run that began in the past is told when a slot of it is still to come.
        ("below: {value: 0}", "1=-1@180 2=-1 3=-1 4=-1", "2:-1<0[1,4)"),
        // What is still to come of the run is tame.
        ("above: {value: 15, clear: 12}", "1=16@130 2=13", ""),
        ("below: {value: 0, at: starts}", "1=-1@180 t@181", ""),
    ]);
}

#[test]
fn a_run_is_confirmed_by_slots_in_a_row() {
    check(&[
        ("below: {value: 0}; confirm: 3", "5=-1 6=-2 7=-3 8=-4", "2:-3<0[5,8)"),
        ("below: {value: 0}; confirm: 2", "5=-1 6=1 7=-1 6=-1", "3:-1<0[5,8)"),
        ("above: {value: 15, clear: 12}; confirm: 2", "5=16 6=13 7=16 8=17", "3:17>15[5,9)"),
    ]);
}

#[test]
fn a_revision_that_ends_a_run_takes_the_alert_back() {
    check(&[
        ("below: {value: 0}", "5=-1 6=-1 5=1 6=2", "0:-1<0[5,6) 3:~2[6,7)"),
        ("below: {value: 0}", "5=-1 5=1 5=-2", "0:-1<0[5,6) 1:~1[5,6) 2:-2<0[5,6)"),
        // Over: nothing to take back.
        ("below: {value: 0}", "5=-1 5=1@360", "0:-1<0[5,6)"),
        // Tame, but not clear.
        ("below: {value: 0, clear: 2}", "5=-1 5=1", "0:-1<0[5,6) 1:~1[5,6)"),
    ]);
}

#[test]
fn parts_of_a_split_run_and_runs_that_join_are_not_told_again() {
    check(&[
        ("below: {value: 0}", "5=-1 6=-1 7=-1 6=1 7=-2 5=-2 8=-1 6=-1", "0:-1<0[5,6)"),
        ("below: {value: 0}", "5=-1 7=-1 6=-1 6=1 5=1 7=1", "0:-1<0[5,6) 1:-1<0[7,8) 4:~1[5,6) 5:~1[7,8)"),
    ]);
}

#[test]
fn a_run_starts_when_the_time_comes_by_a_tick_or_an_observation() {
    let text = "below: {value: 0, at: starts}";
    check(&[
        (text, "5=-1 6=-2 t@299 t@300 t@301 t@361", "3:-1<0[5,7)"),
        (text, "5=-1 6=-2 9=4@330 t@331", "2:-1<0[5,7)"),
        (text, "5=-1 6=1 7=-1 t@310 t@370 t@425", "3:-1<0[5,6) 5:-1<0[7,8)"),
        // Nobody looked while it lasted.
        (text, "5=-1 6=1 t@360", ""),
        // It grew while it was under way.
        (text, "5=-1 t@300 6=-1 t@361", "1:-1<0[5,6)"),
        // First seen when it had begun.
        (text, "5=-1@330", "0:-1<0[5,6)"),
        // Revised away in time, and back again.
        (text, "5=-1 5=1@10 t@300", ""),
        (text, "5=-1 t@300 5=1@301 5=-1@302", "1:-1<0[5,6) 2:~1[5,6) 3:-1<0[5,6)"),
    ]);
}

#[test]
fn an_alert_of_a_tick_knows_what_the_schedule_knew() {
    let mut tape = Tape::new(vec![rule("below: {value: 0, at: starts}")]);
    let mut o = slot(23, "-0.50", 0);
    o.labels.set("event", "Finland");
    tape.see(o.clone());
    let mut next = slot(24, "-0.10", 0);
    next.labels = o.labels;
    tape.see(next);
    let alert = tape.tick(START.plus(23 * HOUR)).remove(0);
    assert_eq!(alert.summary, "Finland: -0.50 c/kWh, below 0, 2026-01-04 23:00 to 2026-01-05 01:00 UTC");
    assert_eq!((&*alert.source, &*alert.item, &*alert.currency), ("s", "i", "EUR"));
    assert_eq!(alert.observed_at, START.plus(23 * HOUR), "or it would be stale when it is sent");
    assert_eq!((alert.coordinates.offset, alert.transition), (2, Transition::Firing));
}

#[test]
fn ticks_of_another_source_pass_by() {
    let detector = common::detector(vec![rule("below: {value: 0, at: starts}")]);
    let (mut state, mut alerts) = (Default::default(), Vec::new());
    detector.observe(&mut state, slot(0, "5", 0), common::at(0), &mut alerts);
    let mut tick = pricemonitor_model::Tick {
        source: "other".into(),
        at: START.plus(90 * common::DAY),
        outcome: pricemonitor_model::Outcome::Ok,
        complete: true,
    };
    let mut told = Vec::new();
    let mut effect = |tick: &_| detector.tick(&mut state, b"s/i", tick, common::at(1), &mut told);
    assert_eq!(effect(&tick), pricemonitor_detection::TickEffect::Unchanged);
    tick.source = "s".into();
    assert_eq!(effect(&tick), pricemonitor_detection::TickEffect::Expired);
}

#[test]
fn rearm_never_and_cooldown_hold_for_runs() {
    check(&[
        ("below: {value: 0}; rearm: never", "5=-1 6=1 7=-1", "0:-1<0[5,6)"),
        ("below: {value: 0}; cooldown: 1h", "5=-1 6=1 7=-1 8=1 9=-1@60", "0:-1<0[5,6) 4:-1<0[9,10)"),
        // The run that was only counted is not taken back either.
        ("below: {value: 0}; cooldown: 1h", "5=-1 6=1 7=-1 7=1", "0:-1<0[5,6)"),
    ]);
}

#[test]
fn a_rule_new_to_a_schedule_tells_of_what_is_known() {
    let before = rule("name: old; drop: {}");
    let level = rule("below: {value: 0}");
    let mut tape = Tape::new(vec![before.clone()]);
    told_by(&mut tape, &before, "5=-1 6=-1 7=3 8=-2 9=1");
    tape.detector = common::detector(vec![level.clone()]);
    assert_eq!(told_by(&mut tape, &level, "9=2@1"), "0:-1<0[5,7) 0:-2<0[8,9)");
    let mut tape = Tape::new(vec![before.clone()]);
    told_by(&mut tape, &before, "5=-1 6=-1 7=3 8=-2 9=1");
    tape.detector = common::detector(vec![level]);
    let alerts = tape.see(slot(9, "2", 1)).1;
    assert_ne!(alerts[0].id, alerts[1].id);
}

#[test]
fn slots_leave_the_state_48_hours_after_their_end() {
    let mut tape = Tape::new(vec![]);
    tape.see(slot(0, "5", 0));
    let seen = |tape: &mut Tape, minute| tape.see(slot(0, "5", minute)).0.direction;
    assert_eq!(seen(&mut tape, 49 * 60), Direction::Unchanged);
    assert_eq!(seen(&mut tape, 49 * 60 + 1), Direction::First);
    assert_eq!(seen(&mut tape, 49 * 60 + 2), Direction::First);
    tape.see(slot(60, "5", 60 * 60));
    let held = |tape: &Tape| format!("{:?}", tape.states).matches("SlotState").count();
    assert_eq!(held(&tape), 1);
    tape.tick(START.plus(109 * HOUR));
    assert_eq!(held(&tape), 1);
    tape.tick(START.plus(109 * HOUR + 1));
    assert_eq!(held(&tape), 0);
    tape.tick(START.plus(60 * HOUR + 30 * common::DAY));
    assert_eq!(tape.states.len(), 1);
    tape.tick(START.plus(60 * HOUR + 30 * common::DAY + 1));
    assert_eq!(tape.states.len(), 0);
}

#[test]
fn another_unit_starts_a_schedule_anew() {
    let mut tape = Tape::new(vec![rule("drop: {}")]);
    tape.see(slot(5, "100", 10));
    let mut other = slot(5, "1", 9);
    other.unit = Some("EUR/MWh".into());
    assert_eq!(tape.see(other.clone()).0.direction, Direction::Late);
    other.observed_at = START.plus(HOUR);
    let (event, alerts) = tape.see(other);
    assert_eq!((event.direction, alerts.len()), (Direction::First, 0));
}

#[test]
fn a_run_longer_than_what_is_kept_is_told_once() {
    let text = rule("below: {value: 0}");
    let mut tape = Tape::new(vec![text]);
    tape.reload = true;
    let told: usize = (0..200).map(|hour| tape.see(slot(hour, "-1", hour * 60 - 600)).1.len()).sum();
    assert_eq!(told, 1);
}
