//! Log-in and encryption as the manifest says, with secrets from files; what is wrong is named, never shown.

use std::fs;
use std::sync::LazyLock;

use pricemonitor_testkit::certificates::Authority;
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::wait;

use crate::common::{SOON, manifest, refused};
use crate::fleet::Fleet;

static KAFKA: LazyLock<Kafka> =
    LazyLock::new(|| Kafka::start(&kafka::Options { secure: true, ..Default::default() }).unwrap());
static POSTGRES: LazyLock<Postgres> =
    LazyLock::new(|| Postgres::start(&postgres::Options { secure: true, ..Default::default() }).unwrap());

const MARKET: &str = "sources: [{name: market, interval: 200ms, simulator: {events: 3, seed: 5}}]";
const WRONG: &str = "hunter2-but-wrong";

/// A monitor on the secure servers, with its secrets.
struct Secured(Fleet);

impl Secured {
    /// `listener` and what stands below `kafka` beside it.
    fn new(name: &str, listener: &str, kafka: &str) -> Secured {
        let spec = format!("{MARKET}\nkafka: {{bootstrapServers: '{listener}', {kafka}}}");
        let mut fleet = Fleet::new(&manifest(name, &spec));
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
        let mut command = self.0.command(&["setup", "--timeout", "20"]);
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
        let finished = self.setup();
        refused(&finished, 1, parts);
        let said = finished.output.all();
        for secret in [WRONG, KAFKA.secure().unwrap().password, "PRIVATE KEY"] {
            assert!(!said.contains(secret), "{said}");
        }
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
    let bundle = "tls: {caCertificate: {configMapKeyRef: {name: bundle, key: ca.pem}}}";
    let certificate = "authentication: {type: tls, secretRef: {name: client}}";
    Secured::new("certificate", &secure.ssl, &format!("{certificate}, {bundle}")).sets_up();
}

#[test]
fn a_wrong_password_an_unknown_authority_and_a_missing_certificate_name_their_setting() {
    let secure = KAFKA.secure().unwrap();
    let wrong = Secured::new("wrong", &secure.sasl_plaintext, &login("scram-sha-512"));
    wrong.secret("kafka-user/password", WRONG.as_bytes());
    wrong.is_refused(&["kafka.authentication"]);

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
fn a_worker_runs_on_secure_servers_and_shows_no_secret_anywhere() {
    let secure = KAFKA.secure().unwrap();
    let kafka = format!("{}, {CA}", login("scram-sha-512"));
    let secured = Secured::new("works", &secure.sasl_ssl, &kafka).with_postgres("verify-full", "localhost");
    secured.sets_up();
    let mut fleet = secured.0;
    let dir = fleet.place.at("secrets").display().to_string();
    fleet.variables.push(("PRICEMONITOR_SECRETS_DIR".to_owned(), dir));
    let workers = ["producer", "processor", "storage"].map(|role| fleet.ready(role));
    wait::until("stored prices", SOON, || {
        workers[2].metric("pricemonitor_rows_written_total", &["sink=\"history\""]) >= 3.0
    })
    .unwrap();
    for worker in workers {
        let told = worker.end();
        assert!(
            !told.contains(secure.password) && !told.contains(POSTGRES.secure().unwrap().password),
            "{told}"
        );
    }
}
