//! Records that retention deleted before they were read: an audit tells of them; who missed them ends and says so, and
//! goes on behind them when it is told to.

use pricemonitor_testkit::wait;

use crate::common::{SOON, manifest, refused};
use crate::fleet::{Fleet, KAFKA, Worker};

const MARKET: &str = "sources: [{name: market, interval: 100ms, simulator: {events: 5, seed: 5}}]";
/// Those that read the raw topic.
const READERS: [&str; 2] = ["processor", "storage"];

/// A monitor whose raw topic has lost what its readers had still to read, and the ports of these.
fn missed(name: &str) -> (Fleet, [u16; 2]) {
    let fleet = Fleet::new(&manifest(name, MARKET)).with_database(name);
    fleet.does(&["setup"]);
    let readers = READERS.map(|role| fleet.ready(role));
    let producer = fleet.ready("producer");
    have_read(&readers);
    let ports = readers.each_ref().map(|reader| reader.port);
    readers.into_iter().for_each(|reader| drop(reader.end()));
    let appended = "pricemonitor_observations_appended_total";
    producer.wait_metric(appended, &[], producer.metric(appended, &[]) + 50.0);
    producer.end();
    delete_records(&fleet, &format!("default.{name}.raw_prices"));
    (fleet, ports)
}

/// Both have read, and so stored where they stand.
fn have_read([processor, storage]: &[Worker; 2]) {
    processor.wait_metric("pricemonitor_observations_processed_total", &[], 50.0);
    storage.wait_metric("pricemonitor_rows_written_total", &["sink=\"history\""], 50.0);
}

/// What retention does in the end: everything that the only partition has goes.
fn delete_records(fleet: &Fleet, topic: &str) {
    let all = format!(r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"offset":-1}}]}}"#);
    let file = fleet.place.write("delete.json", all).unwrap().display().to_string();
    let delete = ["--bootstrap-server", &KAFKA.bootstrap(), "--offset-json-file", &file];
    let told = KAFKA.tool("DeleteRecordsCommand", &delete).unwrap();
    assert!(told.contains("low_watermark: "), "{told}");
}

#[test]
fn an_audit_tells_whose_next_records_were_deleted_before_they_were_read() {
    let (fleet, _) = missed("lost");
    let found = fleet.run(&["audit"]);
    refused(&found, 1, &["not clean: lost"]);
    let told = found.output.stdout;
    assert!(told.starts_with("lost: not clean\n") && told.matches("WRONG").count() == 1, "{told}");
    for part in [
        "WRONG     lost_records: 2, readers whose next records are deleted: those are lost to them",
        "processor on partition 0 stands at ",
        "history on partition 0 stands at ",
        ", the partition begins at ",
        "note      raw partition 0: records before offset ",
    ] {
        assert!(told.contains(part), "`{part}` is not in: {told}");
    }
}

#[test]
fn a_worker_that_missed_deleted_records_ends_and_says_how_it_goes_on_behind_them_and_does() {
    let (mut fleet, ports) = missed("skipped");
    let stored = fleet.count("price_history");
    let parts = ["`default.skipped.raw_prices`", "are deleted (retention)", "once with `--skip-deleted`"];
    for (role, port) in READERS.into_iter().zip(ports) {
        let ended = fleet.start(role, port).process.wait(SOON).unwrap();
        let said = ended.output.all();
        let last = said.lines().last().unwrap();
        assert!(ended.code() == Some(3) && last.starts_with("error: "), "{role}: {said}");
        for part in parts {
            assert!(last.contains(part), "`{part}` is not in the last line of the {role}: {said}");
        }
    }
    assert_eq!(fleet.count("price_history"), stored);

    // By the option, and by its variable.
    let processor = fleet.start_with("processor", ports[0], &["--skip-deleted"]);
    fleet.variables.push(("PRICEMONITOR_SKIP_DELETED".to_owned(), "true".to_owned()));
    let storage = fleet.start("storage", ports[1]);
    fleet.variables.pop();
    let mut skipping = [processor, storage];
    skipping.iter_mut().for_each(Worker::ready);
    let producer = fleet.ready("producer");
    have_read(&skipping);
    for (role, worker) in READERS.into_iter().zip(skipping) {
        let said = worker.end();
        assert!(said.contains("what lay between is deleted and lost to it"), "{role}: {said}");
    }

    // Once is enough.
    let mut again = [0, 1].map(|n| fleet.start(READERS[n], ports[n]));
    again.iter_mut().for_each(Worker::ready);
    producer.end();
    let audit = || fleet.run(&["audit"]).output.stdout;
    wait::until("everything to arrive", SOON, || !audit().contains("behind")).unwrap();
    again.into_iter().for_each(|worker| drop(worker.end()));
    let told = fleet.does(&["audit"]);
    assert!(told.starts_with("skipped: clean\n"), "{told}");
    // Each record that is left has its row, beside those from before, and no others are there.
    let rows = told.lines().find(|line| line.ends_with("rows of the history")).unwrap();
    let left: i64 = rows.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(fleet.count("price_history"), stored + left, "{told}");
}
