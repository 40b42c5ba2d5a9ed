//! Raw topic, processed topic, history and CSV file against what the sources showed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pricemonitor_model::Decimal;
use pricemonitor_testkit::feed::HourPrice;
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::topics::Taken;
use pricemonitor_testkit::{feed, read};
use serde_json::Value;

use crate::common::pricemonitor;
use crate::ground::{CSV, Ground, MARKET, SPOT, markets};
use crate::ledger::Ledger;
use crate::truth;

/// Partition and offset of a raw record.
pub type Place = (u32, u64);
/// First instant of a slot, or of several side by side, and the first one after.
pub type Span = (String, String);

/// Fewer revisions of hours prove little.
const REVISIONS: usize = 30;

/// An observation of the raw topic.
#[derive(Clone, Debug)]
pub struct Raw {
    pub place: Place,
    pub time: i64,
    pub source: String,
    pub item: String,
    pub price: Decimal,
    /// Of schedules.
    pub slot: Option<Span>,
}

/// Series with their observations in the order of the log.
pub type Series = BTreeMap<(String, String), Vec<Raw>>;

/// The committed observations of a monitor, in the order of partition and offset.
pub fn observations(ground: &Ground, monitor: &str) -> Vec<Raw> {
    let raw = ground.topic(&format!("{monitor}.raw_prices"));
    raw.iter()
        .map(|taken| (taken, value(taken)))
        .filter(|(_, value)| value["kind"] == "observation")
        .map(|(taken, value)| Raw {
            place: (taken.partition, taken.offset),
            time: taken.time,
            source: text(&value, "source"),
            item: text(&value, "item"),
            price: decimal(&value["price"]).unwrap(),
            slot: slot(&value),
        })
        .collect()
}

/// The same by series.
pub fn series(observations: &[Raw]) -> Series {
    let mut series = Series::new();
    for raw in observations {
        series.entry((raw.source.clone(), raw.item.clone())).or_default().push(raw.clone());
    }
    series
}

pub fn value(taken: &Taken) -> Value {
    serde_json::from_str(&taken.value).unwrap_or_else(|error| panic!("{error}: {taken:?}"))
}

pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

pub fn decimal(value: &Value) -> Option<Decimal> {
    value.as_str().map(|text| text.parse().unwrap())
}

pub fn slot(value: &Value) -> Option<Span> {
    let slot = value.get("slot").filter(|slot| slot.is_object())?;
    Some((text(slot, "start"), text(slot, "end")))
}

/// Where the record stands that an event or alert came from.
pub fn place(value: &Value) -> Place {
    let number = |name| value["coordinates"][name].as_u64().unwrap();
    (u32::try_from(number("partition")).unwrap(), number("offset"))
}

/// The market: many series on many partitions.
pub fn market(ground: &Ground, ledger: &mut Ledger) {
    let raw = observations(ground, MARKET);
    let steps = steps(ground);
    let text = std::fs::read_to_string(ground.place.at("market.yaml")).unwrap();
    let monitor = pricemonitor_config::load(&text, "market.yaml").unwrap().remove(0);
    let (mut want, mut got) = (Vec::new(), Vec::new());
    for settings in monitor.sources.iter().filter(|settings| markets().contains(&settings.name)) {
        let steps = steps.get(&settings.name).copied().unwrap_or_default();
        println!("{}: {steps} steps", settings.name);
        let shown = truth::shown(settings, steps);
        want.extend(numbered(shown.into_iter().map(|(item, price)| ((settings.name.clone(), item), price))));
    }
    // The place of a price within its series: lost, doubled and out of order all show.
    got.extend(numbered(raw.iter().map(|raw| ((raw.source.clone(), raw.item.clone()), raw.price))));
    ledger.compare("observations", want, got);
    one_partition_each(&raw, ledger);
    processed(ground, MARKET, &raw, ledger);
    history(ground, MARKET, &raw, ledger);
}

/// Every price with its series and its number in there.
fn numbered(
    prices: impl Iterator<Item = ((String, String), Decimal)>,
) -> Vec<((String, String), usize, Decimal)> {
    let mut numbers: BTreeMap<(String, String), usize> = BTreeMap::new();
    prices
        .map(|(series, price)| {
            let number = numbers.entry(series.clone()).or_default();
            *number += 1;
            (series, *number, price)
        })
        .collect()
}

/// How many steps each source has told, as its last committed checkpoint says.
fn steps(ground: &Ground) -> BTreeMap<String, u64> {
    let checkpoints = ground.topic(&format!("{MARKET}.checkpoints"));
    let mut steps = BTreeMap::new();
    for taken in checkpoints {
        let Some((_, inner)) = taken.value.split_once('\n') else { continue };
        let inner: Value = serde_json::from_str(inner).unwrap();
        steps.insert(taken.key.clone().unwrap(), inner["step"].as_u64().unwrap());
    }
    steps
}

fn one_partition_each(raw: &[Raw], ledger: &mut Ledger) {
    let mut partitions: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for raw in raw {
        let first = *partitions.entry((&raw.source, &raw.item)).or_insert(raw.place.0);
        if first != raw.place.0 {
            ledger.failures.push(format!("{} of {} is on two partitions", raw.item, raw.source));
        }
    }
}

/// One event for every observation, with the price before; in the order of the observations for each key.
fn processed(ground: &Ground, monitor: &str, raw: &[Raw], ledger: &mut Ledger) {
    let mut before: BTreeMap<(&str, &str, Option<&Span>), Decimal> = BTreeMap::new();
    let want = raw
        .iter()
        .map(|raw| {
            // Each slot of a schedule has its own price before.
            let previous = before.insert((&raw.source, &raw.item, raw.slot.as_ref()), raw.price);
            (raw.place, raw.item.clone(), raw.price, previous)
        })
        .collect();
    let topic = format!("{monitor}.processed_prices");
    let events = ground.topic(&topic);
    in_order(&topic, events, ledger);
    let got = events
        .iter()
        .map(value)
        .map(|event| {
            let price = decimal(&event["price"]).unwrap();
            (place(&event), text(&event, "item"), price, decimal(&event["previous"]))
        })
        .collect();
    ledger.compare(&format!("processed events, {monitor}"), want, got);
}

/// For each key, what came of an observation stands before what came of a later one.
pub fn in_order(topic: &str, records: &[Taken], ledger: &mut Ledger) {
    let mut last: BTreeMap<&str, Place> = BTreeMap::new();
    for taken in records {
        let (key, place) = (taken.key.as_deref().unwrap(), place(&value(taken)));
        if let Some(earlier) = last.insert(key, place)
            && earlier >= place
        {
            ledger.failures.push(format!("{topic}: {key} of {place:?} stands behind {earlier:?}"));
        }
    }
}

/// One row for every observation, at its place.
fn history(ground: &Ground, monitor: &str, raw: &[Raw], ledger: &mut Ledger) {
    let query = format!(
        "SELECT o.partition, h.\"offset\", s.source, s.item, h.price
         FROM price_history h JOIN series s ON s.id = h.series JOIN sink_offsets o ON o.id = h.stream
         JOIN monitors m ON m.id = o.monitor WHERE m.monitor = '{monitor}'"
    );
    let got = ground
        .rows(&query)
        .iter()
        .map(|row| {
            let place: Place = (row[0].parse().unwrap(), row[1].parse().unwrap());
            (place, row[2].clone(), row[3].clone(), row[4].parse::<Decimal>().unwrap())
        })
        .collect();
    let want = raw.iter().map(|raw| (raw.place, raw.source.clone(), raw.item.clone(), raw.price)).collect();
    ledger.compare(&format!("rows of price_history, {monitor}"), want, got);
}

/// Electricity: one partition, hours that are revised, and a CSV file.
pub fn spot(ground: &Ground, hours: &[HourPrice], ledger: &mut Ledger) {
    let raw = observations(ground, SPOT);
    // The place of a price among those of its hour: nobody says which hours are looked at together.
    let of = |start: &str| (SPOT.to_owned(), start.to_owned());
    let want = numbered(hours.iter().map(|hour| (of(&hour.start), hour.price.parse::<Decimal>().unwrap())));
    let got = numbered(raw.iter().map(|raw| (of(start(raw)), raw.price)));
    let revisions = want.iter().filter(|(_, number, _)| *number > 1).count();
    println!("{SPOT}: {} hours, {revisions} revisions", want.len() - revisions);
    if revisions < REVISIONS {
        ledger.failures.push(format!("only {revisions} revisions of hours, at least {REVISIONS} are needed"));
    }
    ledger.compare("prices of hours", want, got);
    processed(ground, SPOT, &raw, ledger);
    history(ground, SPOT, &raw, ledger);
    csv(ground, &raw, hours, ledger);
}

/// The start of an observation's slot.
fn start(raw: &Raw) -> &str {
    &raw.slot.as_ref().unwrap().0
}

/// The CSV file, in the order of the log, byte by byte.
fn csv(ground: &Ground, raw: &[Raw], hours: &[HourPrice], ledger: &mut Ledger) {
    let mut written: BTreeMap<&str, VecDeque<&HourPrice>> = BTreeMap::new();
    hours.iter().for_each(|hour| written.entry(&hour.start).or_default().push_back(hour));
    let line = |raw: &Raw| {
        let hour = written.get_mut(start(raw))?.pop_front()?;
        let received = feed::instant(raw.time);
        Some(format!("{},{},{},{},chaos", &received[..19], hour.price, hour.start, hour.end))
    };
    let want: Vec<String> = raw.iter().filter_map(line).collect();
    let file = ground.place.at(CSV);
    if let Err(error) = read::csv(&file) {
        ledger.failures.push(format!("{error:#}"));
    }
    let csv = std::fs::read_to_string(&file).unwrap_or_default();
    let got: Vec<String> = csv.lines().skip(1).map(str::to_owned).collect();
    if want != got {
        let at =
            want.iter().zip(&got).position(|(want, got)| want != got).unwrap_or(want.len().min(got.len()));
        ledger.failures.push(format!(
            "the CSV file parts from the log at line {at}: {:?} for {:?}",
            got.get(at),
            want.get(at)
        ));
    }
    ledger.compare("lines of the CSV file", want, got);
}

/// What an operator of the system would ask after all that: `pricemonitor audit` finds both monitors clean.
pub fn audits(ground: &Ground, ledger: &mut Ledger) {
    for monitor in ["market", "spot"] {
        let mut audit = pricemonitor();
        audit.args(["audit", "--data-dir"]).arg(ground.place.at("data"));
        audit.arg("-f").arg(ground.place.at(format!("{monitor}.yaml"))).envs(ground.variables(false));
        let audited = Process::start(&mut audit).unwrap().wait(Duration::from_secs(120)).unwrap();
        if !audited.output.stdout.starts_with(&format!("{monitor}: clean\n")) {
            ledger.failures.push(format!("the audit of {monitor}: {}", audited.output.all()));
        }
    }
}
