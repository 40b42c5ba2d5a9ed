//! What the tests of detection share: rules and prices as short texts.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, HashMap};

use pricemonitor_detection::{Detector, ItemState, TickEffect};
use pricemonitor_model::persist::Persist;
use pricemonitor_model::price::parse_decimal;
use pricemonitor_model::{
    Alert, Baseline, Condition, Coordinates, Decimal, Incarnation, LevelAt, Matcher, MonitorId, Movement,
    Observation, Outcome, PriceEvent, PriceKind, Rearm, Rule, Side, Slot, Threshold, Tick, Time, Transition,
};

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// 2026-01-04T00:00:00Z.
pub const START: Time = Time::from_seconds(1_767_484_800);

pub fn d(text: &str) -> Decimal {
    parse_decimal(text).unwrap_or_else(|error| panic!("{error}"))
}

/// `90`, `1h`, `2d` in milliseconds; minutes without a unit.
pub fn span(text: &str) -> i64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "" | "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        other => panic!("unit {other}"),
    };
    digits.parse::<i64>().unwrap() * unit
}

/// `{a: b, c: d}`.
fn members(text: &str) -> BTreeMap<&str, &str> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("a flow mapping");
    let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once(':').map(|(k, v)| (k.trim(), v.trim())).unwrap()).collect()
}

/// A rule as a manifest spells it, one member a line or separated by `;`.
pub fn rule(text: &str) -> Rule {
    let mut rule = Rule { name: "rule".into(), ..Rule::any_drop() };
    for line in text.split(['\n', ';']).map(|line| line.trim().trim_start_matches("- ").trim()) {
        let line = line.split(" #").next().unwrap().trim();
        let Some((key, value)) = line.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else {
            assert!(line.is_empty(), "{line}");
            continue;
        };
        match key {
            "name" => rule.name = value.into(),
            "drop" => rule.condition = movement(Movement::Drop, value),
            "rise" => rule.condition = movement(Movement::Rise, value),
            "change" => rule.condition = movement(Movement::Change, value),
            "below" => rule.condition = level(Side::Below, value),
            "above" => rule.condition = level(Side::Above, value),
            "price" => rule.price = if value == "base" { PriceKind::Base } else { PriceKind::Total },
            "confirm" => rule.confirm = value.parse().unwrap(),
            "cooldown" => rule.cooldown = Some(span(value)),
            "rearm" => {
                rule.rearm = match value {
                    "whenCleared" => Rearm::WhenCleared,
                    "never" => Rearm::Never,
                    after => Rearm::After(span(after)),
                }
            }
            "match" => {
                let matcher = |(name, glob): (&str, &str)| Matcher {
                    name: name.to_owned(),
                    glob: glob.trim_matches('"').to_owned(),
                };
                rule.matchers = members(value).into_iter().map(matcher).collect();
            }
            other => panic!("{other}"),
        }
    }
    rule
}

fn movement(movement: Movement, text: &str) -> Condition {
    let members = members(text);
    let threshold = match (members.get("percent"), members.get("absolute")) {
        (Some(percent), None) => Threshold::Percent(d(percent)),
        (None, Some(by)) => Threshold::Absolute(d(by)),
        (None, None) => Threshold::Any,
        both => panic!("{both:?}"),
    };
    let baseline = match members.get("baseline").copied() {
        None | Some("previous") => Baseline::Previous,
        Some("lastNotified") => Baseline::LastNotified,
        Some("first") => Baseline::First,
        other => panic!("{other:?}"),
    };
    Condition::Move { movement, threshold, baseline }
}

fn level(side: Side, text: &str) -> Condition {
    let members = members(text);
    let level = d(members["value"]);
    let at = match members.get("at").copied() {
        None | Some("published") => LevelAt::Published,
        Some("starts") => LevelAt::Starts,
        other => panic!("{other:?}"),
    };
    Condition::Level { side, level, clear: members.get("clear").map_or(level, |clear| d(clear)), at }
}

/// A quote of the item `i`, so many minutes after [`START`].
pub fn quote(price: &str, minutes: i64) -> Observation<'static> {
    Observation::new("s", "i", d(price), "USD", START.plus(minutes * MINUTE))
}

/// The price of the hour that begins `hour` hours after [`START`], seen `minutes` after it.
pub fn slot(hour: i64, price: &str, minutes: i64) -> Observation<'static> {
    let start = START.plus(hour * HOUR);
    let mut o = quote(price, minutes);
    o.currency = "EUR".into();
    o.unit = Some("c/kWh".into());
    o.slot = Some(Slot { start, end: start.plus(HOUR) });
    o
}

pub fn detector(rules: Vec<Rule>) -> Detector {
    Detector::new(MonitorId::new(None, "test"), rules)
}

pub fn at(offset: u64) -> Coordinates {
    Coordinates { incarnation: Incarnation(7), partition: 3, offset }
}

pub type Event = PriceEvent<'static>;
pub type Number = Decimal;
pub type Told = Vec<Alert<'static>>;

/// A detector and the state that a processor would keep.
pub struct Tape {
    pub detector: Detector,
    pub states: HashMap<Vec<u8>, ItemState>,
    pub offset: u64,
    /// Whether every state is stored and read back after every record.
    pub reload: bool,
}

impl Tape {
    pub fn new(rules: Vec<Rule>) -> Tape {
        Tape { detector: detector(rules), states: HashMap::new(), offset: 0, reload: false }
    }

    pub fn see(&mut self, o: Observation<'static>) -> (Event, Told) {
        let mut key = Vec::new();
        Detector::key(&o, &mut key);
        let state = self.states.entry(key).or_default();
        let mut alerts = Vec::new();
        let event = self.detector.observe(state, o, at(self.offset), &mut alerts);
        self.offset += 1;
        if self.reload {
            *state = reloaded(state);
        }
        (event, alerts)
    }

    /// A tick of the source `s`, as the processor folds it.
    pub fn tick(&mut self, time: Time) -> Told {
        let tick = Tick { source: "s".into(), at: time, outcome: Outcome::Ok, complete: false };
        let mut alerts = Vec::new();
        let mut keys: Vec<Vec<u8>> = self.states.keys().cloned().collect();
        keys.sort();
        for key in keys {
            let mut tried = self.states[&key].clone();
            let due = self.detector.due(&tried, &tick);
            let effect = self.detector.tick(&mut tried, &key, &tick, at(self.offset), &mut alerts);
            assert!(due || effect == TickEffect::Unchanged, "an effect that was not due");
            match effect {
                TickEffect::Unchanged => {}
                TickEffect::Changed => {
                    self.states.insert(key, if self.reload { reloaded(&tried) } else { tried });
                }
                TickEffect::Expired => {
                    self.states.remove(&key);
                }
            }
        }
        self.offset += 1;
        alerts
    }

    pub fn suppressed(&self) -> u64 {
        self.states.values().map(ItemState::suppressed).sum()
    }
}

/// Stored and read back.
pub fn reloaded(state: &ItemState) -> ItemState {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    let back = ItemState::decode(&bytes).unwrap();
    assert_eq!(&back, state);
    let mut again = Vec::new();
    back.encode(&mut again);
    assert_eq!(again, bytes, "one state, one encoding");
    back
}

/// `100->84` for a change, `40<50` and `60>50` for a level, `~52` for a level that is clear.
pub fn short(rule: &Rule, alert: &Alert<'_>) -> String {
    let (price, reference) = (alert.price, alert.reference.unwrap());
    match (&rule.condition, alert.transition) {
        (Condition::Level { .. }, Transition::Resolved) => format!("~{price}"),
        (Condition::Move { .. }, _) => format!("{reference}->{price}"),
        (Condition::Level { side: Side::Below, .. }, _) => format!("{price}<{reference}"),
        (Condition::Level { side: Side::Above, .. }, _) => format!("{price}>{reference}"),
    }
}

/// What a rule tells of a series of prices, a minute apart (or `price@minute`), as
/// `place:alert` words.
pub fn told(rule_text: &str, prices: &str) -> String {
    let rule = rule(rule_text);
    let mut tape = Tape::new(vec![rule.clone()]);
    tape.reload = true;
    let mut words = Vec::new();
    let mut minute = -1;
    for (place, word) in prices.split_whitespace().enumerate() {
        let (price, at) = word.split_once('@').unwrap_or((word, ""));
        minute = if at.is_empty() { minute + 1 } else { at.parse().unwrap() };
        let (_, alerts) = tape.see(quote(price, minute));
        words.extend(alerts.iter().map(|alert| format!("{place}:{}", short(&rule, alert))));
    }
    words.join(" ")
}
