//! The rights that docs/production.md gives a user of Kafka, on a real broker that grants nothing else.
//!
//! Servers must have been fetched: `cargo xtask provision kafka postgres`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use common::SOON;
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::terminal::Terminal;
use pricemonitor_testkit::{place, wait};
use terminal::{document, start, stop, terminal};

/// A rule of the guide's `KafkaUser`: type of the resource, prefix of its name, operations.
type Rule = (String, String, Vec<String>);

fn rules() -> Vec<Rule> {
    let guide = document("docs/production.md");
    let user = guide.split("```yaml\n").find(|block| block.contains("kind: KafkaUser\n")).unwrap();
    let user = user.split("```").next().unwrap();
    let mut found: Vec<Rule> = Vec::new();
    for line in user.lines().map(str::trim) {
        if let Some(resource) = line.strip_prefix("- resource: {type: ") {
            let (kind, rest) = resource.split_once(", name: ").unwrap();
            let (name, pattern) = rest.split_once(", ").unwrap();
            assert_eq!(pattern, "patternType: prefix}");
            found.push((kind.to_owned(), name.to_owned(), Vec::new()));
        } else if let Some(operations) = line.strip_prefix("operations: [") {
            let operations = operations.trim_end_matches(']').split(", ").map(str::to_owned);
            found.last_mut().unwrap().2.extend(operations);
        }
    }
    found
}

fn grant(kafka: &Kafka) {
    let (bootstrap, user) = (kafka.bootstrap(), format!("User:{}", kafka.secure().unwrap().other_user));
    let rules = rules();
    assert_eq!(rules.len(), 3, "{rules:?}");
    for (kind, name, operations) in rules {
        let resource = match kind.as_str() {
            "transactionalId" => "--transactional-id".to_owned(),
            other => format!("--{other}"),
        };
        let mut add = vec!["--bootstrap-server", &bootstrap, "--add", "--allow-principal", &user];
        add.extend(["--resource-pattern-type", "prefixed", &resource, &name]);
        add.extend(operations.iter().flat_map(|operation| ["--operation", operation]));
        kafka.tool("AclCommand", &add).unwrap();
    }
}

/// A monitor of the guide's id on these servers.
fn monitor(kafka: &Kafka, postgres: &Postgres) -> Terminal {
    let secure = kafka.secure().unwrap();
    let (mut terminal, _) = terminal();
    let manifest = format!(
        "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {{name: tickets, namespace: prices}}\nspec:\n  \
         sources: [{{name: market, interval: 200ms, simulator: {{events: 2}}}}]\n  \
         kafka: {{bootstrapServers: '{}', authentication: {{type: scram-sha-512, secretRef: {{name: tickets-kafka}}}}, \
         partitions: 2, replicationFactor: 1}}\n",
        secure.sasl_plaintext
    );
    terminal.place().write("monitor.yaml", manifest).unwrap();
    terminal.place().write("secrets/tickets-kafka/username", secure.other_user).unwrap();
    terminal.place().write("secrets/tickets-kafka/password", secure.other_password).unwrap();
    terminal.set("PRICEMONITOR_SECRETS_DIR", "secrets");
    terminal.set("POSTGRES_HOST", "127.0.0.1");
    terminal.set("POSTGRES_PORT", postgres.port().to_string());
    terminal.set("POSTGRES_DB", "postgres");
    terminal.set("POSTGRES_USER", "postgres");
    terminal
}

#[test]
fn the_rights_of_the_production_guide_are_enough_for_setup_workers_audit_and_teardown() {
    let mut options = kafka::Options { secure: true, ..Default::default() };
    let nothing = [("allow.everyone.if.no.acl.found", "false"), ("super.users", "User:ANONYMOUS")];
    options.properties = nothing.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let kafka = Kafka::start(&options).unwrap();
    let postgres = Postgres::start(&postgres::Options::default()).unwrap();
    let terminal = monitor(&kafka, &postgres);
    let setup = "pricemonitor setup -f monitor.yaml --timeout 20";
    let told = terminal.try_run(setup, "", SOON).unwrap();
    assert_eq!(told.code(), Some(1), "without a right: {}", told.output.all());

    grant(&kafka);
    terminal.run(setup, SOON).unwrap();
    // A second time it compares the settings of what is there.
    let told = terminal.run(setup, SOON).unwrap();
    assert!(!told.contains("were not compared"), "{told}");
    let mut workers = Vec::new();
    for role in ["producer", "processor", "storage", "alert"] {
        let port = place::server_port().unwrap();
        let run = format!("pricemonitor run {role} -f monitor.yaml --listen 127.0.0.1:{port}");
        workers.push(start(&terminal, &run, port));
    }
    wait::until("prices", SOON, || {
        postgres.rows("SELECT count(*) FROM price_history").is_ok_and(|rows| rows[0][0] != "0")
    })
    .unwrap();
    assert!(
        terminal.run("pricemonitor audit -f monitor.yaml", SOON).unwrap().starts_with("tickets: clean\n")
    );
    workers.into_iter().for_each(stop);
    terminal.run("pricemonitor teardown -f monitor.yaml --yes", SOON).unwrap();
    let left = kafka.tool("TopicCommand", &["--bootstrap-server", &kafka.bootstrap(), "--list"]).unwrap();
    assert!(!left.contains("prices.tickets"), "{left}");
}
