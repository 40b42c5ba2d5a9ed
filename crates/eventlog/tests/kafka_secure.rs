//! The Kafka engine is let in where it should be, and says what is wrong where it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::collections::BTreeMap;
use std::io::copy;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::LazyLock;

use conformance::workers::{Counter, all, fold_all};
use conformance::{append, gained, member, record};
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{Error, EventLog, Layout, Result, Topic};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::certificates::Authority;
use pricemonitor_testkit::kafka::{self, Kafka, Secure};

/// One broker for all tests of this program. Who has no right by an access control list has none.
static BROKER: LazyLock<Kafka> = LazyLock::new(|| {
    let plain = r#"org.apache.kafka.common.security.plain.PlainLoginModule required user_app="app-secret";"#;
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let properties = vec![
        property("allow.everyone.if.no.acl.found", "false"),
        property("listener.name.sasl_ssl.sasl.enabled.mechanisms", "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN"),
        property("listener.name.sasl_ssl.plain.sasl.jaas.config", plain),
    ];
    Kafka::start(&kafka::Options { secure: true, properties, ..Default::default() }).unwrap()
});

fn secure() -> &'static Secure {
    BROKER.secure().unwrap()
}

fn connection(bootstrap: &str, properties: &[(&str, &str)]) -> Connection {
    let properties: BTreeMap<String, String> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Connection { bootstrap_servers: bootstrap.to_owned(), properties }
}

/// A login by encryption, with an authority to trust.
fn login(bootstrap: &str, mechanism: &str, password: &str, authority: &Path) -> Connection {
    connection(
        bootstrap,
        &[
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", secure().user),
            ("sasl.password", password),
            ("ssl.ca.location", authority.to_str().unwrap()),
        ],
    )
}

fn certified(with_certificate: bool) -> Connection {
    let mut connection = connection(
        &secure().ssl,
        &[("security.protocol", "ssl"), ("ssl.ca.location", secure().authority.to_str().unwrap())],
    );
    if with_certificate {
        let pem = |file: &Path| std::fs::read_to_string(file).unwrap();
        let own = [
            ("ssl.certificate.pem", pem(&secure().client_certificate)),
            ("ssl.key.pem", pem(&secure().client_key)),
        ];
        connection.properties.extend(own.map(|(name, value)| (name.to_owned(), value)));
    }
    connection
}

fn id(name: &str) -> MonitorId {
    MonitorId::new(Some("secure"), name)
}

fn layout() -> Layout {
    Layout { partitions: 2, ..Layout::default() }
}

fn open(connection: &Connection, id: &MonitorId) -> Result<KafkaLog> {
    let options = Options { group_prefix: format!("{id}."), ..Options::default() };
    KafkaLog::open(connection, id, &layout(), options)
}

/// Grants rights on everything whose name begins with the monitor's id.
fn grant(id: &MonitorId, user: &str, rights: &[&str]) {
    let (bootstrap, user) = (BROKER.bootstrap(), format!("User:{user}"));
    let common = ["--bootstrap-server", &bootstrap, "--add", "--allow-principal", &user];
    let prefix = ["--resource-pattern-type", "prefixed"];
    let mut arguments = [&common[..], &prefix, rights].concat();
    let prefix = id.as_str();
    arguments.iter_mut().filter(|argument| **argument == "PREFIX").for_each(|argument| *argument = prefix);
    BROKER.tool("AclCommand", &arguments).unwrap();
}

const TOPICS: &[&str] = &[
    "--operation",
    "Create",
    "--operation",
    "Describe",
    "--operation",
    "Read",
    "--operation",
    "Write",
    "--topic",
    "PREFIX",
];
const GROUPS: &[&str] = &["--operation", "Read", "--group", "PREFIX"];
const TRANSACTIONS: &[&str] =
    &["--operation", "Write", "--operation", "Describe", "--transactional-id", "PREFIX"];

/// Appends, folds and reads.
fn works(log: &KafkaLog) {
    let mut door = log.appender(&member("producer", "one")).unwrap();
    gained(&mut door);
    append(&mut door, &[record("a", "1"), record("b", "2")]);
    fold_all(log, &member("processor", "one"), &mut Counter::default());
    assert_eq!(all(log, Topic::Processed).len(), 2);
}

fn refused<T>(result: Result<T>, setting: &str) -> String {
    let Err(error) = result else { panic!("let in, where `{setting}` is wrong") };
    let text = error.to_string();
    assert!(matches!(error, Error::Refused(_)), "{text}");
    assert!(text.contains(setting), "{setting} in: {text}");
    text
}

#[test]
fn every_login_works_with_rights_for_the_monitors_prefix_alone() {
    let id = id("rights");
    let with = |mechanism| login(&secure().sasl_ssl, mechanism, secure().password, &secure().authority);
    let scram = with("SCRAM-SHA-512");
    let made = |connection: &Connection| setup(connection, &id, &layout(), &Setup::default());
    assert!(refused(made(&scram), "access control").contains(id.as_str()));

    grant(&id, secure().user, TOPICS);
    assert!(refused(made(&scram), "transactional id").contains("access control"));
    grant(&id, secure().user, TRANSACTIONS);
    // The mark is read as a member of no group, but Kafka wants the right; setup reads it again once it has written it.
    refused(made(&scram), "groups");
    grant(&id, secure().user, GROUPS);
    made(&scram).unwrap();
    let again = made(&scram).unwrap();
    assert_eq!((again.made.len(), again.differences), (0, vec![]));
    let why = again.not_compared.expect("nobody granted the right to see settings");
    assert!(why.contains("not compared"), "{why}");
    let log = open(&scram, &id).unwrap();
    works(&log);
    for connection in [with("SCRAM-SHA-256"), with("PLAIN")] {
        open(&connection, &id).unwrap();
    }
    let plain = connection(
        &secure().sasl_plaintext,
        &[
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", secure().user),
            ("sasl.password", secure().password),
        ],
    );
    open(&plain, &id).unwrap();
}

#[test]
fn a_client_certificate_is_a_login() {
    let id = id("certificate");
    for rights in [TOPICS, TRANSACTIONS, GROUPS] {
        grant(&id, secure().client, rights);
    }
    setup(&certified(true), &id, &layout(), &Setup::default()).unwrap();
    works(&open(&certified(true), &id).unwrap());
    refused(open(&certified(false), &id), "`kafka.authentication`");
}

#[test]
fn a_wrong_password_is_told_at_once_and_not_repeated() {
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] {
        let wrong = login(&secure().sasl_ssl, mechanism, "not-the-secret", &secure().authority);
        let text = refused(open(&wrong, &id("password")), "`kafka.authentication`");
        assert!(!text.contains("not-the-secret"), "{text}");
    }
    let wrong = login(&secure().sasl_ssl, "SCRAM-SHA-512", "not-the-secret", &secure().authority);
    refused(setup(&wrong, &id("password"), &layout(), &Setup::default()), "`kafka.authentication`");
}

#[test]
fn an_unknown_authority_and_another_host_are_told_apart() {
    let place = pricemonitor_testkit::place::Place::new().unwrap();
    let stranger = place.write("stranger.pem", Authority::new("stranger").unwrap().certificate()).unwrap();
    let distrustful = login(&secure().sasl_ssl, "SCRAM-SHA-512", secure().password, &stranger);
    refused(open(&distrustful, &id("authority")), "`kafka.tls.caCertificate`");

    let elsewhere = forwarded(&secure().sasl_ssl);
    let other_host = login(&elsewhere, "SCRAM-SHA-512", secure().password, &secure().authority);
    refused(open(&other_host, &id("host")), "`kafka.bootstrapServers`");

    let no_certificate = place.write("empty.pem", "no certificate").unwrap();
    let broken = login(&secure().sasl_ssl, "SCRAM-SHA-512", secure().password, &no_certificate);
    refused(open(&broken, &id("authority")), "`kafka.tls.caCertificate`");
}

#[test]
fn a_cluster_that_cannot_be_reached_may_come_back_and_the_setting_is_named() {
    let away = |connection: &Connection, words: &str| {
        let error = open(connection, &id("away")).map(drop).unwrap_err();
        assert!(matches!(&error, Error::Retry(text) if text.contains(words)), "{words} in: {error:?}");
    };
    away(&connection("no-such-host.invalid:9092", &[]), "`kafka.bootstrapServers`");
    // A port of our own that nobody listens on any more.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    away(&connection(&free.to_string(), &[]), "cannot be reached");
    away(&connection(&secure().ssl, &[]), "`kafka.tls`");
}

/// The same server under an address that its certificate does not name.
fn forwarded(to: &str) -> String {
    let to = to.to_owned();
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else { return };
            let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || copy(&mut from, &mut into));
            std::thread::spawn(move || copy(&mut { server }, &mut { client }));
        }
    });
    address
}
