//! Which alerts are due: what the rules of both manifests make of the observations, by the plain oracle of the test kit.

use std::collections::BTreeMap;

use pricemonitor_model::{Decimal, Time};
use pricemonitor_testkit::feed;
use pricemonitor_testkit::oracle::schedule::{self, Level};
use pricemonitor_testkit::oracle::{self, Rule};
use serde_json::Value;

use crate::ground::MARKET;
use crate::hours::HOUR;
use crate::judge::{self, Place, Raw, Span};

/// The market's rules, as its manifest says them.
const OF_OFFERS: [(&str, Rule); 4] = [
    ("any-drop", Rule::Drop(0)),
    ("ten-percent", Rule::Drop(10)),
    ("slump", Rule::DropSinceTheLastMove(20)),
    ("cheap", Rule::Below(60, 75)),
];
/// Electricity's: of revisions of an hour, and of runs of hours.
const OF_REVISIONS: [(&str, Rule); 2] =
    [("any-drop", Rule::Drop(0)), ("slump", Rule::DropSinceTheLastMove(20))];
const OF_RUNS: [(&str, Level); 2] = [("dear", Level::Above(30, 5)), ("free", Level::Below(0, 6))];
/// The rules of which the receiver is told.
const TOLD: [&str; 4] = ["slump", "cheap", "dear", "free"];

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// Of the observation that triggered it.
    place: Place,
    rule: String,
    /// Whether it says that an earlier one is over.
    resolved: bool,
    item: String,
    price: Decimal,
    /// What the price was compared with.
    reference: Option<Decimal>,
    /// The hour, or the run of hours.
    slot: Option<Span>,
}

impl Alert {
    /// As a record says it.
    pub fn read(value: &Value) -> Alert {
        Alert {
            place: judge::place(value),
            rule: judge::text(value, "rule"),
            resolved: value["transition"] == "resolved",
            item: judge::text(value, "item"),
            price: judge::decimal(&value["price"]).unwrap(),
            reference: judge::decimal(&value["reference"]),
            slot: judge::slot(value),
        }
    }

    fn due(raw: &Raw, rule: &str, resolved: bool, reference: Decimal, slot: Option<Span>) -> Alert {
        let (place, rule, item, price) = (raw.place, rule.to_owned(), raw.item.clone(), raw.price);
        Alert { place, rule, resolved, item, price, reference: Some(reference), slot }
    }

    /// Whether the receiver is told of it.
    pub fn is_told(&self) -> bool {
        !self.resolved && TOLD.contains(&self.rule.as_str())
    }
}

/// Every alert that the observations of a monitor lead to.
pub fn alerts(monitor: &str, raw: &[Raw]) -> Vec<Alert> {
    if monitor == MARKET {
        return judge::series(raw).values().flat_map(|line| of_a_line(&OF_OFFERS, line)).collect();
    }
    // Each hour is a line of its own: the next hour's price is no move of the one before.
    let mut hours: BTreeMap<&Span, Vec<Raw>> = BTreeMap::new();
    for raw in raw {
        hours.entry(raw.slot.as_ref().unwrap()).or_default().push(raw.clone());
    }
    let mut due: Vec<Alert> = hours.values().flat_map(|line| of_a_line(&OF_REVISIONS, line)).collect();
    due.extend(of_runs(raw));
    due
}

/// What rules make of prices that follow each other.
fn of_a_line(rules: &[(&str, Rule)], line: &[Raw]) -> Vec<Alert> {
    let prices: Vec<Decimal> = line.iter().map(|raw| raw.price).collect();
    let mut due = Vec::new();
    for (name, rule) in rules {
        for hit in oracle::hits(*rule, &prices) {
            let raw = &line[hit.at];
            due.push(Alert::due(raw, name, hit.resolved, hit.reference, raw.slot.clone()));
        }
    }
    due
}

/// What levels make of hours side by side, in the order in which the log has their prices.
fn of_runs(raw: &[Raw]) -> Vec<Alert> {
    let hour = |raw: &Raw| raw.slot.as_ref().unwrap().0.parse::<Time>().unwrap().millis() / HOUR;
    let prices: Vec<(i64, Decimal)> = raw.iter().map(|raw| (hour(raw), raw.price)).collect();
    let mut due = Vec::new();
    for (name, level) in OF_RUNS {
        for hit in schedule::hits(level, &prices) {
            let (first, last) = (*hit.hours.start(), *hit.hours.end());
            let span = (feed::instant(first * HOUR), feed::instant((last + 1) * HOUR));
            due.push(Alert::due(&raw[hit.at], name, hit.resolved, hit.reference, Some(span)));
        }
    }
    due
}

/// What did not come up, though a run that is to prove something has it: every rule fires, runs of hours are taken back.
pub fn missing(monitor: &str, due: &[Alert]) -> Vec<String> {
    let of_offers = monitor == MARKET;
    let lines: &[(&str, Rule)] = if of_offers { &OF_OFFERS } else { &OF_REVISIONS };
    let runs: &[(&str, Level)] = if of_offers { &[] } else { &OF_RUNS };
    let fires = lines.iter().map(|(rule, _)| (*rule, false));
    let both = runs.iter().flat_map(|(rule, _)| [(*rule, false), (*rule, true)]);
    fires
        .chain(both)
        .filter(|(rule, resolved)| !due.iter().any(|it| it.rule == *rule && it.resolved == *resolved))
        .map(|(rule, resolved)| {
            let what = if resolved { "was never taken back" } else { "never fired" };
            format!("{rule} of {monitor} {what}: choose other prices")
        })
        .collect()
}
