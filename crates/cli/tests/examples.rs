//! The examples that the README tells people to run do what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::path::Path;
use std::time::Duration;

use common::{SOON, Setup};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::{http, read, wait};

fn example(name: &str) -> (Setup, Process) {
    let setup = Setup::new("");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let mut command = common::pricemonitor();
    command.arg("up").arg("-f").arg(file).arg("--data-dir").arg(setup.data());
    command.arg("--listen").arg(format!("127.0.0.1:{}", setup.port));
    let mut process = Process::start(&mut command).unwrap();
    setup.ready(&mut process);
    (setup, process)
}

#[test]
fn the_tickets_example_shows_changes_and_alerts_and_serves_its_page() {
    let (setup, mut process) = example("tickets.yaml");
    process.wait_until("a change", SOON, |output| output.stdout.contains(" -> ")).unwrap();
    wait::until("stored prices", SOON, || setup.rows() > 0).unwrap();
    let page = http::get(setup.port, "/").unwrap();
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<html"), "{}", page.body);
    let finished = process.terminate(Duration::from_secs(5)).unwrap();
    assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
}

#[test]
fn the_electricity_example_stores_every_slot_of_its_file_and_writes_its_csv() {
    let (setup, process) = example("electricity.yaml");
    setup.wait_rows(96);
    assert_eq!(process.terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
    let csv = setup.data().join("electricity_prices.csv");
    let (header, lines) = read::csv(&csv).unwrap();
    assert_eq!(header, ["received_timestamp", "price", "startDate", "endDate", "source"]);
    assert_eq!(lines.len(), 96);
    assert!(lines.iter().all(|line| line[4] == "electricity-price-monitor"));
}

#[test]
fn both_examples_run_in_one_process() {
    let setup = Setup::new("");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut command = common::pricemonitor();
    command
        .arg("up")
        .arg("-f")
        .arg(folder.join("tickets.yaml"))
        .arg("-f")
        .arg(folder.join("electricity.yaml"));
    command.arg("--data-dir").arg(setup.data()).arg("--listen").arg(format!("127.0.0.1:{}", setup.port));
    let mut process = Process::start(&mut command).unwrap();
    setup.ready(&mut process);
    let monitors = "SELECT count(DISTINCT s.monitor) FROM price_history h JOIN series s ON s.id = h.series";
    wait::until("rows of both", SOON, || {
        read::number(&setup.prices(), monitors).is_ok_and(|count| count == 2)
    })
    .unwrap();
    assert_eq!(process.terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
}
