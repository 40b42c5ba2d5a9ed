//! A random history, and the answers that a look at every row gives.
use std::collections::BTreeMap;
use std::time::Duration;

use pricemonitor_model::price::parse_decimal;
use pricemonitor_model::{Incarnation, MonitorId, Observation, Slot, Time};
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Claim, Database, HistoryRow, HistoryWriter, Result, Written};

pub const LIFE: Incarnation = Incarnation(u64::MAX - 7);
pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;
/// 2026-03-25, a few days before clocks change in Europe.
pub const START: Time = Time::from_seconds(1_774_396_800);

pub fn monitor(name: &str) -> MonitorId {
    MonitorId::new(None, name)
}

pub fn price(text: &str) -> pricemonitor_model::Decimal {
    parse_decimal(text).unwrap()
}

/// Where an engine is tested.
#[allow(async_fn_in_trait)]
pub trait Bed: Sized {
    /// A place that no other test uses, with nothing in it.
    async fn fresh() -> Self;

    /// Opens the database there. All see the same.
    async fn open(&self) -> Database;

    /// Does something to the tables behind the store's back.
    async fn sql(&self, statement: &'static str);

    /// As if so many milliseconds had passed by the database's own clock; nothing where there is none.
    async fn later(&self, millis: i64);
}

/// An open database and where it is.
pub struct Place<B> {
    pub bed: B,
    pub db: Database,
}

pub async fn place<B: Bed>() -> Place<B> {
    let bed = B::fresh().await;
    let db = bed.open().await;
    Place { bed, db }
}

/// A monitor's writer of one partition.
pub struct Writing {
    pub db: Database,
    pub writer: HistoryWriter,
    pub claim: Claim,
    pub next: u64,
}

pub async fn writing(db: &Database, name: &str) -> Writing {
    let id = monitor(name);
    let key = db.register(&id, Duration::from_secs(365 * 86_400), START).await.unwrap();
    let claim = db.claim(&id, "history", 0).await.unwrap();
    let next = claim.position.map_or(0, |(_, next)| next);
    Writing { db: db.clone(), writer: HistoryWriter::new(key), claim, next }
}

impl Writing {
    /// Writes the observations behind what is there, each at the next offset.
    pub async fn write(&mut self, observations: &[Observation<'_>]) -> Written {
        self.try_write(observations).await.unwrap()
    }

    /// The same, or nothing.
    pub async fn try_write(&mut self, observations: &[Observation<'_>]) -> Result<Written> {
        let rows = rows(observations, self.next);
        let next = self.next + observations.len() as u64;
        let written = self.db.write_history(&mut self.writer, &mut self.claim, LIFE, 0, &rows, next).await?;
        self.next = next;
        Ok(written)
    }
}

pub fn rows<'o>(observations: &'o [Observation<'o>], from: u64) -> Vec<HistoryRow<'o>> {
    let row = |(at, observation): (usize, &'o Observation<'o>)| HistoryRow {
        offset: from + at as u64,
        log_time: observation.observed_at,
        observation,
    };
    observations.iter().enumerate().map(row).collect()
}

/// SplitMix64: small, and the same everywhere.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Quotes of a few events, and with `schedule` the slots of two areas, revised now and then; some late.
pub fn observations(rng: &mut Rng, count: usize, schedule: bool) -> Vec<Observation<'static>> {
    let mut now = START;
    (0..count)
        .map(|_| {
            now = now.plus(rng.below(20 * 60_000) as i64);
            let late = if rng.one_in(9) { -(rng.below(3 * HOUR as u64) as i64) } else { 0 };
            let at = now.plus(late);
            // Few different prices, so that some stay the same; some are negative.
            let cents = rng.below(40) as i64 * 25 - 250;
            let amount = pricemonitor_model::Decimal::new(cents, 2);
            if schedule && rng.one_in(2) {
                let area = ["FI", "SE3"][rng.below(2) as usize];
                let start = START.plus(rng.below(4 * 96) as i64 * 900_000);
                let mut o = Observation::new("spot", area, amount, "EUR", at);
                o.labels.set("area", area);
                o.unit = Some("c/kWh".into());
                o.slot = Some(Slot { start, end: start.plus(900_000) });
                o
            } else {
                let (event, section) = (rng.below(3), rng.below(2));
                let item = format!("e{event}/{section}/{}", rng.below(3));
                let mut o = Observation::new("marketplace", item, amount, "USD", at);
                o.labels.set("event", format!("Band \"{event}\""));
                o.labels.set("section", ["A", "B"][section as usize]);
                o
            }
        })
        .collect()
}

/// A row as a look at everything sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub monitor: String,
    pub o: Observation<'static>,
    pub at: Time,
    pub changed: bool,
    pub current: bool,
}

/// Judges every row by the whole history, in the order of arrival.
pub fn judge(monitor: &str, observations: &[Observation<'static>]) -> Vec<Seen> {
    let mut last: BTreeMap<(String, String, Option<Time>), usize> = BTreeMap::new();
    let mut seen: Vec<Seen> = Vec::new();
    for o in observations {
        let slot = o.slot.map(|slot| slot.start);
        let at = slot.unwrap_or(o.observed_at);
        let key = (format!("{}/{}", o.source, o.item), o.unit_or_currency().to_owned(), slot);
        let before = last.get(&key).map(|before| seen[*before].o.clone());
        let late = before.as_ref().is_some_and(|before| o.observed_at < before.observed_at);
        let changed = !late && before.is_some_and(|before| before.price != o.price);
        if !late && let Some(before) = last.insert(key, seen.len()) {
            seen[before].current = slot.is_none();
        }
        let current = slot.is_none() || !late;
        seen.push(Seen { monitor: monitor.to_owned(), o: o.clone(), at, changed, current });
    }
    seen
}

pub fn event(o: &Observation<'_>) -> String {
    o.labels.get("event").or(o.labels.get("area")).unwrap_or_default().to_owned()
}

pub fn passes(filter: &Filter, seen: &Seen) -> bool {
    filter.monitor.as_ref().is_none_or(|want| *want == seen.monitor)
        && filter.event.as_ref().is_none_or(|want| *want == event(&seen.o))
        && filter.section.as_ref().is_none_or(|want| want == seen.o.labels.get("section").unwrap_or(""))
        && filter.from.is_none_or(|from| seen.at >= from)
        && filter.to.is_none_or(|to| seen.at < to)
}

pub fn filter(rng: &mut Rng) -> Filter {
    let mut filter = Filter::default();
    if rng.one_in(2) {
        filter.monitor = Some(format!("default.m{}", rng.below(3)));
    }
    if rng.one_in(3) {
        filter.event = Some(["Band \"0\"", "Band \"1\"", "FI", "nobody"][rng.below(4) as usize].to_owned());
    }
    if rng.one_in(4) {
        filter.section = Some("A".to_owned());
    }
    if rng.one_in(2) {
        let round = if rng.one_in(3) { HOUR } else { 1 };
        filter.from = Some(START.plus(rng.below(3 * DAY as u64) as i64 / round * round));
    }
    if rng.one_in(2) {
        filter.to = Some(filter.from.unwrap_or(START).plus(rng.below(2 * DAY as u64) as i64));
    }
    filter
}

pub fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}
