//! The questions the dashboard asks, and their answers.
//!
//! Prices in answers are `f64`: they are drawn, never compared or stored. What must be exact (the
//! price of an alert or of an exported row) is decimal text.
//!
//! The time of a price is the start of its slot for schedules, else the time it was seen. A slot that
//! was revised counts by its latest price; the revisions count as observations and as changes, and an
//! export has them all.

use pricemonitor_model::{Slot, Time};
use serde::{Deserialize, Serialize};

/// What a question is about. Absent members ask for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Id of a monitor.
    #[serde(default)]
    pub monitor: Option<String>,
    /// Value of the label `event` (or, for schedules, the area).
    #[serde(default)]
    pub event: Option<String>,
    /// Value of the label `section`.
    #[serde(default)]
    pub section: Option<String>,
    /// First instant (of the slot for schedules, else of the observation).
    #[serde(default)]
    pub from: Option<Time>,
    /// First instant after.
    #[serde(default)]
    pub to: Option<Time>,
}

/// What can be chosen in the filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facets {
    /// Monitors in the order of their ids.
    pub monitors: Vec<MonitorFacet>,
}

/// One monitor's filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorFacet {
    /// Id.
    pub monitor: String,
    /// Whether its prices have time slots (drawn as steps).
    pub schedule: bool,
    /// The units its prices have, the most frequent first.
    pub units: Vec<String>,
    /// Its events with their sections, in the order of their names.
    pub events: Vec<EventFacet>,
    /// Earliest and latest instant with a price.
    pub from: Option<Time>,
    /// Latest instant with a price (for schedules, the end of the last slot).
    pub to: Option<Time>,
}

/// One event's filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFacet {
    /// Value of the label `event`.
    pub event: String,
    /// Values of the label `section`.
    pub sections: Vec<String>,
}

/// The figures on top of the page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Unit of the prices below; the most frequent one where several are mixed.
    pub unit: String,
    /// Series (listings, or slots of a schedule) with a price in the range.
    pub listings: u64,
    /// Observations in the range.
    pub observations: u64,
    /// Average over the prices of the range: all of a listing, the latest of each slot.
    pub average: Option<f64>,
    /// Lowest.
    pub lowest: Option<f64>,
    /// Highest.
    pub highest: Option<f64>,
    /// Observations whose price differed from the one before in their series.
    pub changes: u64,
    /// Alerts in the range.
    pub alerts: u64,
    /// The latest observation's time.
    pub last_observed: Option<Time>,
}

/// One line of the history chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Stable id of the series.
    pub series: i64,
    /// Name for people: `event · section · item`, as much as tells it apart.
    pub name: String,
    /// Unit of its prices.
    pub unit: String,
    /// Whether to draw steps.
    pub schedule: bool,
    /// Points in the order of time.
    pub points: Vec<Point>,
}

/// One point of a line: a single price, or a bucket with its lowest and highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Start of the bucket or slot, or time of the observation.
    pub at: Time,
    /// The (average) price.
    pub price: f64,
    /// Lowest in the bucket.
    pub low: f64,
    /// Highest in the bucket.
    pub high: f64,
}

/// The answer for the history chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The lines, at most as many as asked for, those with the most recent observations first.
    pub lines: Vec<Line>,
    /// How many series matched in all.
    pub matched: u64,
    /// Width of a bucket in milliseconds; 0 when the points are single prices.
    pub bucket: i64,
}

/// One bar of the distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// Lowest price that falls into it.
    pub from: f64,
    /// First price above it (the last bar includes it).
    pub to: f64,
    /// How many prices fall into it.
    pub count: u64,
}

/// The average price of an hour of the day on a day of the week, in the asked time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HourCell {
    /// Day of the week, 1 (Monday) to 7.
    pub weekday: u8,
    /// Hour of the day, 0 to 23.
    pub hour: u8,
    /// Average price.
    pub average: f64,
    /// Prices it is the average of.
    pub count: u64,
}

/// One alert, as the table and the markers on the chart show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// Id of the alert.
    pub id: String,
    /// Id of the monitor.
    pub monitor: String,
    /// Name of the rule.
    pub rule: String,
    /// `firing` or `resolved`.
    pub transition: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// Id of the series, as in [`Line::series`].
    pub series: i64,
    /// Value of the label `event`.
    pub event: String,
    /// Value of the label `section`.
    pub section: String,
    /// Key of the item.
    pub item: String,
    /// The price that triggered it, exact.
    pub price: String,
    /// What it was compared with, exact.
    pub reference: Option<String>,
    /// The change in percent, one digit.
    pub percent: Option<String>,
    /// For levels `below` or `above`: then `reference` is the level, not a price before.
    pub side: Option<String>,
    /// Unit of the prices.
    pub unit: String,
    /// When the price was seen.
    pub observed_at: Time,
    /// The slot it is valid for.
    pub slot: Option<Slot>,
    /// Where a person can see the offer.
    pub url: Option<String>,
    /// One sentence for people.
    pub summary: String,
    /// Per channel: `pending`, `ok`, `stale`, `refused`, `gone`.
    pub deliveries: Vec<DeliveryState>,
}

/// What became of an alert on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// Name of the channel.
    pub channel: String,
    /// `pending`, `ok`, `stale`, `refused` or `gone`.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// The last attempt's reason, without secrets.
    pub reason: Option<String>,
    /// Whether there was an attempt of which nobody knows whether it arrived (no answer came, or the
    /// process ended in between): the alert may have arrived once more than `state` says.
    pub maybe_sent: bool,
}

/// One exported row, exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRow {
    /// Id of the monitor.
    pub monitor: String,
    /// Name of the source.
    pub source: String,
    /// Key of the item.
    pub item: String,
    /// Value of the label `event`.
    pub event: String,
    /// Value of the label `section`.
    pub section: String,
    /// Price, exact.
    pub price: String,
    /// Price before fees, exact.
    pub base: Option<String>,
    /// Unit of the prices.
    pub unit: String,
    /// When the price was seen.
    pub observed_at: Time,
    /// The slot it is valid for.
    pub slot: Option<Slot>,
}

/// A place in the stream of changes, to ask what is new since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Behind the newest price row.
    pub rows: i64,
    /// Behind the newest alert.
    pub alerts: i64,
}
