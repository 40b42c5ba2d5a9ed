//! The dashboards are as Grafana's schema wants them, by Grafana's own library for dashboards.
//!
//! The program that asks it must have been built: `cargo xtask provision grafana-schema`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pricemonitor_operator::grafana;
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::provisioned::GRAFANA_SCHEMA;
use serde_json::{Value, json};

fn checked(files: &[PathBuf]) -> Output {
    let program = GRAFANA_SCHEMA.provided().unwrap().join("bin").join(GRAFANA_SCHEMA.name);
    Command::new(program).args(files).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn every_dashboard_is_as_the_schema_wants_it() {
    let chart =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/pricemonitor-operator/files/dashboards");
    let mut files: Vec<PathBuf> = fs::read_dir(chart).unwrap().map(|entry| entry.unwrap().path()).collect();
    let place = Place::new().unwrap();
    let of_one = grafana::pipeline("pricemonitor-one", "PriceMonitor / shop / tickets", Some("shop.tickets"));
    place.write("one.json", of_one.to_string()).unwrap();
    files.push(place.at("one.json"));
    assert_eq!(files.len(), 4);
    let output = checked(&files);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("panels as the schema has them").count(), 4, "{}", said(&output));
}

/// A dashboard with one thing changed.
fn with(place: &str, value: Value) -> Value {
    let mut board = grafana::prices(grafana::PRICES, "PriceMonitor / Prices");
    let (above, name) = place.rsplit_once('/').unwrap();
    let found = board.pointer_mut(above).unwrap_or_else(|| panic!("{above}"));
    match found {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        other => other[name] = value,
    }
    board
}

#[test]
fn a_slip_anywhere_in_a_dashboard_is_refused() {
    let place = Place::new().unwrap();
    let slips = [
        ("/refrehs", json!("1m"), "refrehs"),
        ("/schemaVersion", json!("39"), "schemaVersion"),
        ("/links/0/tooltipp", json!(""), "tooltipp"),
        ("/templating/list/1/includeall", json!(true), "includeall"),
        ("/templating/list/1/refresh", json!("often"), "refresh"),
        ("/annotations/list/0/iconColour", json!("red"), "iconColour"),
        ("/annotations/list/0/target/rawSQL", json!("SELECT 1"), "rawSQL"),
        ("/annotations/list/0/target/datasource/type", json!("postgresq"), "no known kind"),
        ("/panels/1/type", json!("stats"), "stats"),
        ("/panels/1/titel", json!("x"), "titel"),
        ("/panels/1/options/colourMode", json!("value"), "colourMode"),
        ("/panels/1/fieldConfig/defaults/units", json!("s"), "units"),
        ("/panels/1/fieldConfig/defaults/thresholds/steps/0/colour", json!("red"), "colour"),
        ("/panels/1/targets/0/fromat", json!("table"), "fromat"),
        ("/panels/1/targets/0/format", json!("tables"), "format"),
        ("/panels/1/targets/0/datasource/type", json!("postgresq"), "no known kind"),
        ("/panels/4/fieldConfig/defaults/custom/lineWith", json!(1), "lineWith"),
        ("/panels/9/fieldConfig/overrides/0/properties/0/id", json!("mapping"), "mapping"),
        ("/panels/9/fieldConfig/overrides/0/properties/1/id", json!("custom.cellOption"), "cellOption"),
        ("/panels/9/fieldConfig/overrides/5/properties/0/value/0/uri", json!("x"), "uri"),
    ];
    for (at, value, told) in slips {
        place.write("slip.json", with(at, value).to_string()).unwrap();
        let output = checked(&[place.at("slip.json")]);
        assert!(output.status.code() == Some(1) && said(&output).contains(told), "{at}: {}", said(&output));
    }
}
