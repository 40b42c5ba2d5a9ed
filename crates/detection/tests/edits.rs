//! Rules that are edited while the state lives on, and rules that match by labels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::{Tape, detector, quote, rule, slot};
use pricemonitor_model::{Rule, Severity};

const LAST: &str = "drop: {percent: 10, baseline: lastNotified}";

/// What is told by `after` of the last price, when the prices before were seen under `before`.
fn across(before: &str, after: &str, prices: &[&str], last: &[&str]) -> Vec<usize> {
    let mut tape = Tape::new(vec![rule(before)]);
    tape.reload = true;
    for (minute, price) in prices.iter().enumerate() {
        tape.see(quote(price, minute as i64));
    }
    tape.detector = detector(vec![rule(after)]);
    let at = prices.len();
    last.iter().enumerate().map(|(i, price)| tape.see(quote(price, (at + i) as i64)).1.len()).collect()
}

#[test]
fn an_edited_change_rule_is_armed_by_the_next_price_and_fires_by_the_one_after() {
    assert_eq!(across("drop: {}", "drop: {}", &["100"], &["50"]), [1]);
    assert_eq!(across("drop: {}", "drop: {percent: 1}", &["100"], &["50", "40"]), [0, 1]);
    assert_eq!(across(LAST, LAST, &["100", "95"], &["90"]), [1]);
    assert_eq!(
        across(LAST, "drop: {percent: 5, baseline: lastNotified}", &["100", "97"], &["90", "86", "85.5"]),
        [0, 0, 1]
    );
    assert_eq!(across("drop: {}", "name: renamed; drop: {}", &["100"], &["50", "40"]), [0, 1]);
    assert_eq!(across("drop: {}", "drop: {}; confirm: 2", &["100"], &["50", "40", "40"]), [0, 0, 1]);
}

#[test]
fn against_the_first_price_old_news_is_not_told_after_an_edit() {
    let first = "drop: {percent: 20, baseline: first}";
    assert_eq!(across("drop: {}", first, &["100", "70"], &["70", "60", "100", "80"]), [0, 0, 0, 1]);
    assert_eq!(
        across("drop: {}", first, &["100", "90"], &["85", "80"]),
        [0, 1],
        "of the series, not the rule"
    );
}

#[test]
fn an_edited_level_fires_again_if_the_price_is_beyond_it() {
    assert_eq!(across("below: {value: 50}", "below: {value: 50}", &["40"], &["40"]), [0]);
    assert_eq!(
        across("below: {value: 50}", "below: {value: 50.0}", &["40"], &["40"]),
        [0],
        "the same number"
    );
    assert_eq!(across("below: {value: 50}", "below: {value: 45}", &["40"], &["40"]), [1]);
    assert_eq!(across("below: {value: 50}", "below: {value: 30}", &["40"], &["60"]), [0]);
}

#[test]
fn what_is_only_about_telling_resets_nothing() {
    let mut tape = Tape::new(vec![rule("below: {value: 50}")]);
    tape.see(quote("40", 0));
    let edited = Rule {
        severity: Severity::Critical,
        channels: Some(vec!["discord".into()]),
        cooldown: Some(1),
        rearm: pricemonitor_model::Rearm::Never,
        ..rule("below: {value: 50}")
    };
    tape.detector = detector(vec![edited]);
    assert_eq!(tape.see(quote("41", 1)).1.len(), 0);
}

#[test]
fn adding_removing_and_reordering_rules_keeps_what_the_others_know() {
    let (a, b) = (rule(&format!("name: a; {LAST}")), rule("name: b; below: {value: 50}"));
    let mut tape = Tape::new(vec![a.clone(), b.clone()]);
    tape.see(quote("100", 0));
    tape.see(quote("95", 1));
    tape.detector = detector(vec![rule("name: c; rise: {}"), b, a]);
    let alerts = tape.see(quote("49", 2)).1;
    let names: Vec<_> = alerts.iter().map(|alert| &*alert.rule).collect();
    assert_eq!(names, ["b", "a"], "in the order of the rules; the new one is only armed");
    assert_eq!(alerts[1].reference, Some(common::d("100")));
}

#[test]
fn an_edited_change_rule_is_armed_for_every_slot_of_a_schedule() {
    for baseline in ["previous", "lastNotified", "first"] {
        let text = format!("drop: {{percent: 10, baseline: {baseline}}}");
        let mut tape = Tape::new(vec![rule("name: old; drop: {}")]);
        tape.reload = true;
        for (hour, price) in [(5, "100"), (5, "50"), (6, "100"), (7, "100"), (7, "95")] {
            tape.see(slot(hour, price, 0));
        }
        tape.detector = detector(vec![rule(&text)]);
        let mut see = |hour, price| tape.see(slot(hour, price, 1)).1.first().and_then(|a| a.reference);
        assert_eq!(see(6, "90"), None, "{baseline}: it arms");
        assert_eq!(see(5, "49"), None, "{baseline}: 50 was before the rule");
        let want = if baseline == "first" { "100" } else { "95" };
        assert_eq!(see(7, "80"), Some(common::d(want)), "{baseline}");
    }
}

#[test]
fn of_two_rules_with_one_name_the_first_counts() {
    let mut tape = Tape::new(vec![rule("below: {value: 50}"), rule("above: {value: 5}")]);
    assert_eq!(tape.see(quote("40", 0)).1.len(), 1);
}

#[test]
fn all_matchers_must_hold_and_an_absent_label_never_does() {
    let mut tape =
        Tape::new(vec![rule("below: {value: 50}; match: {section: \"Floor*\", source: s, item: \"?\"}")]);
    let mut see = |section: Option<&str>, item: &'static str| {
        let mut o = quote("40", 0);
        o.item = item.into();
        if let Some(section) = section {
            o.labels.set("section", section.to_owned());
        }
        tape.see(o).1.len()
    };
    assert_eq!(see(Some("Floor 1"), "a"), 1);
    assert_eq!(see(Some("Balcony"), "b"), 0);
    assert_eq!(see(None, "c"), 0);
    assert_eq!(see(Some("Floor 1"), "long"), 0);
}

#[test]
fn a_label_that_changes_changes_which_rules_hold() {
    let mut tape =
        Tape::new(vec![rule("name: vip; drop: {}; match: {section: VIP}"), rule("name: all; drop: {}")]);
    tape.reload = true;
    let mut see = |price, section: &'static str, minute| {
        let mut o = quote(price, minute);
        o.labels.set("section", section);
        let alerts = tape.see(o).1;
        alerts.iter().map(|alert| alert.rule.to_string()).collect::<Vec<_>>()
    };
    assert!(see("9", "A", 0).is_empty());
    assert_eq!(see("8", "A", 1), ["all"]);
    assert_eq!(see("7", "VIP", 2), ["all"], "it is new to the rule");
    assert_eq!(see("6", "VIP", 3), ["vip", "all"]);
    assert_eq!(see("5", "A", 4), ["all"]);
    assert_eq!(see("4", "VIP", 5), ["all"], "and new again");
}

#[test]
fn only_a_rule_that_waits_for_a_start_needs_ticks() {
    let needs =
        |text| detector(vec![rule("drop: {}"), Rule { name: "b".into(), ..rule(text) }]).needs_ticks();
    assert!(!needs("below: {value: 0}"));
    assert!(needs("below: {value: 0, at: starts}"));
}

#[test]
fn an_alert_carries_what_people_and_channels_need() {
    let text = "name: ten; drop: {percent: 10}; match: {event: \"A *\"}";
    let edited = Rule { severity: Severity::Warning, channels: Some(vec!["discord".into()]), ..rule(text) };
    let mut tape = Tape::new(vec![edited]);
    let see = |tape: &mut Tape, price, minute| {
        let mut o = quote(price, minute);
        o.labels = o.labels.with("event", "A Band").with("section", "Section B");
        o.url = Some("https://example.test/offer".into());
        tape.see(o).1
    };
    assert!(see(&mut tape, "120.00", 0).is_empty());
    let alert = see(&mut tape, "84.00", 1).remove(0);
    assert_eq!(alert.summary, "A Band · Section B: 120.00 -> 84.00 USD (-30.0 %)");
    assert_eq!((&*alert.monitor, &*alert.rule, alert.severity), ("default.test", "ten", Severity::Warning));
    assert_eq!(alert.channels.as_deref(), Some(&["discord".to_owned()][..]));
    assert_eq!(alert.percent.unwrap().to_string(), "-30.0");
    assert_eq!(alert.url.as_deref(), Some("https://example.test/offer"));
    assert_eq!(alert.labels.get("section"), Some("Section B"));
    assert_eq!((alert.coordinates, alert.slot), (common::at(1), None));
    let id = pricemonitor_model::AlertId::of(
        "default.test",
        "ten",
        &alert.series(),
        common::at(1),
        alert.transition,
    );
    assert_eq!(alert.id, id);
}
