//! Servers that are away, or not set up: a reason on /readyz, no crash, and a clear sentence.

use std::process::Command;

use pricemonitor_testkit::{place, wait};

use crate::common::{SOON, manifest, refused};
use crate::fleet::Fleet;

const MARKET: &str = "sources: [{name: market, interval: 200ms, simulator: {events: 3, seed: 5}}]";

#[test]
fn a_worker_waits_for_topics_and_goes_on_when_they_are_there() {
    let fleet = Fleet::new(&manifest("waits", MARKET));
    let mut worker = fleet.start("producer", place::server_port().unwrap());
    wait::until("the reason", SOON, || {
        worker
            .says()
            .is_some_and(|(status, text)| status == 503 && text.contains("run `pricemonitor setup` first"))
    })
    .unwrap();
    fleet.does(&["setup"]);
    worker.ready();
    worker.wait_metric("pricemonitor_observations_appended_total", &[], 1.0);
    worker.end();
}

#[test]
fn a_cluster_that_is_away_is_waited_for_with_the_reason_told() {
    let mut fleet = Fleet::new(&manifest("away", MARKET));
    let nobody = place::free_port().unwrap();
    fleet.variables = vec![("KAFKA_BOOTSTRAP_SERVERS".to_owned(), format!("127.0.0.1:{nobody}"))];
    let worker = fleet.start("processor", place::free_port().unwrap());
    wait::until("the reason", SOON, || {
        worker.says().is_some_and(|(status, text)| status == 503 && text.contains("kafka: "))
    })
    .unwrap();
    worker.end();
    // What it waits for is said at once, and that it was too long at the end.
    let finished = fleet.run(&["setup", "--timeout", "1"]);
    let said = finished.output.stderr;
    assert!(finished.status.code() == Some(1) && said.contains("WARN waiting: "), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("error: ") && line.contains("given up after")),
        "{said}"
    );
}

#[test]
fn what_is_missing_is_named_with_every_way_to_give_it() {
    let mut fleet = Fleet::new(&manifest("missing", MARKET));
    refused(
        &fleet.run(&["run", "storage"]),
        1,
        &["storage needs PostgreSQL", "POSTGRES_HOST", "spec.storage.csv"],
    );
    refused(&fleet.run(&["run", "alert"]), 1, &["alert needs PostgreSQL", "--database-url"]);
    fleet.variables.clear();
    let mut command: Command = fleet.command(&["run", "processor"]);
    command.env_remove("KAFKA_BOOTSTRAP_SERVERS");
    let finished = pricemonitor_testkit::process::Process::start(&mut command).unwrap().wait(SOON).unwrap();
    refused(&finished, 1, &["spec.kafka.bootstrapServers", "--bootstrap-servers", "KAFKA_BOOTSTRAP_SERVERS"]);
}

#[test]
fn topics_with_other_partitions_are_refused_and_stay_as_they_are() {
    let fleet = Fleet::new(&manifest("shape", MARKET));
    fleet.does(&["setup"]);
    fleet
        .place
        .write("monitor.yaml", manifest("shape", &format!("{MARKET}\nkafka: {{partitions: 3}}")))
        .unwrap();
    refused(
        &fleet.run(&["setup"]),
        1,
        &["exists with 1 partitions", "the manifest says 3", "nothing was changed"],
    );
}

#[test]
fn teardown_says_what_it_would_delete_and_deletes_only_when_told() {
    let fleet = Fleet::new(&manifest("gone", MARKET));
    fleet.does(&["setup"]);
    refused(&fleet.run(&["teardown"]), 1, &["nothing was deleted", "--yes"]);
    assert!(fleet.does(&["setup"]).contains("every topic is there"));
    assert!(fleet.does(&["teardown", "--yes"]).contains("deleted default.gone.raw_prices"));
    assert!(fleet.does(&["teardown", "--yes"]).contains("there was no topic of it"));
}
