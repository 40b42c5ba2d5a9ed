//! Every example is read strictly, and means what its comments say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use pricemonitor_config::{KeySpec, Monitor, ReaderSettings, SourceKind, load, read};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn example(name: &str) -> Monitor {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let mut monitors = load(&text, name).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(monitors.len(), 1, "{name}");
    monitors.remove(0)
}

#[test]
fn every_example_is_right_and_its_files_are_there() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        count += 1;
        for source in example(path.file_name().unwrap().to_str().unwrap()).sources {
            if let SourceKind::File { path, .. } = source.kind {
                assert!(path.is_relative() && folder().join(&path).is_file(), "{}", path.display());
            }
        }
    }
    assert!(count >= 4);
}

#[test]
fn tickets_are_five_events_looked_at_every_five_seconds() {
    let monitor = example("tickets.yaml");
    assert_eq!(monitor.id.as_str(), "default.concert-tickets");
    let [source] = &monitor.sources[..] else { panic!() };
    assert_eq!(source.interval.as_secs(), 5);
    let SourceKind::Simulator(simulator) = &source.kind else { panic!() };
    assert_eq!((simulator.events, simulator.seed), (5, 42));
    assert_eq!((simulator.listings_per_event.min, simulator.listings_per_event.max), (2, 5));
    let names: Vec<&str> = monitor.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["ten-percent-off", "bargain", "big-rise"]);
    assert!(monitor.channels.is_empty() && monitor.admission.valid["marketplace"].positive);
}

#[test]
fn electricity_is_a_watched_file_with_a_csv_beside() {
    let monitor = example("electricity.yaml");
    assert_eq!(monitor.id.name(), "electricity-price-monitor");
    let [source] = &monitor.sources[..] else { panic!() };
    assert_eq!((source.name.as_str(), source.interval.as_secs()), ("spot", 10));
    let SourceKind::File { path, .. } = &source.kind else { panic!() };
    assert_eq!(path, Path::new("data/latest-prices.json"));
    assert_eq!(
        (monitor.key, monitor.partitions, monitor.admission.partitions),
        (KeySpec::SlotStart, 1, None)
    );
    assert_eq!(monitor.topics["raw"], "electricity-prices");
    let csv = monitor.csv.unwrap();
    assert_eq!(
        (csv.path, csv.source.as_str()),
        ("electricity_prices.csv".into(), "electricity-price-monitor")
    );
    assert!(!monitor.admission.valid["spot"].positive);
}

#[test]
fn mappings_believe_negative_prices_of_energy() {
    for name in ["mapping.yaml", "csv-history.yaml"] {
        let monitor = example(name);
        let SourceKind::File { reader: ReaderSettings::Mapping { unit, .. }, .. } = &monitor.sources[0].kind
        else {
            panic!()
        };
        assert!(unit.is_some());
        assert!(monitor.admission.valid.values().all(|range| !range.positive), "{name}");
    }
}

#[test]
fn what_is_commented_out_in_an_example_is_right_too() {
    for name in ["tickets.yaml", "electricity.yaml"] {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let shown = |line: &str| match line.trim_start().strip_prefix("# ") {
            Some(rest) if rest.starts_with("- name:") || rest.starts_with("  ") || rest == "channels:" => {
                line.replacen("# ", "", 1)
            }
            _ => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(shown).filter(|line| !prose(line)).collect();
        // The alternative source has the name of the one that it is an alternative to.
        let text = lines.join("\n").replacen("- name: spot", "- name: other", 1);
        let read = read::read(&text, name).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert!(
            read[0].spec.sources.len() + read[0].spec.channels.len() + read[0].spec.rules.len() > 3,
            "{text}"
        );
        read[0].settings().unwrap_or_else(|problems| panic!("{problems:?}"));
    }
}

/// Indented commands in the comments at the top and in instructions.
fn prose(line: &str) -> bool {
    ["cargo run", "mkdir -p"].iter().any(|word| line.trim_start().starts_with(word))
}
