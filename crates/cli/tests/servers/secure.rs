//! Log-in and encryption as the manifest says, with secrets from files; what is wrong is named, never shown.

use std::fs;
use std::sync::LazyLock;

use pricemonitor_testkit::certificates::Authority;
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, place, wait};

use crate::common::{SOON, manifest, refused};
use crate::fleet::Fleet;

/// Who has no right by an access control list has none, but for the first login and the client's certificate, which may
/// do everything.
static KAFKA: LazyLock<Kafka> = LazyLock::new(|| {
    let mut options = kafka::Options { secure: true, ..Default::default() };
    let rights =
        [("allow.everyone.if.no.acl.found", "false"), ("super.users", "User:ANONYMOUS;User:app;User:client")];
    options.properties = rights.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Kafka::start(&options).unwrap()
});
static POSTGRES: LazyLock<Postgres> =
    LazyLock::new(|| Postgres::start(&postgres::Options { secure: true, ..Default::default() }).unwrap());

const MARKET: &str = "sources: [{name: market, interval: 200ms, simulator: {events: 3, seed: 5}}]";
const WRONG: &str = "hunter2-but-wrong";
/// A role of PostgreSQL that owns nothing, with its password.
const CLERK: (&str, &str) = ("clerk", "clerk-secret");

/// A monitor on the secure servers, with its secrets.
struct Secured(Fleet);

impl Secured {
    /// `listener` and what stands below `kafka` beside it.
    fn new(name: &str, listener: &str, kafka: &str) -> Secured {
        let spec = format!("{MARKET}\nkafka: {{bootstrapServers: '{listener}', {kafka}}}");
        let mut fleet = Fleet::at(&manifest(name, &spec), "");
        fleet.variables.clear();
        let secure = KAFKA.secure().unwrap();
        let secured = Secured(fleet);
        secured.secret("kafka-user/username", secure.user.as_bytes());
        secured.secret("kafka-user/password", secure.password.as_bytes());
        secured.secret("client/user.crt", &fs::read(&secure.client_certificate).unwrap());
        secured.secret("client/user.key", &fs::read(&secure.client_key).unwrap());
        secured.secret("kafka-ca/ca.crt", &fs::read(&secure.authority).unwrap());
        secured.secret("_configmaps/bundle/ca.pem", &fs::read(&secure.authority).unwrap());
        secured
    }

    /// Adds a database whose Secret is `app`.
    fn with_postgres(self, mode: &str, host: &str) -> Secured {
        let text = fs::read_to_string(self.0.manifest()).unwrap();
        let ca = "{secretKeyRef: {name: postgres-ca, key: ca.crt}}";
        let storage = format!(
            "  storage: {{postgres: {{secretRef: {{name: app}}, tls: {{mode: {mode}, caCertificate: {ca}}}}}}}\n"
        );
        self.0.place.write("monitor.yaml", text + &storage).unwrap();
        let secure = POSTGRES.secure().unwrap();
        self.secret("app/host", host.as_bytes());
        self.secret("app/port", POSTGRES.port().to_string().as_bytes());
        self.secret("app/dbname", secure.database.as_bytes());
        self.secret("app/user", secure.user.as_bytes());
        self.secret("app/password", secure.password.as_bytes());
        self.secret("postgres-ca/ca.crt", &fs::read(&secure.authority).unwrap());
        self
    }

    fn secret(&self, path: &str, content: &[u8]) {
        let file = self.0.place.at("secrets").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn setup(&self) -> Finished {
        self.run(&["setup", "--timeout", "20"])
    }

    fn run(&self, words: &[&str]) -> Finished {
        let mut command = self.0.command(words);
        command.arg("--secrets-dir").arg(self.0.place.at("secrets"));
        Process::start(&mut command).unwrap().wait(SOON).unwrap()
    }

    #[track_caller]
    fn sets_up(&self) {
        let finished = self.setup();
        assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
    }

    #[track_caller]
    fn is_refused(&self, parts: &[&str]) {
        self.refuses(&["setup", "--timeout", "20"], 1, parts);
    }

    #[track_caller]
    fn refuses(&self, words: &[&str], code: i32, parts: &[&str]) {
        let finished = self.run(words);
        refused(&finished, code, parts);
        shows_no_secret(&finished.output.all());
    }

    /// A worker ends with what is wrong in its last line; it has said before that it was started.
    #[track_caller]
    fn ends_its_worker(&self, parts: &[&str]) {
        let port = place::server_port().unwrap();
        let ended = self.run(&["run", "processor", "--listen", &format!("127.0.0.1:{port}")]);
        let said = ended.output.all();
        assert_eq!(ended.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("error: "), "{said}");
        for part in parts {
            assert!(last.contains(part), "`{part}` is not in the last line of: {said}");
        }
        shows_no_secret(&said);
    }
}

#[track_caller]
fn shows_no_secret(said: &str) {
    let (kafka, postgres) = (KAFKA.secure().unwrap(), POSTGRES.secure().unwrap());
    for secret in [WRONG, kafka.password, kafka.other_password, postgres.password, CLERK.1, "PRIVATE KEY"] {
        assert!(!said.contains(secret), "{said}");
    }
}

fn stranger() -> String {
    Authority::new("stranger").unwrap().certificate().to_owned()
}

const CA: &str = "tls: {caCertificate: {secretKeyRef: {name: kafka-ca, key: ca.crt}}}";

fn login(kind: &str) -> String {
    format!("authentication: {{type: {kind}, secretRef: {{name: kafka-user}}}}")
}

#[test]
fn every_way_into_kafka_works_with_the_right_secrets() {
    let secure = KAFKA.secure().unwrap();
    Secured::new("scram", &secure.sasl_plaintext, &login("scram-sha-256")).sets_up();
    Secured::new("scram-tls", &secure.sasl_ssl, &format!("{}, {CA}", login("scram-sha-512"))).sets_up();
    Secured::new("plain", &secure.sasl_plaintext, &login("plain")).sets_up();
    Secured::new("plain-tls", &secure.sasl_ssl, &format!("{}, {CA}", login("plain"))).sets_up();
    let bundle = "tls: {caCertificate: {configMapKeyRef: {name: bundle, key: ca.pem}}}";
    let certificate = "authentication: {type: tls, secretRef: {name: client}}";
    Secured::new("certificate", &secure.ssl, &format!("{certificate}, {bundle}")).sets_up();
}

#[test]
fn a_wrong_password_an_unknown_authority_and_a_missing_certificate_name_their_setting() {
    let secure = KAFKA.secure().unwrap();
    for (n, kind) in ["scram-sha-512", "plain"].into_iter().enumerate() {
        let wrong = Secured::new(&format!("wrong-{n}"), &secure.sasl_plaintext, &login(kind));
        wrong.secret("kafka-user/password", WRONG.as_bytes());
        wrong.is_refused(&["kafka.authentication"]);
    }

    let unknown = Secured::new("unknown", &secure.sasl_ssl, &format!("{}, {CA}", login("scram-sha-512")));
    unknown.secret("kafka-ca/ca.crt", stranger().as_bytes());
    unknown.is_refused(&["kafka.tls.caCertificate"]);

    Secured::new("anonymous", &secure.ssl, CA).is_refused(&["kafka.authentication"]);

    let nothing = Secured::new("nothing", &secure.sasl_ssl, &format!("{}, {CA}", login("scram-sha-512")));
    nothing.secret("kafka-ca/ca.crt", b"-----BEGIN NOTHING-----");
    nothing.is_refused(&["spec.kafka.tls.caCertificate", "PEM"]);
    fs::remove_file(nothing.0.place.at("secrets/kafka-user/password")).unwrap();
    nothing.secret("kafka-ca/ca.crt", &fs::read(&secure.authority).unwrap());
    nothing.is_refused(&["spec.kafka.authentication.secretRef", "no key `password`"]);
}

#[test]
fn postgres_is_verified_in_full_and_what_is_wrong_names_its_setting() {
    let secure = KAFKA.secure().unwrap();
    let secured = |name: &str, mode: &str, host: &str| {
        Secured::new(name, &secure.sasl_plaintext, &login("scram-sha-512")).with_postgres(mode, host)
    };
    secured("full", "verify-full", "localhost").sets_up();
    let wrong = secured("pg-wrong", "verify-full", "localhost");
    wrong.secret("app/password", WRONG.as_bytes());
    wrong.is_refused(&["storage.postgres"]);
    let unknown = secured("pg-unknown", "verify-full", "localhost");
    unknown.secret("postgres-ca/ca.crt", stranger().as_bytes());
    unknown.is_refused(&["storage.postgres.tls"]);
    // Not in the certificate, and this machine all the same.
    secured("pg-name", "verify-full", "0.0.0.0").is_refused(&["storage.postgres"]);
    secured("pg-name", "verify-ca", "0.0.0.0").sets_up();
}

#[test]
fn a_broker_under_a_name_that_its_certificate_does_not_have_is_refused_by_setup_and_by_workers() {
    // Not in the certificate, and this machine all the same.
    let elsewhere = KAFKA.secure().unwrap().sasl_ssl.replace("127.0.0.1", "0.0.0.0");
    let other = Secured::new("kafka-name", &elsewhere, &format!("{}, {CA}", login("scram-sha-512")));
    let parts = ["another host", "`kafka.bootstrapServers`"];
    other.is_refused(&parts);
    other.ends_its_worker(&parts);
}

#[test]
fn a_client_certificate_of_an_authority_that_the_broker_does_not_know_is_refused_with_its_setting() {
    let secure = KAFKA.secure().unwrap();
    let certificate = "authentication: {type: tls, secretRef: {name: client}}";
    let forged = Secured::new("forged", &secure.ssl, &format!("{certificate}, {CA}"));
    // It has the name of a client that may do everything.
    let identity = Authority::new("stranger").unwrap().client(secure.client).unwrap();
    forged.secret("client/user.crt", identity.certificate.as_bytes());
    forged.secret("client/user.key", identity.key.as_bytes());
    let parts = ["the broker wants another client certificate", "`kafka.authentication` (`type: tls`)"];
    forged.is_refused(&parts);
    forged.ends_its_worker(&parts);
    // That it comes to the same listener, and is refused for its authority alone.
    forged.secret("client/user.crt", &fs::read(&secure.client_certificate).unwrap());
    forged.secret("client/user.key", &fs::read(&secure.client_key).unwrap());
    forged.sets_up();
}

/// Grants what docs/servers.md names for workers, on what begins with the monitor's id, and nothing else.
fn grant(prefix: &str) {
    let (bootstrap, user) = (KAFKA.bootstrap(), format!("User:{}", KAFKA.secure().unwrap().other_user));
    let add = |rights: &[&str]| {
        let whom = ["--bootstrap-server", &bootstrap, "--add", "--allow-principal", &user];
        KAFKA
            .tool("AclCommand", &[&whom[..], &["--resource-pattern-type", "prefixed"], rights].concat())
            .unwrap();
    };
    std::thread::scope(|scope| {
        // Describe, read and write of topics; read of groups; describe and write of transactional ids.
        scope.spawn(|| add(&["--operation", "Read", "--topic", prefix, "--group", prefix]));
        let more = ["--operation", "Describe", "--operation", "Write"];
        add(&[&more[..], &["--topic", prefix, "--transactional-id", prefix]].concat());
    });
}

/// A monitor with an alert for a webhook, set up by those who may, and the secrets of those who may only work.
fn set_up_for_workers(hook: &str) -> Secured {
    let (kafka, postgres) = (KAFKA.secure().unwrap(), POSTGRES.secure().unwrap());
    let way = format!("{}, {CA}", login("scram-sha-512"));
    let secured = Secured::new("least", &kafka.sasl_ssl, &way).with_postgres("verify-full", "localhost");
    let text = fs::read_to_string(secured.0.manifest()).unwrap();
    let channels = format!("  channels: [{{name: hook, webhook: {{url: '{hook}'}}}}]\n");
    secured.0.place.write("monitor.yaml", text + &channels).unwrap();
    POSTGRES.rows(&format!("CREATE ROLE {} LOGIN PASSWORD '{}'", CLERK.0, CLERK.1)).unwrap();
    let made = secured.run(&["setup", "--timeout", "20", "--worker-role", CLERK.0]);
    assert_eq!(made.code(), Some(0), "{}", made.output.all());
    let may = format!(
        "SELECT has_schema_privilege('{0}', 'public', 'CREATE') OR has_database_privilege('{0}', '{1}', 'CREATE')",
        CLERK.0, postgres.database
    );
    assert_eq!(POSTGRES.rows_in(postgres.database, &may).unwrap(), [["f"]]);
    secured.secret("kafka-user/username", kafka.other_user.as_bytes());
    secured.secret("kafka-user/password", kafka.other_password.as_bytes());
    secured.secret("app/user", CLERK.0.as_bytes());
    secured.secret("app/password", CLERK.1.as_bytes());
    secured
}

#[test]
fn all_workers_and_commands_need_only_rights_for_the_monitors_prefix_and_a_role_that_makes_no_tables() {
    let stub = Receiver::start(|_| Answer::status(200)).unwrap();
    let mut secured = set_up_for_workers(&stub.url("/"));
    secured.refuses(&["dead-letters", "list"], 3, &["access control", "`kafka.authentication`"]);
    grant("default.least");
    let dir = secured.0.place.at("secrets").display().to_string();
    secured.0.variables.push(("PRICEMONITOR_SECRETS_DIR".to_owned(), dir));
    let fleet = &secured.0;
    let roles = ["producer", "processor", "storage", "alert", "dashboard"];
    let workers = roles.map(|role| fleet.ready(role));

    // A price reaches the database and the page, an alert the webhook, and what is no price is a dead letter.
    let (bootstrap, raw) = (KAFKA.bootstrap(), "default.least.raw_prices");
    let feed = ["--bootstrap-server", &bootstrap, "--topic", raw, "--reader-property", "parse.key=true"];
    KAFKA.feed("ConsoleProducer", &feed, "shop/seat\t{broken\n").unwrap();
    workers[2].wait_metric("pricemonitor_rows_written_total", &["sink=\"history\""], 3.0);
    workers[3].wait_metric("pricemonitor_deliveries_total", &["result=\"ok\""], 1.0);
    let sent: Vec<String> = stub.received().into_iter().filter_map(|request| request.id).collect();
    let query = format!("SELECT count(*) FROM price_drop_alerts WHERE id = '{}'", sent[0]);
    assert_eq!(POSTGRES.rows_in(POSTGRES.secure().unwrap().database, &query).unwrap(), [["1"]]);
    let page = http::get(workers[4].port, "/api/v1/statistics").unwrap();
    let statistics: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert!(statistics["observations"].as_u64() >= Some(3), "{statistics}");

    let list = ["dead-letters", "list", "--format", "json"];
    wait::until("a dead letter", SOON, || fleet.does(&list).lines().count() == 1).unwrap();
    assert_eq!(fleet.does(&["dead-letters", "retry", "0:0"]), "put back 1 record: 0:0\n");
    wait::until("it to come again", SOON, || fleet.does(&list).lines().count() == 2).unwrap();
    let audited = fleet.does(&["audit"]);
    assert!(audited.starts_with("least: clean\n") && audited.contains("2 dead letters"), "{audited}");
    for worker in workers {
        shows_no_secret(&http::get(worker.port, "/metrics").unwrap().body);
        shows_no_secret(&worker.end());
    }
}
