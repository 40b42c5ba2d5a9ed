//! Whatever is thrown at the reader: an answer with places, in bounded time, never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pricemonitor_config::{Problems, load, read};
use proptest::prelude::*;

const GOOD: &str = "\
apiVersion: pricemonitor.dev/v1alpha1
kind: PriceMonitor
metadata: {name: m, namespace: n, labels: {a: b}}
spec:
  sources:
  - name: a
    interval: 5s
    simulator: {events: 5, listingsPerEvent: {min: 2, max: 5}, seed: 42}
    valid: {min: 0.01, max: 1000, positive: true}
  - name: b
    file: {path: x.json, mapping: {jq: '.[]', unit: c/kWh}, maxSize: 1MiB}
  - name: c
    http: {url: 'https://example.org', format: porssisahko, bearerToken: {secretKeyRef: {name: t, key: k}}}
  rules:
  - name: r
    match: {event: '*', source: a}
    drop: {percent: 10, baseline: lastNotified}
    cooldown: 1h
    notify: [d, w]
  - name: l
    below: {value: -0.5, clear: 0.0, at: starts}
    rearm: 6h
  channels:
  - name: d
    discord: {webhookUrl: {secretKeyRef: {name: d, key: url}}}
  - name: w
    webhook: {url: 'http://127.0.0.1:1/', timeout: 1s}
  kafka: {topics: {raw: r}, partitions: 1, key: slotStart, tls: {}}
  storage: {csv: {path: a.csv}, retention: 30d, postgres: {secretRef: {name: p}}}
  suspend: false
";

/// What is true of every refusal.
fn judge(text: &str, result: Result<usize, Problems>) {
    let Err(problems) = result else { return };
    assert!(!problems.list.is_empty(), "{text}");
    // A carriage return alone ends a line too.
    let lines = 2 + text.matches(['\n', '\r']).count() as u32;
    for problem in &problems.list {
        assert!(!problem.message.is_empty());
        assert!(!problem.message.contains("cannot be read"), "schema and types disagree: {problem}\n{text}");
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}\n{text}");
    }
    let shown = problems.to_string();
    assert_eq!(shown.lines().count(), problems.list.len(), "one line each: {shown}");
}

fn both(text: &str) {
    judge(text, read::read(text, "x").map(|all| all.len()));
    judge(text, load(text, "x").map(|all| all.len()));
}

#[test]
fn the_good_one_is_good() {
    load(GOOD, "x").unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn every_truncation_is_answered() {
    for end in 0..=GOOD.len() {
        both(&GOOD[..end]);
    }
}

/// Values that do not belong where they are put.
fn odd() -> impl Strategy<Value = String> {
    let fixed = [
        "",
        "~",
        "true",
        "yes",
        "[]",
        "{}",
        "[[]]",
        "{a: {b: c}}",
        "-1",
        "1e999",
        ".nan",
        "0x10",
        "007",
        "''",
        "\"\\0\"",
        "'\u{202e}'",
        "!!binary aGk=",
        "!x y",
        "&a *a",
        "*a",
        "|\n   x",
        "99999999999999999999999",
        "2020-01-01",
        "- ",
        "? ",
        ": ",
        "%",
        "@",
        "`",
        "# ",
        "<<",
        "\u{feff}",
        "\t",
        "\u{1}",
        "🎸",
    ];
    prop_oneof![proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned), "[ -~]{0,12}", "\\PC{0,8}",]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        both(&text);
    }

    #[test]
    fn yaml_like_text_is_answered(words in proptest::collection::vec(
        proptest::sample::select(vec!["a", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ",", "'", "\"", "&x ", "*x", "!t ",
            "|", ">", "#", "---\n", "...\n", "? ", "<<", "\t", "kind", "PriceMonitor", "spec", "sources", "\r", "%", "0"]), 0..60)) {
        both(&words.concat());
    }

    #[test]
    fn a_value_replaced_by_an_odd_one_is_answered(line in 0usize..40, value in odd()) {
        let lines: Vec<String> = GOOD.lines().enumerate().map(|(n, text)| match text.split_once(": ") {
            Some((key, _)) if n == line => format!("{key}: {value}"),
            _ => text.to_owned(),
        }).collect();
        both(&lines.join("\n"));
    }

    #[test]
    fn a_part_replaced_by_an_odd_one_is_answered(start in 0usize..1500, len in 0usize..30, value in odd()) {
        let start = start.min(GOOD.len());
        let end = (start + len).min(GOOD.len());
        both(&format!("{}{value}{}", &GOOD[..start], &GOOD[end..]));
    }

    #[test]
    fn lines_in_another_order_are_answered(order in proptest::collection::vec(0usize..40, 1..40)) {
        let all: Vec<&str> = GOOD.lines().collect();
        let text: Vec<&str> = order.iter().filter_map(|n| all.get(*n).copied()).collect();
        both(&text.join("\n"));
    }
}
