//! The watched file of electricity prices, with everything that real feeds and editors do to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{SOON, Setup, manifest};
use pricemonitor_testkit::feed::{HourPrice, document, hour};
use pricemonitor_testkit::place;
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::{read, wait};

const SPEC: &str = "
sources:
- {name: spot, interval: 100ms, file: {path: latest-prices.json, format: porssisahko}}
storage:
  csv: {path: out/electricity_prices.csv, source: electricity-price-monitor}
";
const STOP: Duration = Duration::from_secs(5);

struct Spot(Setup);

impl Spot {
    fn new() -> Spot {
        Spot(Setup::new(&manifest("electricity-price-monitor", SPEC)))
    }

    fn file(&self) -> PathBuf {
        self.0.place.at("latest-prices.json")
    }

    fn publish(&self, hours: &[HourPrice]) {
        place::replace(&self.file(), document(hours)).unwrap();
    }

    /// Price, start and end of every line of the CSV file; header and the other columns are checked.
    fn lines(&self) -> Vec<[String; 3]> {
        let file = self.0.data().join("out/electricity_prices.csv");
        let (header, lines) = read::csv(&file).unwrap();
        assert_eq!(header, ["received_timestamp", "price", "startDate", "endDate", "source"]);
        lines
            .into_iter()
            .map(|line| {
                let [received, price, start, end, source] = <[String; 5]>::try_from(line).unwrap();
                let shape: String =
                    received.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                assert_eq!(shape, "0000-00-00T00:00:00", "{received}");
                assert_eq!(source, "electricity-price-monitor");
                [price, start, end]
            })
            .collect()
    }

    /// Waits until history and CSV file both have this many entries, and no more.
    fn settle(&self, expected: usize) {
        self.0.wait_rows(expected as i64);
        let file = self.0.data().join("out/electricity_prices.csv");
        let lines = || fs::read_to_string(&file).map_or(0, |text| text.lines().count());
        wait::until("the lines of the CSV file", SOON, || lines() > expected).unwrap();
        assert_eq!(lines(), expected + 1);
    }

    fn stays(&self, expected: usize) {
        self.0.wait_polls("spot", 5);
        self.settle(expected);
    }

    fn failures(&self) -> f64 {
        self.0.metric("pricemonitor_source_polls_total", &["source=\"spot\"", "outcome=\"failed\""])
    }

    fn end(&self, process: Process) -> String {
        let finished = process.terminate(STOP).unwrap();
        assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
        finished.output.all()
    }
}

/// The hour that has begun, so that all slots lie ahead.
fn origin() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    now - now % 3_600_000
}

fn hours(range: std::ops::Range<i64>) -> Vec<HourPrice> {
    let origin = origin();
    range.map(|n| hour(origin, n)).collect()
}

fn written(hours: &[HourPrice]) -> Vec<[String; 3]> {
    hours.iter().map(|hour| [hour.price.clone(), hour.start.clone(), hour.end.clone()]).collect()
}

#[test]
fn a_missing_file_is_waited_for_and_then_every_slot_is_one_line_as_the_source_wrote_it() {
    let spot = Spot::new();
    let mut process = spot.0.up();
    spot.0.wait_polls("spot", 3);
    assert_eq!(spot.0.rows(), 0);
    assert!(spot.failures() > 0.0, "a missing file is no failure in the metrics");
    process.wait_for("latest-prices.json", SOON).unwrap();
    let today = hours(0..24);
    spot.publish(&today);
    spot.settle(24);
    assert_eq!(spot.lines(), written(&today));
    spot.end(process);
}

#[test]
fn a_touch_sends_nothing_and_a_revised_slot_is_exactly_one_new_line() {
    let spot = Spot::new();
    let mut today = hours(0..24);
    spot.publish(&today);
    let process = spot.0.up();
    spot.settle(24);
    // Touched, and replaced by the same content.
    fs::File::options().append(true).open(spot.file()).unwrap().set_modified(SystemTime::now()).unwrap();
    spot.stays(24);
    spot.publish(&today);
    spot.stays(24);
    // Revised.
    today[7].price = "99.125".to_owned();
    spot.publish(&today);
    spot.settle(25);
    assert_eq!(spot.lines().last().unwrap(), &written(&today[7..8])[0]);
    // Tomorrow is published, today's first hours are gone.
    let both = hours(12..48);
    spot.publish(&both);
    spot.settle(49);
    assert_eq!(spot.lines()[25..], written(&both[12..]));
    spot.end(process);
}

#[test]
fn a_torn_empty_wrong_or_vanished_file_changes_nothing_and_is_told() {
    let spot = Spot::new();
    let today = hours(0..24);
    let whole = document(&today);
    spot.publish(&today);
    let process = spot.0.up();
    spot.settle(24);
    let broken: [(&str, Option<&[u8]>); 6] = [
        ("torn", Some(&whole.as_bytes()[..whole.len() / 2])),
        ("empty", Some(b"")),
        ("wrong", Some(br#"{"prices": "tomorrow"}"#)),
        ("a page", Some(b"<html>502 Bad Gateway</html>")),
        ("not text", Some(b"\xff\xfe\x00\x01")),
        ("vanished", None),
    ];
    for (what, content) in broken {
        let before = spot.failures();
        match content {
            // In place, as a writer that is not careful does.
            Some(bytes) => fs::write(spot.file(), bytes).unwrap(),
            None => fs::remove_file(spot.file()).unwrap(),
        }
        wait::until(what, SOON, || spot.failures() > before).unwrap();
        spot.stays(24);
    }
    // The same good content again: the hash of a broken one was never taken for it.
    spot.publish(&today);
    spot.stays(24);
    let more = hours(0..25);
    spot.publish(&more);
    spot.settle(25);
    let told = spot.end(process);
    assert!(told.contains("spot") && told.contains("latest-prices.json"), "{told}");
}

#[test]
fn a_restart_and_a_kill_send_nothing_anew() {
    let spot = Spot::new();
    let mut today = hours(0..24);
    spot.publish(&today);
    let process = spot.0.up();
    spot.settle(24);
    spot.end(process);
    let process = spot.0.up();
    spot.stays(24);
    process.kill9().unwrap();
    let process = spot.0.up();
    spot.stays(24);
    // A revision while it is down comes once when it is back.
    spot.end(process);
    today[3].price = "-0.001".to_owned();
    spot.publish(&today);
    let process = spot.0.up();
    spot.settle(25);
    spot.stays(25);
    assert_eq!(spot.lines()[24], written(&today[3..4])[0]);
    spot.end(process);
}

#[test]
fn quarter_hours_that_end_a_millisecond_early_are_whole_slots() {
    let spot = Spot::new();
    let start = origin();
    let quarters: Vec<HourPrice> = (0..8)
        .map(|n| HourPrice {
            price: format!("{n}.5"),
            start: pricemonitor_testkit::feed::instant(start + n * 900_000),
            end: pricemonitor_testkit::feed::instant(start + (n + 1) * 900_000 - 1),
        })
        .collect();
    spot.publish(&quarters);
    let process = spot.0.up();
    spot.settle(8);
    // As written in the file, whole in the history.
    assert_eq!(spot.lines(), written(&quarters));
    let export = Process::start(
        common::pricemonitor()
            .args(["export", "--format", "json", "-f"])
            .arg(spot.0.manifest())
            .arg("--data-dir")
            .arg(spot.0.data()),
    )
    .unwrap()
    .wait(SOON)
    .unwrap();
    assert_eq!(export.code(), Some(0), "{}", export.output.all());
    let rows: Vec<serde_json::Value> =
        export.output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 8);
    for pair in rows.windows(2) {
        assert_eq!(pair[0]["slot"]["end"], pair[1]["slot"]["start"]);
    }
    spot.end(process);
}
