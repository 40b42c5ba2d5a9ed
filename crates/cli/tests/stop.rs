//! SIGINT and SIGTERM end the program in order, within 5 s, whatever it is waiting for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::time::Duration;

use common::{SOON, Setup, manifest};
use pricemonitor_testkit::rng::Rng;
use pricemonitor_testkit::wait;
use pricemonitor_testkit::webhook::{Answer, Receiver};

const LIMIT: Duration = Duration::from_secs(5);

const MARKET: &str = "
sources:
- {name: market, interval: 200ms, simulator: {events: 20, seed: 5}}
";

#[test]
fn sigterm_and_sigint_end_with_zero_and_say_what_was_flushed() {
    let setup = Setup::new(&manifest("stop", MARKET));
    for signal in ["TERM", "INT"] {
        let before = setup.rows();
        let process = setup.up();
        wait::until("rows of this run", SOON, || setup.rows() > before).unwrap();
        let finished =
            if signal == "TERM" { process.terminate(LIMIT) } else { process.interrupt(LIMIT) }.unwrap();
        assert_eq!(finished.code(), Some(0), "{signal}: {}", finished.output.all());
        assert!(finished.took < LIMIT, "{signal} took {:?}", finished.took);
        let text = &finished.output.stdout;
        assert!(text.contains("Stopped.") && text.contains("the next start goes on"), "{signal}: {text}");
    }
}

#[test]
fn a_signal_that_comes_while_it_starts_ends_it_in_order_too() {
    let setup = Setup::new(&manifest("stop", MARKET));
    let mut rng = Rng::announced("stop");
    for _ in 0..8 {
        let process = setup.start();
        // The first milliseconds belong to the loader; the data folder is the first thing it makes.
        wait::until("the data folder", SOON, || setup.data().join("lock").exists()).unwrap();
        std::thread::sleep(rng.millis(0, 120));
        let finished = process.terminate(LIMIT).unwrap();
        assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
        assert!(!finished.output.stderr.contains("panicked"), "{}", finished.output.all());
        assert!(finished.output.stdout.contains("Stopped."), "{}", finished.output.all());
        std::fs::remove_dir_all(setup.data()).unwrap();
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_loses_nothing() {
    // Two sources and a channel that hang make the end in order last.
    let deaf = Receiver::start(|_| Answer::Hang(Duration::from_secs(120))).unwrap();
    let setup = Setup::new(&manifest(
        "stop",
        &format!(
            "{MARKET}- {{name: web, interval: 1s, http: {{url: '{}', format: porssisahko, timeout: 60s}}}}
channels:
- {{name: hook, webhook: {{url: '{}', timeout: 60s}}}}
",
            deaf.url("/prices"),
            deaf.url("/hook")
        ),
    ));
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let before = deaf.received().len();
        let process = setup.up();
        let hangs = |path: &str| deaf.received().iter().skip(before).any(|request| request.path == path);
        wait::until("both to hang", SOON, || hangs("/prices") && hangs("/hook")).unwrap();
        process.ask_to_end().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let finished =
            if signal == "TERM" { process.terminate(LIMIT) } else { process.interrupt(LIMIT) }.unwrap();
        assert_eq!(finished.code(), Some(code), "{}", finished.output.all());
        assert!(finished.took < Duration::from_millis(500), "{signal} took {:?}", finished.took);
        let sentence = format!("SIG{signal} came again: ended at once");
        assert!(finished.output.stderr.contains(&sentence), "{}", finished.output.all());
        assert!(!finished.output.stdout.contains("Stopped."), "{}", finished.output.all());
    }
    // The next start goes on.
    let rows = setup.rows();
    let process = setup.up();
    wait::until("more rows", SOON, || setup.rows() > rows).unwrap();
    assert_eq!(process.terminate(LIMIT).unwrap().code(), Some(0));
}

#[test]
fn everything_read_is_stored_when_it_stops() {
    let setup = Setup::new(&manifest("stop", MARKET));
    let process = setup.up();
    wait::until("rows", SOON, || setup.rows() > 100).unwrap();
    let finished = process.terminate(LIMIT).unwrap();
    assert!(
        finished.output.stdout.contains("Everything that was read is stored"),
        "{}",
        finished.output.all()
    );
    // Nothing is left for a run that polls nothing.
    let rows = setup.rows();
    setup.place.write("monitor.yaml", manifest("stop", &format!("{MARKET}suspend: true\n"))).unwrap();
    let process = setup.up();
    setup.wait_rows(rows);
    assert_eq!(process.terminate(LIMIT).unwrap().code(), Some(0));
    assert_eq!(setup.rows(), rows);
}

#[test]
fn a_source_and_a_channel_that_hang_do_not_hold_it_up() {
    let deaf = Receiver::start(|_| Answer::Hang(Duration::from_secs(120))).unwrap();
    let setup = Setup::new(&manifest(
        "stop",
        &format!(
            "
sources:
- {{name: market, interval: 200ms, simulator: {{events: 20, seed: 5}}}}
- {{name: web, interval: 1s, http: {{url: '{}', format: porssisahko, timeout: 60s}}}}
channels:
- {{name: hook, webhook: {{url: '{}', timeout: 60s}}}}
",
            deaf.url("/prices"),
            deaf.url("/hook")
        ),
    ));
    let process = setup.up();
    let asked = |path: &str| deaf.received().iter().any(|request| request.path == path);
    wait::until("both to hang", SOON, || asked("/prices") && asked("/hook")).unwrap();
    let finished = process.terminate(LIMIT).unwrap();
    assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
}
