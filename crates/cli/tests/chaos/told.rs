//! Alerts and messages against those that are due.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::due::{self, Alert};
use crate::ground::{Ground, MARKET, SPOT};
use crate::hook::{self, Manner};
use crate::judge;
use crate::ledger::Ledger;

/// The topics, the table, the outbox and the receiver.
pub fn alerts(ground: &Ground, ledger: &mut Ledger) {
    for monitor in [MARKET, SPOT] {
        let ids = stored(ground, monitor, ledger);
        messages(ground, monitor, ids, ledger);
    }
    let received = ground.hook.received();
    let manners: Vec<Manner> =
        received.iter().map(|request| Manner::of(request.number, ground.phase)).collect();
    for never in Manner::ALL.iter().filter(|manner| !manners.contains(manner)) {
        ledger.failures.push(format!("the receiver never did this: {never:?}"));
    }
}

/// The alerts of a monitor on its topic and in the table. The ids of those that the receiver is to be told of.
fn stored(ground: &Ground, monitor: &str, ledger: &mut Ledger) -> Vec<String> {
    let want = due::alerts(monitor, &judge::observations(ground, monitor));
    ledger.failures.extend(due::missing(monitor, &want));
    let topic = format!("{monitor}.price_alerts");
    judge::in_order(&topic, ground.topic(&topic), ledger);
    let values: Vec<Value> = ground.topic(&topic).iter().map(judge::value).collect();
    let read = || values.iter().map(Alert::read);
    ledger.compare(&format!("alerts on the topic, {monitor}"), want.clone(), read().collect());
    let ids: Vec<String> = values.iter().map(|value| judge::text(value, "id")).collect();
    let different: BTreeSet<&String> = ids.iter().collect();
    if different.len() != ids.len() {
        ledger.failures.push(format!("{} alerts of {monitor} have {} ids", ids.len(), different.len()));
    }

    let query = format!(
        "SELECT a.alert, a.id FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor WHERE m.monitor = '{monitor}'"
    );
    let rows = ground.rows(&query);
    let table = rows.iter().map(|row| Alert::read(&serde_json::from_str(&row[0]).unwrap())).collect();
    ledger.compare(&format!("alerts in price_drop_alerts, {monitor}"), want, table);
    let in_table = rows.iter().map(|row| row[1].clone()).collect();
    ledger.compare(&format!("ids of alerts in the table, {monitor}"), ids.clone(), in_table);

    let told = read().zip(ids).filter(|(alert, _)| alert.is_told());
    let told: Vec<String> = told.map(|(_, id)| id).collect();
    if told.len() < 50 {
        let few = format!("only {} messages of {monitor} were to be sent: choose other rules", told.len());
        ledger.failures.push(few);
    }
    told
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

/// Every message of a monitor has arrived or was refused for good; repeats are few and equal.
fn messages(ground: &Ground, monitor: &str, wanted: Vec<String>, ledger: &mut Ledger) {
    let mut arrived: BTreeMap<String, Attempts> = BTreeMap::new();
    let (mut ambiguous, path) = (0, hook::path(monitor));
    for request in ground.hook.received().into_iter().filter(|request| request.path == path) {
        let manner = Manner::of(request.number, ground.phase);
        ambiguous += usize::from(manner.is_ambiguous());
        if manner.has_it() {
            arrived.entry(request.id.unwrap()).or_default().taken.push(request.body);
        } else if manner == Manner::Refuses {
            arrived.entry(request.id.unwrap()).or_default().refused.push(request.body);
        }
    }
    let query = format!(
        "SELECT a.id, d.state FROM alert_deliveries d JOIN price_drop_alerts a ON a.seq = d.alert
         JOIN monitors m ON m.id = a.monitor WHERE m.monitor = '{monitor}'"
    );
    let rows = ground.rows(&query);
    let states: BTreeMap<&String, &String> = rows.iter().map(|row| (&row[0], &row[1])).collect();
    let none = Attempts::default();
    let ends = wanted
        .iter()
        .map(|id| vec![id.clone(), arrived.get(id).unwrap_or(&none).state(states.get(id).copied())]);
    ledger.compare(&format!("deliveries, {monitor}"), ends.collect(), rows.clone());
    let received = arrived.keys().cloned().collect();
    ledger.compare(&format!("messages received or refused, {monitor}"), wanted, received);
    let arrived: BTreeMap<String, Vec<String>> =
        arrived.into_iter().map(|(id, attempts)| (id, [attempts.taken, attempts.refused].concat())).collect();
    for (id, bodies) in &arrived {
        if bodies.iter().any(|body| *body != bodies[0]) {
            ledger.failures.push(format!("the message {id} was repeated with another body"));
        }
    }
    let repeats: usize = arrived.values().map(|bodies| bodies.len() - 1).sum();
    // A channel sends one message after the other, so that a crash repeats at most one of each monitor.
    let crashes = crashes(ledger);
    let allowed = crashes + ambiguous;
    println!("{monitor}: {repeats} repeats; {ambiguous} ambiguous attempts, {crashes} crashes");
    if repeats > allowed {
        ledger.failures.push(format!("{repeats} repeated messages of {monitor}, {allowed} are allowed"));
    }
    ledger.repeats.push((monitor.to_owned(), repeats, allowed));
}

/// How often a sender may have lost what it knew. One that is paused or cut off from its outbox is, for the outbox, one
/// that has crashed.
fn crashes(ledger: &Ledger) -> usize {
    let kinds = [
        "of these alert workers",
        "paused beyond the session",
        "paused and replaced",
        "database killed",
        "network: cut",
        "network: half-open",
        "network: refused",
    ];
    kinds.iter().map(|kind| ledger.count(kind)).sum()
}
