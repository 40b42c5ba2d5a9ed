//! Real servers start, answer, die, come back with their data and leave nothing behind.
//!
//! They must have been fetched: `cargo xtask provision kafka postgres`.

#![allow(clippy::unwrap_used, clippy::panic)] // the helpers of tests

mod secure;

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::server::is_running;
use pricemonitor_testkit::wait;

fn kafka() -> Kafka {
    let began = Instant::now();
    let kafka = Kafka::start(&kafka::Options::default()).unwrap();
    println!("Kafka answers after {:?}", began.elapsed());
    kafka
}

fn postgres() -> Postgres {
    let began = Instant::now();
    let postgres = Postgres::start(&postgres::Options::default()).unwrap();
    println!("PostgreSQL answers after {:?}", began.elapsed());
    postgres
}

/// The port takes no connection and may be listened on.
fn is_free(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn with_topic(kafka: &Kafka, records: u32) {
    with_topic_at(kafka, &kafka.bootstrap(), records);
}

fn with_topic_at(kafka: &Kafka, bootstrap: &str, records: u32) {
    let create = ["--bootstrap-server", bootstrap, "--create", "--topic", "t", "--partitions", "1"];
    kafka.tool("TopicCommand", &create).unwrap();
    let records = records.to_string();
    let produce = ["--bootstrap-server", bootstrap, "--topic", "t", "--num-records", &records];
    let how = ["--record-size", "10", "--throughput", "-1", "--command-property", "acks=all"];
    kafka.tool("ProducerPerformance", &[produce.as_slice(), &how].concat()).unwrap();
}

fn offsets(kafka: &Kafka) -> String {
    let ask = ["--bootstrap-server", &kafka.bootstrap(), "--topic", "t"];
    kafka.tool("GetOffsetShell", &ask).unwrap().trim().to_owned()
}

#[test]
fn clients_that_come_through_the_proxy_stay_behind_it() {
    let kafka = Kafka::start(&kafka::Options { proxy: true, ..kafka::Options::default() }).unwrap();
    let proxy = kafka.proxy().unwrap();
    with_topic_at(&kafka, &proxy.address(), 100);
    // Two tools, each of which asks at the address it was given and then goes where the broker says that it is.
    assert!(proxy.accepted() >= 4, "{}", proxy.accepted());
    assert_eq!(offsets(&kafka), "t:0:100");
}

#[test]
fn kafka_keeps_its_records_over_kill_9_and_over_a_stop() {
    let mut kafka = kafka();
    with_topic(&kafka, 1000);
    let first = kafka.id();
    kafka.kill().unwrap();
    assert!(!is_running(first) && is_free(kafka.port()));

    let began = Instant::now();
    kafka.restart().unwrap();
    println!("Kafka answers again {:?} after kill -9", began.elapsed());
    assert_ne!(kafka.id(), first);
    assert_eq!(offsets(&kafka), "t:0:1000");

    let began = Instant::now();
    kafka.stop().unwrap();
    println!("Kafka stops in {:?}", began.elapsed());
    assert!(!is_running(kafka.id()) && is_free(kafka.port()));
    let began = Instant::now();
    kafka.restart().unwrap();
    println!("Kafka answers again {:?} after a stop", began.elapsed());
    assert_eq!(offsets(&kafka), "t:0:1000");
}

#[test]
fn two_kafkas_stand_side_by_side() {
    let (mut one, other) = (kafka(), kafka());
    with_topic(&one, 1);
    let topics = other.tool("TopicCommand", &["--bootstrap-server", &other.bootstrap(), "--list"]).unwrap();
    assert_eq!(topics.trim(), "");
    one.kill().unwrap();
    assert!(is_running(other.id()));
}

#[test]
fn postgres_keeps_committed_rows_over_kill_9_and_over_a_stop() {
    let mut postgres = postgres();
    postgres.rows("CREATE TABLE t AS SELECT g FROM generate_series(1, 100000) g").unwrap();
    let first = postgres.id();
    postgres.kill().unwrap();
    assert!(!is_running(first) && is_free(postgres.port()));

    let began = Instant::now();
    postgres.restart().unwrap();
    println!("PostgreSQL answers again {:?} after kill -9", began.elapsed());
    assert_eq!(postgres.rows("SELECT count(*), NULL FROM t").unwrap(), [["100000", ""]]);

    // A stop does not wait for clients.
    let _client = TcpStream::connect(("127.0.0.1", postgres.port())).unwrap();
    let began = Instant::now();
    postgres.stop().unwrap();
    println!("PostgreSQL stops in {:?}", began.elapsed());
    assert!(!is_running(postgres.id()) && is_free(postgres.port()));
    let began = Instant::now();
    postgres.restart().unwrap();
    println!("PostgreSQL answers again {:?} after a stop", began.elapsed());
    assert_eq!(postgres.rows("SELECT count(*) FROM t").unwrap(), [["100000"]]);
    assert!(postgres.log().unwrap().contains("ready to accept connections"));
}

#[test]
fn two_postgres_stand_side_by_side() {
    let (mut one, other) = (postgres(), postgres());
    one.rows("CREATE TABLE mine (a int)").unwrap();
    assert!(other.rows("SELECT * FROM mine").is_err());
    one.kill().unwrap();
    assert_eq!(other.rows("SELECT 1").unwrap(), [["1"]]);
}

#[test]
fn a_test_that_panics_leaves_no_server_and_no_folder() {
    let (mut id, mut port, mut folder) = (0, 0, None);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let postgres = postgres();
        (id, port, folder) = (postgres.id(), postgres.port(), Some(postgres.folder().to_owned()));
        panic!("as a failing test does");
    }));
    assert!(panicked.is_err());
    assert!(!is_running(id) && is_free(port));
    assert!(!folder.unwrap().exists() || std::env::var_os("PRICEMONITOR_KEEP").is_some());
}

#[test]
fn a_killed_test_process_leaves_no_server() {
    const INNER: &str = "PRICEMONITOR_INNER_TEST";
    const SOON: Duration = Duration::from_secs(60);
    if std::env::var_os(INNER).is_some() {
        let (kafka, postgres) = (kafka(), postgres());
        println!("\nservers {} {}", kafka.id(), postgres.id());
        std::thread::sleep(SOON * 2);
        return;
    }
    // What a killed test leaves goes with this folder, which PostgreSQL's user must be able to pass.
    let place = Place::new().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("TMPDIR", place.path());
    command.args(["--exact", "a_killed_test_process_leaves_no_server", "--nocapture"]).env(INNER, "1");
    let mut inner = Process::start(&mut command).unwrap();
    let line = "\nservers ";
    inner.wait_until("the servers", SOON, |output| output.stdout.contains(line)).unwrap();
    let written = inner.output().stdout;
    let (_, ids) = written.split_once(line).unwrap();
    let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| is_running(*id)));
    inner.kill9().unwrap();
    wait::until("the servers to end", SOON, || !ids.iter().any(|id| is_running(*id))).unwrap();
}
