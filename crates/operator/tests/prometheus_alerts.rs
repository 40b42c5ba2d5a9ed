//! The rules, judged and tried by Prometheus' own promtool.
//!
//! It must have been fetched: `cargo xtask provision prometheus`. What can be said without it is in `alerts.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::prometheus::Promtool;

const RULES: &str = "charts/pricemonitor-operator/files/alerts";
const TESTS: &str = "crates/operator/tests/alerts";

fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder, in their order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn promtool_takes_the_rules() {
    let files = files(RULES);
    let told = Promtool::new().unwrap().check_rules(&files).unwrap();
    let rules = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect::<String>();
    let written = rules.matches("- alert: ").count() + rules.matches("- record: ").count();
    let found: usize = told
        .lines()
        .filter_map(|line| line.trim().strip_prefix("SUCCESS: ")?.split(' ').next()?.parse::<usize>().ok())
        .sum();
    assert!(written > 30 && found == written, "{written} are written: {told}");
}

#[test]
fn promtool_takes_the_configuration_of_compose_with_these_rules() {
    let config = text("docker/prometheus/prometheus.yml");
    // Where compose mounts the folder of the chart.
    assert!(config.contains("\n- /etc/prometheus/alerts/*.yaml\n"), "{config}");
    let place = Place::new().unwrap();
    let here = config.replace("/etc/prometheus/alerts", &root().join(RULES).display().to_string());
    let told = Promtool::new().unwrap().check_config(&place.write("prometheus.yml", here).unwrap()).unwrap();
    assert!(told.contains("2 rule files found"), "{told}");
}

#[test]
fn each_alert_fires_does_not_and_ends_as_its_tests_say() {
    let files = files(TESTS);
    let told = Promtool::new().unwrap().test_rules(&files).unwrap();
    assert_eq!(told.matches("SUCCESS").count(), files.len(), "{told}");
}

#[test]
fn a_rule_that_is_wrong_fails_its_test() {
    let place = Place::new().unwrap();
    let rules = text(&format!("{RULES}/workers.yaml"));
    let wrong = rules
        .replace("pricemonitor_consumer_lag_seconds:max > 60", "pricemonitor_consumer_lag_seconds:max > 6e9");
    assert_ne!(wrong, rules);
    place.write("workers.yaml", wrong).unwrap();
    let test = text(&format!("{TESTS}/progress.yaml"))
        .replace(&format!("../../../../{RULES}/workers.yaml"), "workers.yaml");
    let told =
        Promtool::new().unwrap().test_rules(&[place.write("progress.yaml", test).unwrap()]).unwrap_err();
    assert!(told.to_string().contains("PriceMonitorLagging"), "{told}");
}
