//! What the console tells: a line for each change, a marked one for each alert, a status line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::time::Duration;

use common::{SOON, Setup, manifest};
use pricemonitor_testkit::place::{self, Place};

/// One listing whose price the test sets, read by a mapping.
const LISTING: &str = r#"
sources:
- name: shop
  interval: 100ms
  file:
    path: listings.json
    mapping:
      jq: '.[] | {item: .id, price: .price, labels: {event: .event, section: .section}}'
      currency: USD
rules:
- {name: any-drop, drop: {}}
"#;

fn publish(place: &Place, price: &str, event: &str) {
    let text = format!(r#"[{{"id": "a1", "price": "{price}", "event": "{event}", "section": "Balcony"}}]"#);
    place::replace(&place.at("listings.json"), text).unwrap();
}

#[test]
fn a_drop_a_rise_and_an_alert_have_their_lines() {
    let setup = Setup::new(&manifest("console", LISTING));
    publish(&setup.place, "120.00", "A Band");
    let mut process = setup.up();
    setup.wait_rows(1);
    publish(&setup.place, "84.00", "A Band");
    process.wait_for("A Band | Balcony | 120.00 -> 84.00 USD (-30.0 %)\n", SOON).unwrap();
    process.wait_for(">>> ALERT any-drop: ", SOON).unwrap();
    publish(&setup.place, "90.3", "A Band");
    process.wait_for("A Band | Balcony | 84.00 -> 90.3 USD (+7.5 %)\n", SOON).unwrap();
    process
        .wait_until("the status line", SOON, |output| {
            output.stdout.contains("--- 3 observations, 2 changes, 1 alerts, lag 0\n")
        })
        .unwrap();
    let output = process.terminate(Duration::from_secs(5)).unwrap().output;
    assert_eq!(output.stdout.matches(">>> ALERT").count(), 1, "{}", output.stdout);
}

#[test]
fn json_lines_are_json_and_a_hostile_title_cannot_move_the_cursor() {
    let setup = Setup::new(&manifest("console", LISTING));
    publish(&setup.place, "10", r"\u001b[2Jevil\u202e");
    let mut human = setup.up();
    setup.wait_rows(1);
    publish(&setup.place, "9", r"\u001b[2Jevil\u202e");
    human.wait_for("10 -> 9 USD", SOON).unwrap();
    let output = human.terminate(Duration::from_secs(5)).unwrap().output.all();
    assert!(!output.contains(['\u{1b}', '\u{202e}']), "{output:?}");

    let mut json =
        pricemonitor_testkit::process::Process::start(setup.command().args(["--log-format", "json"]))
            .unwrap();
    setup.ready(&mut json);
    publish(&setup.place, "8", r"\u001b[2Jevil\u202e");
    json.wait_for(r#""kind":"change""#, SOON).unwrap();
    json.wait_for(r#""kind":"alert""#, SOON).unwrap();
    let output = json.terminate(Duration::from_secs(5)).unwrap().output;
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|value| value.is_object()), "no JSON object: {line}");
    }
}
