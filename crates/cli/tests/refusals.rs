//! Bad input and bad surroundings: one clear sentence with the remedy, the right exit code, and never
//! a stack trace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use common::{SOON, Setup, manifest, pricemonitor, refused, run};
use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::{http, place, wait};

const MARKET: &str = "
sources:
- {name: market, interval: 200ms, simulator: {events: 3, seed: 5}}
";

fn market() -> Setup {
    Setup::new(&manifest("refusals", MARKET))
}

fn end(process: Process) -> Finished {
    process.wait(SOON).unwrap()
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let setup = market();
    let _taken = TcpListener::bind(("127.0.0.1", setup.port)).unwrap();
    refused(&end(setup.start()), 1, &[&setup.port.to_string(), "--listen"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let setup = market();
    let file = setup.place.write("file", "not a folder").unwrap();
    for folder in [file.as_path(), &file.join("below"), Path::new("/proc/pricemonitor")] {
        let mut command = pricemonitor();
        command.args(["up", "--listen", "127.0.0.1:0", "-f"]).arg(setup.manifest());
        command.arg("--data-dir").arg(folder);
        refused(&end(Process::start(&mut command).unwrap()), 1, &[&folder.display().to_string()]);
    }
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let setup = market();
    let first = setup.up();
    let mut second = pricemonitor();
    second.args(["up", "--listen", "127.0.0.1:0", "-f"]).arg(setup.manifest());
    second.arg("--data-dir").arg(setup.data());
    let finished = end(Process::start(&mut second).unwrap());
    refused(&finished, 1, &[&setup.data().display().to_string()]);
    let rows = setup.rows();
    wait::until("the first to go on", SOON, || setup.rows() > rows).unwrap();
    assert_eq!(first.terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
    // The lock goes with its holder, also by kill -9.
    setup.up().kill9().unwrap();
    assert_eq!(setup.up().terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
}

#[test]
fn a_data_folder_of_a_newer_program_is_refused_in_a_sentence() {
    let setup = market();
    assert_eq!(setup.up().terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
    for file in ["log.sqlite", "prices.sqlite"] {
        let path = setup.data().join(file);
        let whole = std::fs::read(&path).unwrap();
        newer(&path);
        refused(&end(setup.start()), 1, &["newer"]);
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(setup.up().terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
}

#[test]
fn a_damaged_data_file_is_told_without_a_stack_trace() {
    let setup = market();
    assert_eq!(setup.up().terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
    for file in ["log.sqlite", "prices.sqlite"] {
        let path = setup.data().join(file);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        refused(&end(setup.start()), 1, &[file]);
        std::fs::write(&path, whole).unwrap();
    }
}

#[test]
fn someone_elses_csv_file_is_not_written_over() {
    let setup = Setup::new(&manifest("refusals", &format!("{MARKET}storage: {{csv: {{path: mine.csv}}}}\n")));
    let file = setup.place.write("data/mine.csv", "name,phone\nAnn,1\n").unwrap();
    refused(&end(setup.start()), 1, &["mine.csv"]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "name,phone\nAnn,1\n");
}

#[test]
fn manifests_that_cannot_be_read_are_named() {
    let setup = market();
    let folder = setup.place.path().display().to_string();
    let binary = setup.place.write("binary.yaml", b"\xff\xfe\x00").unwrap().display().to_string();
    let empty = setup.place.write("empty.yaml", "").unwrap().display().to_string();
    for file in ["nowhere.yaml", &folder, &binary, &empty] {
        refused(&run(&["validate", "-f", file]), 1, &[file]);
        refused(&run(&["up", "-f", file]), 1, &[file]);
    }
    let good = setup.manifest().display().to_string();
    refused(&run(&["validate", "-f", &good, "-f", &good]), 1, &["refusals"]);
    // Both of two broken files, at once.
    refused(&run(&["validate", "-f", "nowhere.yaml", "-f", &empty]), 1, &["nowhere.yaml", &empty]);
}

#[test]
fn all_mistakes_of_a_manifest_are_told_at_once_with_path_line_and_the_nearest_name() {
    let setup = Setup::new(
        "apiVersion: pricemonitor.dev/v1alpha1
kind: PriceMonitor
metadata: {name: wrong}
spec:
  sources:
  - name: market
    intervall: 5s
    simulator: {events: 3}
  - name: other
    simulater: {events: 3}
  rules:
  - name: cheap
    below: {value: ten}
  - name: told
    drop: {percent: 10}
    notify: [discrod]
  channels:
  - name: discord
    discord: {webhookUrl: {secretKeyRef: {name: discord, key: url}}}
",
    );
    let file = setup.manifest().display().to_string();
    let parts = [
        &file,
        "spec.sources[0].intervall",
        "interval",
        "7",
        "spec.sources[1].simulater",
        "simulator",
        "file",
        "http",
        "10",
        "spec.rules[0].below.value",
        "13",
        "spec.rules[1].notify",
        "discrod",
        "16",
    ];
    refused(&run(&["validate", "-f", &file]), 1, &parts);
    refused(&run(&["up", "-f", &file]), 1, &parts);
}

#[test]
fn broken_yaml_is_told_with_its_line() {
    for text in ["spec: [\n", "a: b: c\n", "\tspec: 1\n", "spec: &a [*a]\n", "- 1\n", "{}", "null"] {
        let setup = Setup::new(text);
        let file = setup.manifest().display().to_string();
        refused(&run(&["validate", "-f", &file]), 1, &[&file]);
    }
}

#[test]
fn other_wrong_surroundings_are_told_too() {
    let setup = market();
    let file = setup.manifest().display().to_string();
    let closed = format!("http://127.0.0.1:{}", place::free_port().unwrap());
    let none = setup.place.at("none").display().to_string();
    refused(&run(&["up", "-f", &file, "--secrets-dir", &none]), 1, &["--secrets-dir", &none]);
    refused(&run(&["export", "-f", &file, "--data-dir", &none]), 1, &["--data-dir", &none]);
    refused(&run(&["export", "-f", &file, "--data-dir", &none, "--since", "soon"]), 1, &["soon", "24h"]);
    refused(&run(&["health", "--url", &closed]), 3, &[&closed]);
    refused(&run(&["validate", "-f", &file, "--sample", &none]), 1, &[]);
    refused(&run(&["test-alert", "-f", &file]), 1, &["no channel", "spec.channels"]);
    let hook = "channels:\n- {name: hook, webhook: {url: 'http://127.0.0.1:1/'}}\n";
    let told = setup.place.write("told.yaml", manifest("told", &format!("{MARKET}{hook}"))).unwrap();
    let told = told.display().to_string();
    refused(&run(&["test-alert", "-f", &told, "--channel", "nobody"]), 1, &["nobody", "hook"]);
}

#[test]
fn a_wrong_command_line_ends_with_two_and_help_teaches() {
    for arguments in [&[][..], &["up"], &["fly"], &["up", "-f", "a.yaml", "--listen", "here"]] {
        let finished = run(arguments);
        assert_eq!(finished.code(), Some(2), "{arguments:?}: {}", finished.output.all());
        assert!(finished.output.stderr.contains("--help"), "{}", finished.output.stderr);
    }
    let help = run(&["--help"]).output.stdout;
    for part in ["up", "validate", "test-alert", "export", "health", "Examples:", "Exit codes:"] {
        assert!(help.contains(part), "`{part}` is not in: {help}");
    }
    assert!(run(&["completions", "bash"]).output.stdout.contains("pricemonitor"));
    assert!(run(&["man"]).output.stdout.contains(".TH pricemonitor"));
}

#[test]
fn health_tells_a_ready_process_from_none() {
    let setup = market();
    let process = setup.up();
    let url = format!("http://127.0.0.1:{}", setup.port);
    wait::until("readiness", SOON, || {
        http::get(setup.port, "/readyz").is_ok_and(|answer| answer.status == 200)
    })
    .unwrap();
    let healthy = run(&["health", "--url", &url]);
    assert_eq!((healthy.code(), healthy.output.stdout.as_str()), (Some(0), "ready\n"));
    process.terminate(Duration::from_secs(5)).unwrap();
    refused(&run(&["health", "--url", &url]), 3, &[&url]);
}

/// Makes a data file one of a newer program: the log carries its format in the header, the database
/// a row for each migration.
fn newer(path: &Path) {
    use pricemonitor_testkit::read;
    if path.ends_with("log.sqlite") {
        let version = read::number(path, "PRAGMA user_version").unwrap();
        read::rows(path, &format!("PRAGMA user_version = {}", version + 1000)).unwrap();
    } else {
        let more = "INSERT INTO _sqlx_migrations
                    SELECT max(version) + 1000, 'later', installed_on, 1, checksum, 0 FROM _sqlx_migrations";
        read::rows(path, more).unwrap();
    }
}
