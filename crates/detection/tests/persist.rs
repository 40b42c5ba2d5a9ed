//! The state as bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::{Tape, quote, rule, slot};
use pricemonitor_detection::ItemState;
use pricemonitor_model::Rule;
use pricemonitor_model::persist::Persist;

fn encoded(state: &ItemState) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

fn only(tape: &Tape) -> &ItemState {
    tape.states.values().next().unwrap()
}

#[test]
fn a_quote_under_the_default_rule_takes_few_bytes() {
    let size = |prices: &[&str]| {
        let mut tape = Tape::new(vec![Rule::any_drop()]);
        prices.iter().zip(0..).for_each(|(price, minute)| drop(tape.see(quote(price, minute))));
        encoded(only(&tape)).len()
    };
    assert_eq!(size(&["120.00"]), 31);
    assert_eq!(size(&["120.00", "84.00"]), 40);
    let largest = size(&["1000000000000.000000000", "-999999999999.999999999"]);
    assert!((40..=60).contains(&largest), "{largest} bytes");
}

#[test]
fn a_day_of_slots_takes_few_bytes() {
    let mut tape = Tape::new(vec![rule("below: {value: 0}")]);
    (0..96).for_each(|hour| drop(tape.see(slot(hour, "12.345", 0))));
    let bytes = encoded(only(&tape)).len();
    assert!(bytes < 96 * 25, "{bytes} bytes");
}

#[test]
fn bytes_of_a_newer_program_are_refused_with_a_remedy() {
    let mut tape = Tape::new(vec![Rule::any_drop()]);
    tape.see(quote("1", 0));
    let mut bytes = encoded(only(&tape));
    assert_eq!(bytes[0], 1, "the format comes first");
    bytes[0] = 2;
    let error = ItemState::decode(&bytes).unwrap_err().to_string();
    assert_eq!(
        error,
        "stored detection state cannot be read: it has format 2, this program reads up to 1: upgrade it"
    );
    for broken in [&[][..], &[0], &[1], &[1, 4], &[1, 0, 0], &[1, 1, 0xff]] {
        assert!(ItemState::decode(broken).is_err(), "{broken:?}");
    }
    assert_eq!(ItemState::decode(&encoded(&ItemState::default())).unwrap(), ItemState::default());
}

#[test]
fn a_count_larger_than_the_bytes_asks_for_no_memory() {
    // A quote with u64::MAX rules.
    let mut tape = Tape::new(vec![]);
    tape.see(quote("1", 0));
    let mut bytes = encoded(only(&tape));
    assert_eq!(bytes.pop(), Some(0));
    bytes.extend([0xff; 9]);
    bytes.push(1);
    assert!(ItemState::decode(&bytes).is_err());
}

/// The encoding is a promise to later versions: these bytes must be readable for ever, and hashes
/// of rules must not change either.
#[test]
fn the_bytes_of_format_1_stay_as_they_are() {
    let mut tape =
        Tape::new(vec![rule("name: ten; drop: {percent: 10, baseline: lastNotified}; cooldown: 1h")]);
    for (minute, price) in [(0, "120.00"), (1, "84.00"), (2, "70.00")] {
        tape.see(quote(price, minute));
    }
    let hex: String = encoded(only(&tape)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "01010080c3fce4f06668a98a66efe683910102d83602e05d013582e175eabe6801790102d041c099f5e4f06601"
    );
}
