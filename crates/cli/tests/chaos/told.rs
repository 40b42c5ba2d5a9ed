//! Alerts and messages against what the rules make of the observations.

use std::collections::{BTreeMap, BTreeSet};

use pricemonitor_model::Decimal;
use pricemonitor_testkit::oracle::{self, Rule};
use serde_json::Value;

use crate::ground::{Ground, MARKET};
use crate::hook::Manner;
use crate::judge::{self, Place};
use crate::ledger::Ledger;

/// As the manifest says them, and whether the receiver is told.
const RULES: [(&str, Rule, bool); 4] = [
    ("any-drop", Rule::Drop(0), false),
    ("ten-percent", Rule::Drop(10), false),
    ("slump", Rule::DropSinceTheLastMove(20), true),
    ("cheap", Rule::Below(60, 75), true),
];

/// One alert: place of the observation, rule, whether it is over, item, price, what it was compared with.
type Alert = (Place, String, bool, String, Decimal, Option<Decimal>);

fn expected(ground: &Ground) -> Vec<Alert> {
    let mut expected = Vec::new();
    for ((_, item), raws) in judge::series(&judge::observations(ground, MARKET)) {
        let prices: Vec<Decimal> = raws.iter().map(|raw| raw.price).collect();
        for (name, rule, _) in RULES {
            for hit in oracle::hits(rule, &prices) {
                let raw = &raws[hit.at];
                let reference = Some(hit.reference);
                expected.push((raw.place, name.to_owned(), hit.resolved, item.clone(), raw.price, reference));
            }
        }
    }
    expected
}

fn alert(value: &Value) -> Alert {
    (
        judge::place(value),
        judge::text(value, "rule"),
        value["transition"] == "resolved",
        judge::text(value, "item"),
        judge::decimal(&value["price"]).unwrap(),
        judge::decimal(&value["reference"]),
    )
}

/// The topic, the table, the outbox and the receiver.
pub fn alerts(ground: &Ground, ledger: &mut Ledger) {
    let want = expected(ground);
    let topic = ground.topic(&format!("{MARKET}.price_alerts"));
    let values: Vec<Value> = topic.iter().map(judge::value).collect();
    ledger.compare("alerts on the topic", want.clone(), values.iter().map(alert).collect());
    let ids: Vec<String> = values.iter().map(|value| judge::text(value, "id")).collect();
    let different: BTreeSet<&String> = ids.iter().collect();
    if different.len() != ids.len() {
        ledger.failures.push(format!("{} alerts have {} ids", ids.len(), different.len()));
    }

    let query = format!(
        "SELECT a.alert, a.id FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor WHERE m.monitor = '{MARKET}'"
    );
    let rows = ground.rows(&query);
    let table = rows.iter().map(|row| alert(&serde_json::from_str(&row[0]).unwrap())).collect();
    ledger.compare("alerts in price_drop_alerts", want, table);
    ledger.compare("ids of alerts in the table", ids, rows.iter().map(|row| row[1].clone()).collect());

    let told = |value: &&Value| {
        let rule = judge::text(value, "rule");
        value["transition"] == "firing" && RULES.iter().any(|(name, _, told)| *told && *name == rule)
    };
    let wanted: Vec<String> = values.iter().filter(told).map(|value| judge::text(value, "id")).collect();
    if wanted.len() < 50 {
        ledger.failures.push(format!("only {} messages were to be sent: choose other rules", wanted.len()));
    }
    messages(ground, wanted, ledger);
}

/// What the receiver did with the attempts at one message.
#[derive(Default)]
struct Attempts {
    /// Bodies that it took.
    taken: Vec<String>,
    /// Bodies that it refused for good.
    refused: Vec<String>,
}

impl Attempts {
    /// How the outbox must say that it ended. Where an attempt whose end nobody wrote down went one way and its repeat
    /// the other, either is right.
    fn state(&self, found: Option<&String>) -> String {
        match (self.taken.is_empty(), self.refused.is_empty()) {
            (true, false) => "refused".to_owned(),
            (false, false) => {
                found.filter(|found| *found == "refused").cloned().unwrap_or_else(|| "ok".to_owned())
            }
            _ => "ok".to_owned(),
        }
    }
}

/// Every message has arrived or was refused for good; repeats are few and equal.
fn messages(ground: &Ground, wanted: Vec<String>, ledger: &mut Ledger) {
    let mut arrived: BTreeMap<String, Attempts> = BTreeMap::new();
    let (mut ambiguous, mut manners) = (0, Vec::new());
    for request in ground.hook.received() {
        let manner = Manner::of(request.number, ground.phase);
        manners.push(manner);
        ambiguous += usize::from(manner.is_ambiguous());
        if manner.has_it() {
            arrived.entry(request.id.unwrap()).or_default().taken.push(request.body);
        } else if manner == Manner::Refuses {
            arrived.entry(request.id.unwrap()).or_default().refused.push(request.body);
        }
    }
    for never in Manner::ALL.iter().filter(|manner| !manners.contains(manner)) {
        ledger.failures.push(format!("the receiver never did this: {never:?}"));
    }
    let query = "SELECT a.id, d.state FROM alert_deliveries d JOIN price_drop_alerts a ON a.seq = d.alert";
    let rows = ground.rows(query);
    let states: BTreeMap<&String, &String> = rows.iter().map(|row| (&row[0], &row[1])).collect();
    let none = Attempts::default();
    let ends = wanted
        .iter()
        .map(|id| vec![id.clone(), arrived.get(id).unwrap_or(&none).state(states.get(id).copied())]);
    ledger.compare("deliveries", ends.collect(), rows.clone());
    ledger.compare("messages received or refused", wanted, arrived.keys().cloned().collect());
    let arrived: BTreeMap<String, Vec<String>> =
        arrived.into_iter().map(|(id, attempts)| (id, [attempts.taken, attempts.refused].concat())).collect();
    for (id, bodies) in &arrived {
        if bodies.iter().any(|body| *body != bodies[0]) {
            ledger.failures.push(format!("the message {id} was repeated with another body"));
        }
    }
    let repeats = arrived.values().map(|bodies| bodies.len() - 1).sum();
    // A sender that is paused or cut off from its outbox is, for the outbox, one that has crashed.
    let crashes: usize = [
        "of these alert workers",
        "paused beyond the session",
        "paused and replaced",
        "database killed",
        "network: cut",
        "network: half-open",
        "network: refused",
    ]
    .iter()
    .map(|kind| ledger.count(kind))
    .sum();
    let allowed = crashes + ambiguous;
    println!("{repeats} repeats; {ambiguous} ambiguous attempts, {crashes} crashes");
    ledger.repeats = Some((repeats, allowed));
    if repeats > allowed {
        ledger.failures.push(format!("{repeats} repeated messages, {allowed} are allowed"));
    }
}
