//! Levels of a quote: firing, clearing, re-arming.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::{Tape, quote, rule, told};
use pricemonitor_model::{Side, Transition, wire};

/// (rule, prices, what is told)
fn check(table: &[(&str, &str, &str)]) {
    for (rule, prices, want) in table {
        assert_eq!(told(rule, prices), *want, "{rule} | {prices}");
    }
}

#[test]
fn a_level_fires_strictly_beyond_it_and_at_first_sight() {
    check(&[
        ("below: {value: 50}", "50 49.99 10", "1:49.99<50"),
        ("below: {value: 50}", "40", "0:40<50"),
        ("above: {value: 50}", "50.00 50.01 99", "1:50.01>50"),
        ("above: {value: 50}", "60", "0:60>50"),
        ("below: {value: 0}", "1 0 -0.001", "2:-0.001<0"),
        ("above: {value: -5}", "-6 -5 -4", "2:-4>-5"),
    ]);
}

#[test]
fn a_level_is_clear_at_the_clear_level() {
    check(&[
        ("below: {value: 50}", "40 50 49", "0:40<50 1:~50 2:49<50"),
        ("below: {value: 50, clear: 55}", "40 54.99 45 55 49", "0:40<50 3:~55 4:49<50"),
        ("above: {value: 50, clear: 45}", "60 45.01 55 45 51", "0:60>50 3:~45 4:51>50"),
        // A clear level on the wrong side counts as the level itself.
        ("below: {value: 50, clear: 40}", "45 42 50 45", "0:45<50 2:~50 3:45<50"),
    ]);
}

#[test]
fn a_level_that_never_fired_does_not_resolve() {
    check(&[
        ("below: {value: 50}", "60 50 70", ""),
        ("below: {value: 50}; confirm: 2", "40 60 40 60", ""),
        ("below: {value: 50}; cooldown: 1h", "40 60 40 60", "0:40<50 1:~60"),
    ]);
}

#[test]
fn a_level_is_confirmed_by_consecutive_observations() {
    check(&[
        ("below: {value: 50}; confirm: 3", "40 41 42", "2:42<50"),
        ("below: {value: 50}; confirm: 3", "40 41 50 42 43 44", "5:44<50"),
        // Between level and clear level is not beyond.
        ("below: {value: 50, clear: 60}; confirm: 2", "40 55 40 40", "3:40<50"),
        ("below: {value: 50}; confirm: 2", "40 40 60 40 40", "1:40<50 2:~60 4:40<50"),
    ]);
}

#[test]
fn a_level_rearms_as_the_rule_says() {
    check(&[
        ("below: {value: 50}; rearm: never", "40 60 40 60 30", "0:40<50 1:~60"),
        ("below: {value: 50}; rearm: 1h", "40@0 41@59 42@60 43@61 44@120", "0:40<50 2:42<50 4:44<50"),
        ("below: {value: 50}; rearm: 1h", "40@0 60@1 40@2", "0:40<50 1:~60 2:40<50"),
        ("below: {value: 50, clear: 60}; rearm: 1h", "40@0 55@60 45@61", "0:40<50 2:45<50"),
        ("below: {value: 50}; rearm: 1h; confirm: 2", "40@0 40@1 40@61 60@62", "1:40<50 2:40<50 3:~60"),
    ]);
}

#[test]
fn a_cooldown_holds_a_level_back_but_does_not_lose_it() {
    check(&[
        ("below: {value: 50}; cooldown: 10m", "40@0 60@1 40@2 41@9 42@10", "0:40<50 1:~60 4:42<50"),
        ("below: {value: 50}; cooldown: 10m", "40@0 60@1 40@2 60@3", "0:40<50 1:~60"),
        ("below: {value: 50}; cooldown: 2h; rearm: 1h", "40@0 40@60 40@119 40@120", "0:40<50 3:40<50"),
    ]);
    let mut tape = Tape::new(vec![rule("below: {value: 50}; cooldown: 10m")]);
    for (minute, price) in [(0, "40"), (1, "60"), (2, "40"), (3, "41"), (4, "60")] {
        tape.see(quote(price, minute));
    }
    assert_eq!(tape.suppressed(), 2);
}

#[test]
fn firing_and_resolved_share_their_key_but_not_their_id() {
    let mut tape = Tape::new(vec![rule("below: {value: 50}")]);
    let fired = tape.see(quote("40", 0)).1.remove(0);
    let resolved = tape.see(quote("60", 1)).1.remove(0);
    assert_eq!((fired.transition, resolved.transition), (Transition::Firing, Transition::Resolved));
    assert_eq!(fired.key(), resolved.key());
    assert_ne!(fired.id, resolved.id);
    assert_eq!(fired.summary, "i: 40 USD, below 50");
    assert_eq!(resolved.summary, "i: 60 USD, no longer below 50");
    assert_eq!((fired.percent, fired.reference), (None, Some(common::d("50"))));
    // On the wire it is told as a level, too.
    assert_eq!((fired.side, resolved.side), (Some(Side::Below), Some(Side::Below)));
    let mut bytes = Vec::new();
    wire::write_alert(&fired, &mut bytes);
    assert!(String::from_utf8_lossy(&bytes).contains(r#""side":"below""#));
    assert_eq!(wire::read_alert(&bytes).unwrap(), Some(fired));
}

#[test]
fn a_series_unseen_for_thirty_days_begins_anew() {
    let days = |days: i64| days * 24 * 60;
    for (gap, alerts) in [(days(30), 0), (days(30) + 1, 1)] {
        let mut tape = Tape::new(vec![rule("below: {value: 50}")]);
        tape.see(quote("40", 0));
        assert_eq!(tape.see(quote("40", gap)).1.len(), alerts, "{gap} minutes");
        let mut ticked = Tape::new(vec![rule("below: {value: 50}")]);
        ticked.see(quote("40", 0));
        ticked.tick(common::START.plus(gap * common::MINUTE));
        assert_eq!(ticked.states.len(), 1 - alerts, "a tick forgets at the same moment");
    }
}
