//! Alerts on their way to people.

use pricemonitor_model::{Alert, AlertId, Decimal, Millis, Time};
use serde::Serialize;

/// Longest that a delivery waits for its next attempt: the longest pause that a channel may ask for
/// (one hour), with room for a clock that is set back a little. What is further ahead was written by
/// a clock that was wrong, and must not wait for that time to come.
pub(crate) const LONGEST_WAIT: Millis = 61 * 60 * 1_000;

/// An alert that a channel has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// By which the database knows it (`seq` of `price_drop_alerts`); not used twice, unless the database is put back to
    /// an earlier state.
    pub number: i64,
    /// The alert.
    pub alert: Alert<'static>,
    /// Attempts so far.
    pub attempts: u32,
    /// When it came into the outbox.
    pub accepted_at: Time,
    /// Whether an earlier attempt may have arrived: it was sent and no answer came, or the process
    /// ended between sending and writing down. The next attempt may repeat it.
    pub maybe_sent: bool,
}

/// What a channel has to tell now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// To be sent, in the order of acceptance.
    pub pending: Vec<Pending>,
    /// To be finished as refused: what is stored of them cannot be read, so nobody can be told.
    pub unreadable: Vec<Unreadable>,
}

/// A stored alert that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// By which the database knows it.
    pub number: i64,
    /// Its id.
    pub id: AlertId,
    /// What is wrong, for people.
    pub reason: String,
}

/// How a delivery ends other than by arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// Too old when its turn came.
    Stale,
    /// The channel does not take it.
    Refused,
    /// The channel does not exist any more.
    Gone,
}

impl DeliveryEnd {
    /// The state's name in the database, the API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryEnd::Stale => "stale",
            DeliveryEnd::Refused => "refused",
            DeliveryEnd::Gone => "gone",
        }
    }
}

/// How much waits for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCount {
    /// Name of the channel.
    pub channel: String,
    /// Alerts that still have to be told.
    pub alerts: u64,
    /// When the one that came first into the outbox did so.
    pub oldest: Time,
}

/// What moved: a price down or up, or a level without a percentage.
pub(crate) fn kind(alert: &Alert<'_>) -> &'static str {
    match alert.percent {
        Some(percent) if percent < Decimal::ZERO => "drop",
        Some(percent) if percent > Decimal::ZERO => "rise",
        _ => "level",
    }
}

/// The name of an enum's member, as it is stored.
pub(crate) fn named(member: impl Serialize) -> String {
    match serde_json::to_value(member) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
