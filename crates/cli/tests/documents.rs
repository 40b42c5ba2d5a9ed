//! What the documents tell people to write is accepted, and their first steps work as told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{SOON, Setup, run};
use pricemonitor_testkit::place::{self, Place};

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}

/// The blocks of a language in a document.
fn blocks<'d>(text: &'d str, language: &str) -> Vec<&'d str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn valid(place: &Place, text: &str) {
    let file = place.write("block.yaml", text).unwrap().display().to_string();
    let finished = run(&["validate", "-f", &file]);
    assert_eq!(finished.code(), Some(0), "{}\nin:\n{text}", finished.output.all());
}

#[test]
fn every_manifest_in_the_documents_is_valid_and_so_is_every_part_of_one() {
    let head = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: part}\nspec:\n";
    let sources = "  sources:\n  - {name: market, simulator: {events: 3}}\n";
    let place = Place::new().unwrap();
    let mut checked = 0;
    for name in ["README.md", "docs/first-steps.md"] {
        for block in blocks(&document(name), "yaml") {
            if block.starts_with("apiVersion:") {
                valid(&place, block);
            } else {
                assert!(block.starts_with("  "), "neither a manifest nor a part of a spec: {block}");
                valid(&place, &format!("{head}{sources}{block}"));
            }
            checked += 1;
        }
    }
    assert!(checked >= 4, "only {checked} blocks were found");
}

#[test]
fn every_example_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    assert!(files.len() >= 2);
    for file in files {
        let finished = run(&["validate", "-f", &file.display().to_string()]);
        assert_eq!(finished.code(), Some(0), "{}: {}", file.display(), finished.output.all());
    }
}

#[test]
fn the_first_steps_work_as_told() {
    let text = document("docs/first-steps.md");
    let listings = blocks(&text, "json")[0];
    let setup = Setup::new(blocks(&text, "yaml")[0]);
    setup.place.write("listings.json", listings).unwrap();
    let (file, sample) = (setup.manifest(), setup.place.at("listings.json"));
    let shown =
        run(&["validate", "-f", &file.display().to_string(), "--sample", &sample.display().to_string()]);
    assert_eq!(shown.code(), Some(0), "{}", shown.output.all());
    for part in ["2 observations", "a1", "120.00 USD", "section=Floor"] {
        assert!(shown.output.stdout.contains(part), "`{part}` is not in: {}", shown.output.stdout);
    }
    let mut process = setup.up();
    setup.wait_rows(2);
    place::replace(&sample, listings.replace("120.00", "84.00")).unwrap();
    process.wait_for("A Band | Balcony | 120.00 -> 84.00 USD (-30.0 %)", SOON).unwrap();
    process.wait_for(">>> ALERT any-drop: ", SOON).unwrap();
    assert_eq!(process.terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
    let mut export = common::pricemonitor();
    export.args(["export", "--format", "csv", "-f"]).arg(&file).arg("--data-dir").arg(setup.data());
    let finished = pricemonitor_testkit::process::Process::start(&mut export).unwrap().wait(SOON).unwrap();
    assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
    assert!(finished.output.stdout.starts_with("monitor,source,item,"), "{}", finished.output.stdout);
    assert!(finished.output.stdout.lines().count() >= 4, "{}", finished.output.stdout);
}
