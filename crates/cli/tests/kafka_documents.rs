//! What the documents tell people to type, where it needs Apache Kafka or PostgreSQL: docs/servers.md, docs/audit.md,
//! docs/records.md, docs/production.md and docs/troubleshooting.md, on real ones.
//!
//! They must have been fetched: `cargo xtask provision kafka postgres`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use common::{SOON, manifest};
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::provisioned;
use pricemonitor_testkit::terminal::Terminal;
use pricemonitor_testkit::{place, read, wait};
use terminal::{start, stop, swap, terminal, typed};

/// One broker for all tests of this program; it ends with the process.
static KAFKA: LazyLock<Kafka> = LazyLock::new(|| Kafka::start(&kafka::Options::default()).unwrap());

/// One database server, likewise.
static POSTGRES: LazyLock<Postgres> =
    LazyLock::new(|| Postgres::start(&postgres::Options::default()).unwrap());

/// Says by variables where the servers are, with a database of its own.
fn on_servers(terminal: &mut Terminal, database: &str) {
    POSTGRES.rows(&format!("CREATE DATABASE {database}")).unwrap();
    terminal.set("KAFKA_BOOTSTRAP_SERVERS", KAFKA.bootstrap());
    terminal.set("POSTGRES_HOST", "127.0.0.1");
    terminal.set("POSTGRES_PORT", POSTGRES.port().to_string());
    terminal.set("POSTGRES_DB", database);
    terminal.set("POSTGRES_USER", "postgres");
}

fn rows(database: &str) -> i64 {
    let rows = POSTGRES.rows_in(database, "SELECT count(*) FROM price_history");
    rows.map_or(0, |rows| rows[0][0].parse().unwrap())
}

/// `up` on the servers of the variables, as in docs/servers.md.
const UP: &str = "pricemonitor up -f monitor.yaml --bootstrap-servers $KAFKA_BOOTSTRAP_SERVERS \
                  --database-url postgres://$POSTGRES_USER@$POSTGRES_HOST:$POSTGRES_PORT/$POSTGRES_DB";

fn market(name: &str) -> String {
    manifest(name, "sources: [{name: market, interval: 200ms, simulator: {events: 2}}]")
}

/// One of Kafka's programs, as its own scripts start it.
fn kafka_program(terminal: &Terminal, name: &str, class: &str) {
    let lib = provisioned::KAFKA.provided().unwrap().join("lib");
    let java = format!(
        "exec java -XX:TieredStopAtLevel=1 -cp '{}/*' org.apache.kafka.tools.{class} \"$@\"",
        lib.display()
    );
    terminal.stand_in(name, &java).unwrap();
}

#[test]
fn workers_run_on_servers_as_told() {
    let [up, setup, run] = typed("docs/servers.md", "workers_run_on_servers_as_told");
    let (mut terminal, port) = terminal();
    POSTGRES.rows("CREATE ROLE prices LOGIN").unwrap();
    POSTGRES.rows("CREATE DATABASE prices OWNER prices").unwrap();
    let up = swap(&up, "localhost:9092", &KAFKA.bootstrap());
    let up = swap(&up, "@localhost/", &format!("@127.0.0.1:{}/", POSTGRES.port()));
    let process = start(&terminal, &up, port);
    wait::until("prices", SOON, || rows("prices") > 0).unwrap();
    stop(process);

    on_servers(&mut terminal, "worked");
    terminal.place().write("monitor.yaml", market("worked")).unwrap();
    terminal.run(&setup, SOON).unwrap();
    let mut workers = Vec::new();
    for line in run.lines() {
        let (command, listen) = line.split_once("--listen 127.0.0.1:").unwrap();
        listen.parse::<u16>().unwrap();
        let port = place::server_port().unwrap();
        workers.push(start(&terminal, &format!("{command} --listen 127.0.0.1:{port}"), port));
    }
    assert_eq!(workers.len(), 5);
    wait::until("prices", SOON, || rows("worked") > 0).unwrap();
    workers.into_iter().for_each(stop);
}

#[test]
fn electricity_runs_without_a_database_as_told() {
    let [text] = typed("docs/servers.md", "electricity_runs_without_a_database_as_told");
    let (terminal, _) = terminal();
    let mut text = swap(&text, "localhost:9092", &KAFKA.bootstrap());
    for port in ["9464", "9465", "9466"] {
        let listen = |port: &str| format!("--listen 127.0.0.1:{port}");
        text = swap(&text, &listen(port), &listen(&place::server_port().unwrap().to_string()));
    }
    // The shell stays, as at a terminal.
    let shell = terminal.start(&format!("{text}\nwait")).unwrap();
    let csv = terminal.place().at("data/electricity_prices.csv");
    wait::until("every slot of the file", SOON, || read::csv(&csv).is_ok_and(|(_, lines)| lines.len() == 96))
        .unwrap_or_else(|error| panic!("{error}: {}", shell.output().all()));
    let _ = shell.terminate(SOON).unwrap();
}

#[test]
fn a_transaction_that_is_not_over_is_ended_as_told() {
    let [text] = typed("docs/servers.md", "a_transaction_that_is_not_over_is_ended_as_told");
    let (terminal, _) = terminal();
    kafka_program(&terminal, "kafka-transactions.sh", "TransactionsCommand");
    let bootstrap = KAFKA.bootstrap();
    let create = ["--bootstrap-server", &bootstrap, "--create", "--topic", "TOPIC", "--partitions", "1"];
    KAFKA.tool("TopicCommand", &create).unwrap();
    let text = swap(&text, "kafka:9092", &bootstrap);
    let text = swap(&text, "--partition 3 --start-offset 1207", "--partition 0 --start-offset 0");
    let servers = format!("bootstrap.servers={bootstrap}");
    let open = thread::spawn(move || {
        // Records for 20 s, and no end of their transaction before the test's.
        KAFKA.tool(
            "ProducerPerformance",
            &[
                "--topic",
                "TOPIC",
                "--num-records",
                "100",
                "--record-size",
                "10",
                "--throughput",
                "5",
                "--transactional-id",
                "left-open",
                "--transaction-duration-ms",
                "600000",
                "--producer-props",
                &servers,
            ],
        )
    });
    // Until the transaction has begun there is none to end.
    wait::until("the transaction to be ended", SOON, || terminal.run(&text, SOON).is_ok())
        .unwrap_or_else(|error| panic!("{error}: {:?}", terminal.try_run(&text, "", SOON)));
    let asked =
        ["--bootstrap-server", &bootstrap, "describe-producers", "--topic", "TOPIC", "--partition", "0"];
    let told = KAFKA.tool("TransactionsCommand", &asked).unwrap();
    // The last column is where the transaction under way began: the one from offset 0 is over. Its producer, which hears
    // nothing of that, may have begun another one.
    let producer = told.lines().find(|line| line.starts_with(|it: char| it.is_ascii_digit()));
    let began = producer.and_then(|line| line.split_whitespace().last()).unwrap();
    assert_ne!(began, "0", "{told}");
    // Whose transaction it was ends by itself, whatever it thinks of that.
    let _ = open.join().unwrap();
}

#[test]
fn an_audit_is_made_as_told() {
    let [text] = typed("docs/audit.md", "an_audit_is_made_as_told");
    let (mut terminal, port) = terminal();
    // It stands in for jq, which not every machine has: the text goes through.
    terminal.stand_in("jq", "[ \"$1\" = .findings ]; cat").unwrap();
    terminal.place().write("monitor.yaml", market("audited")).unwrap();
    let embedded = start(&terminal, "pricemonitor up -f monitor.yaml", port);
    thread::sleep(Duration::from_secs(1));
    stop(embedded);
    on_servers(&mut terminal, "audited");
    let process = start(&terminal, UP, port);
    wait::until("prices", SOON, || rows("audited") > 0).unwrap();
    stop(process);
    let told = terminal.run(&text, SOON).unwrap();
    let (people, json) = told.split_once('{').unwrap();
    assert_eq!(people.matches("audited: clean").count(), 2, "{told}");
    let json: serde_json::Value = serde_json::from_str(&format!("{{{json}")).unwrap();
    assert!(json["findings"].as_array().is_some_and(Vec::is_empty), "{told}");
}

#[test]
fn a_disaster_is_looked_into_as_told() {
    let [text] = typed("docs/production.md", "a_disaster_is_looked_into_as_told");
    let (mut terminal, port) = terminal();
    on_servers(&mut terminal, "hit");
    terminal.place().write("monitor.yaml", market("hit")).unwrap();
    let process = start(&terminal, UP, port);
    wait::until("prices", SOON, || rows("hit") > 0).unwrap();
    let told = terminal.run(&text, SOON).unwrap();
    assert!(told.starts_with("hit: clean\n") && told.contains("hit: no dead letters"), "{told}");
    stop(process);
}

#[test]
fn troubles_with_servers_are_looked_into_as_told() {
    let [setup, audit] = typed("docs/troubleshooting.md", "troubles_with_servers_are_looked_into_as_told");
    let (mut terminal, _) = terminal();
    on_servers(&mut terminal, "troubled");
    terminal.place().write("monitor.yaml", market("troubled")).unwrap();
    terminal.run(&setup, SOON).unwrap();
    assert!(terminal.run(&setup, SOON).unwrap().contains("every table is there"));
    assert!(terminal.run(&audit, SOON).unwrap().starts_with("troubled: clean\n"));
}

#[test]
fn records_are_read_written_and_put_back_as_told() {
    let [reading, writing, letters] =
        typed("docs/records.md", "records_are_read_written_and_put_back_as_told");
    let (mut terminal, port) = terminal();
    kafka_program(&terminal, "kafka-console-consumer.sh", "consumer.ConsoleConsumer");
    kafka_program(&terminal, "kafka-console-producer.sh", "ConsoleProducer");
    on_servers(&mut terminal, "recorded");
    terminal.place().write("monitor.yaml", market("tickets")).unwrap();
    let process = start(&terminal, UP, port);
    let at = |text: &str| swap(text, "kafka:9092", &KAFKA.bootstrap());
    let mut reader = terminal.start(&at(&reading)).unwrap();
    reader.wait_for("\"kind\":\"", SOON).unwrap();
    terminal.run(&at(&writing), SOON).unwrap();
    reader.wait_for("shop/seat-1\t", SOON).unwrap();

    // One from a clock that is ahead becomes a dead letter.
    terminal.run(&swap(&at(&writing), "2026-01-04T", "2999-01-04T"), SOON).unwrap();
    let [list, show, retry] = letters.lines().collect::<Vec<_>>().try_into().unwrap();
    let mut told = String::new();
    let listed = || {
        told = terminal.run(list, SOON).unwrap();
        told.contains("future")
    };
    wait::until("the dead letter", SOON, listed).unwrap();
    let letter = |word: &&str| {
        word.split_once(':').is_some_and(|(a, b)| {
            [a, b].iter().all(|part| !part.is_empty() && part.chars().all(|it| it.is_ascii_digit()))
        })
    };
    let letter = told.split_whitespace().find(letter).unwrap_or_else(|| panic!("no place in: {told}"));
    let shown = terminal.run(&swap(show, "0:17", letter), SOON).unwrap();
    assert!(shown.contains("future") && shown.contains("seat-1"), "{shown}");
    assert!(terminal.run(retry, SOON).unwrap().starts_with("put back 1 record"));
    drop(reader);
    stop(process);
}
