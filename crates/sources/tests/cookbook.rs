//! Every mapping in `docs/sources.md`, run over a document of the shape it is for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use pricemonitor_config::{MappingInput, ReaderSettings};
use pricemonitor_model::Observation;
use pricemonitor_sources::sample;
use support::{AT, file};

const GUIDE: &str = include_str!("../../../docs/sources.md");

/// The filter below the heading, as the guide shows it.
fn filter(heading: &str) -> String {
    let section = GUIDE.split("\n### ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("the guide has no section `{heading}`"));
    let block = section.split("jq: |\n").nth(1).expect("a filter").split("```").next().unwrap();
    block.lines().map(|line| line.trim_start().to_owned() + "\n").collect()
}

fn map(
    heading: &str,
    input: MappingInput,
    currency: Option<&str>,
    unit: Option<&str>,
    document: &[u8],
) -> Vec<Observation<'static>> {
    let reader = ReaderSettings::Mapping {
        input,
        jq: filter(heading),
        currency: currency.map(str::to_owned),
        unit: unit.map(str::to_owned),
        complete: true,
    };
    sample(&file("sample", reader), document, AT).unwrap()
}

#[test]
fn nord_pool_gives_a_slot_for_each_area_and_quarter_hour() {
    let document = include_bytes!("data/nordpool-day-ahead-FI-2025-05-07.json");
    // Real answers name the list `multiAreaEntries` or, asked for indices, `multiIndexEntries`.
    let all = map("Nord Pool", MappingInput::Json, None, Some("EUR/MWh"), document);
    assert_eq!(all.len(), 96);
    assert!(all.windows(2).all(|two| two[0].slot.unwrap().end == two[1].slot.unwrap().start));
    let first = &all[0];
    assert_eq!((&*first.item, &*first.currency, first.unit.as_deref()), ("FI", "EUR", Some("EUR/MWh")));
    assert_eq!(first.price.to_string(), "22.34");
    assert_eq!(first.slot.unwrap().start.to_string(), "2025-05-06T22:00:00.000Z");
    assert_eq!(first.labels.get("area"), Some("FI"));
    assert_eq!(first.as_written.as_ref().unwrap().start.as_deref(), Some("2025-05-06T22:00:00Z"));
}

#[test]
fn energy_charts_parallel_arrays_become_slots() {
    let document = include_bytes!("data/energy-charts.json");
    let all = map("Energy-Charts", MappingInput::Json, Some("EUR"), Some("EUR/MWh"), document);
    let read: Vec<_> = all.iter().map(|o| (o.slot.unwrap().start.to_string(), o.price.to_string())).collect();
    assert_eq!(
        read,
        [
            ("2025-05-06T22:00:00.000Z".to_owned(), "88.42".to_owned()),
            ("2025-05-06T22:15:00.000Z".to_owned(), "85.1".to_owned()),
            ("2025-05-06T22:30:00.000Z".to_owned(), "-0.07".to_owned()),
        ]
    );
    assert!(all.iter().all(|o| o.slot.unwrap().end.since(o.slot.unwrap().start) == 900_000));
}

#[test]
fn section_listings_keep_both_prices_and_skip_what_has_none() {
    let all =
        map("Ticket listings (JSON)", MappingInput::Json, None, None, include_bytes!("data/listings.json"));
    assert_eq!(all.len(), 2);
    let o = &all[0];
    assert_eq!((&*o.item, &*o.currency, o.quantity), ("9371369/1192865774", "USD", Some(1)));
    assert_eq!((o.price.to_string(), o.base.unwrap().to_string()), ("15.37".to_owned(), "11.00".to_owned()));
    assert_eq!(o.labels.get("section"), Some("Lower Center 112"));
    assert_eq!(all[1].price.to_string(), "120.00");
    assert_eq!(all[1].labels.get("row"), None);
}

#[test]
fn listings_in_csv_with_cr_line_ends_are_read_too() {
    let all = map(
        "Ticket listings (CSV)",
        MappingInput::Csv,
        Some("USD"),
        None,
        include_bytes!("data/listings.csv"),
    );
    let read: Vec<_> = all
        .iter()
        .map(|o| (&*o.item, o.price.to_string(), o.labels.get("section"), o.labels.get("row")))
        .collect();
    assert_eq!(
        read,
        [
            ("501", "120.00".to_owned(), Some("Lower, Center"), Some("12")),
            ("502", "89.5".to_owned(), Some("Floor"), None),
        ]
    );
    assert_eq!(all[0].quantity, Some(2));
}
