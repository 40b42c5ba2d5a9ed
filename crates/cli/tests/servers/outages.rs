//! Servers that are away when workers start, and killed while they work: nobody ends, `/readyz` says what is waited for,
//! and every price is stored once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::server::is_running;
use pricemonitor_testkit::{place, topics, wait};
use serde_json::Value;

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, Worker};

const ROLES: [&str; 5] = ["producer", "processor", "storage", "alert", "dashboard"];
/// Those that work on Kafka, and those that work on PostgreSQL.
const ON_KAFKA: [&str; 4] = ["producer", "processor", "storage", "alert"];
const ON_POSTGRES: [&str; 3] = ["storage", "alert", "dashboard"];
/// Longest until `/readyz` is false: a question to a cluster that is away has no answer for ten seconds, and a busy
/// machine gets more.
const HEARD: Duration = Duration::from_secs(30);
/// The server lets everybody in, so it is given to all of them, and shown by none.
const PASSWORD: &str = "PLANTED-password-4714";

/// Servers to be killed: other tests have theirs to themselves.
struct Servers {
    kafka: Kafka,
    postgres: Postgres,
}

/// One test at a time.
fn servers() -> MutexGuard<'static, Servers> {
    static SERVERS: LazyLock<Mutex<Servers>> = LazyLock::new(|| {
        let options = kafka::Options { secure: true, ..Default::default() };
        let postgres = Postgres::start(&postgres::Options::default()).unwrap();
        Mutex::new(Servers { kafka: Kafka::start(&options).unwrap(), postgres })
    });
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    // A test that failed may have left them dead.
    if !is_running(servers.kafka.id()) {
        servers.kafka.restart().unwrap();
    }
    if !is_running(servers.postgres.id()) {
        servers.postgres.restart().unwrap();
    }
    servers
}

impl Servers {
    /// A monitor with topics and a database of its own, logging in with passwords.
    fn fleet(&self, name: &str) -> Fleet {
        let secure = self.kafka.secure().unwrap();
        let spec = "
sources: [{name: market, interval: 100ms, simulator: {events: 5, seed: 5}}]
kafka:
  partitions: 2
  authentication: {type: scram-sha-512, secretRef: {name: kafka-user}}
";
        let mut fleet = Fleet::at(&manifest(name, spec), &secure.sasl_plaintext);
        fleet.place.write("secrets/kafka-user/username", secure.user).unwrap();
        fleet.place.write("secrets/kafka-user/password", secure.password).unwrap();
        let database = name.replace('-', "_");
        self.postgres.rows(&format!("CREATE DATABASE {database}")).unwrap();
        fleet.uses(self.postgres.port(), &database);
        let secrets = fleet.place.at("secrets").display().to_string();
        let more = [("POSTGRES_PASSWORD", PASSWORD), ("PRICEMONITOR_SECRETS_DIR", &secrets)];
        fleet.variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        fleet.does(&["setup"]);
        fleet
    }

    /// What a reason says of Kafka, and of PostgreSQL.
    fn named(&self) -> [String; 2] {
        let kafka = self.kafka.secure().unwrap().sasl_plaintext.clone();
        [kafka, format!("127.0.0.1:{}", self.postgres.port())]
    }
}

/// A worker of each role.
struct Crew(Vec<(&'static str, Worker)>);

impl Crew {
    fn start(fleet: &Fleet) -> Crew {
        Crew(ROLES.map(|role| (role, fleet.start(role, place::server_port().unwrap()))).into())
    }

    /// Nobody ends and nobody tells a secret, until those `waiting` are not ready for a reason with all `parts` (of
    /// several parted by `|`, one), and all others are ready.
    #[track_caller]
    fn until(&mut self, waiting: &[&str], parts: &[&str]) {
        let (began, ids) = (Instant::now(), self.ids());
        let (mut last, mut since) = (Vec::new(), BTreeMap::new());
        let within = if waiting.is_empty() { SOON } else { HEARD };
        let waited = wait::until("readiness", within, || {
            last = self.0.iter_mut().map(|(role, worker)| (*role, says(role, worker))).collect();
            last.iter().fold(true, |all, (role, said)| {
                let so = match said {
                    Some((503, why)) => waiting.contains(role) && parts.iter().all(|part| is_in(why, part)),
                    Some((status, _)) => *status == 200 && !waiting.contains(role),
                    None => false,
                };
                if so {
                    since.entry(*role).or_insert_with(|| began.elapsed());
                }
                all && so
            })
        });
        assert!(waited.is_ok(), "{waiting:?} were to wait for {parts:?}, and the others to work: {last:#?}");
        assert_eq!(ids, self.ids());
        println!("{waiting:?} wait for {parts:?}, after {since:.1?}");
    }

    fn ids(&self) -> Vec<u32> {
        self.0.iter().map(|(_, worker)| worker.process.id()).collect()
    }

    fn worker(&self, role: &str) -> &Worker {
        &self.0.iter().find(|(of, _)| *of == role).unwrap().1
    }

    /// Waits until the producer has told so many prices more.
    fn told(&self, more: f64) {
        let appended = "pricemonitor_observations_appended_total";
        let producer = self.worker("producer");
        producer.wait_metric(appended, &[], producer.metric(appended, &[]) + more);
    }

    /// Ends one, or all that are left. What they said has no secret.
    fn end(&mut self, role: Option<&str>) {
        let ended = self.0.extract_if(.., |(of, _)| role.is_none_or(|role| role == *of));
        for (role, worker) in ended.collect::<Vec<_>>() {
            let said = worker.end();
            assert!(!shows_secret(&said), "{role}: {said}");
        }
    }
}

/// What `/readyz` says of a worker that must not have ended.
fn says(role: &str, worker: &mut Worker) -> Option<(u16, String)> {
    let said = worker.says();
    assert!(!worker.process.has_ended(), "the {role} has ended: {}", worker.process.output().all());
    assert!(!said.as_ref().is_some_and(|(_, why)| shows_secret(why)), "{role}: {said:?}");
    said
}

fn is_in(why: &str, part: &str) -> bool {
    part.split('|').any(|one| why.contains(one))
}

fn shows_secret(text: &str) -> bool {
    [PASSWORD, "app-secret"].iter().any(|secret| text.contains(secret))
}

#[test]
fn every_worker_starts_before_its_servers_and_says_which_it_waits_for() {
    let mut servers = servers();
    let fleet = servers.fleet("before-servers");
    let [at_kafka, at_postgres] = servers.named();
    servers.postgres.kill().unwrap();
    let mut crew = Crew::start(&fleet);
    crew.until(&ON_POSTGRES, &["postgres: ", &at_postgres]);
    servers.postgres.restart().unwrap();
    crew.until(&[], &[]);
    crew.end(None);

    servers.kafka.kill().unwrap();
    let mut crew = Crew::start(&fleet);
    crew.until(&ON_KAFKA, &["kafka: ", &at_kafka]);
    // The database was there, and goes while the other one is waited for.
    servers.postgres.kill().unwrap();
    servers.kafka.restart().unwrap();
    crew.until(&ON_POSTGRES, &["postgres: |database: "]);
    servers.postgres.restart().unwrap();
    crew.until(&[], &[]);
    crew.worker("storage").wait_metric("pricemonitor_rows_written_total", &["sink=\"history\""], 10.0);
    crew.end(None);
}

#[test]
fn every_worker_lives_through_the_kill_of_its_servers_says_so_and_stores_every_price_once() {
    let mut servers = servers();
    let fleet = servers.fleet("killed-servers");
    let [at_kafka, _] = servers.named();
    let mut crew = Crew::start(&fleet);
    crew.until(&[], &[]);
    let stored = |crew: &Crew, more: f64| {
        let (rows, history) = ("pricemonitor_rows_written_total", ["sink=\"history\""]);
        let storage = crew.worker("storage");
        storage.wait_metric(rows, &history, storage.metric(rows, &history) + more);
    };
    stored(&crew, 30.0);

    servers.postgres.kill().unwrap();
    crew.until(&ON_POSTGRES, &["database: "]);
    // Prices that come meanwhile are stored afterwards.
    crew.told(20.0);
    servers.postgres.restart().unwrap();
    crew.until(&[], &[]);
    stored(&crew, 30.0);

    servers.kafka.kill().unwrap();
    crew.until(&ON_KAFKA, &["event log: |lag: |kafka: ", &format!("{at_kafka}|oordinator|cannot ask")]);
    servers.kafka.restart().unwrap();
    crew.until(&[], &[]);
    crew.told(20.0);
    stored(&crew, 20.0);

    crew.end(Some("producer"));
    let lags = |crew: &Crew| -> f64 {
        let readers = ["processor", "storage", "alert"].map(|role| crew.worker(role));
        readers.map(|worker| worker.metric("pricemonitor_consumer_lag_records", &[])).iter().sum()
    };
    let whole = || fleet.run(&["audit"]).output.stdout;
    wait::until("everything to be read", SOON, || lags(&crew) == 0.0 && !whole().contains("behind")).unwrap();
    let told = whole();
    assert!(told.starts_with("killed-servers: clean\n"), "{told}");
    exactly_once(&servers, "killed-servers");
    crew.end(None);
}

/// As Kafka's own consumer sees the topics: one event and one row for every observation.
fn exactly_once(servers: &Servers, monitor: &str) {
    let names = ["raw_prices", "processed_prices"].map(|topic| format!("default.{monitor}.{topic}"));
    let read = topics::all_committed(&servers.kafka, &names).unwrap();
    let value = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let raw: Vec<(u64, u64)> = read[0]
        .iter()
        .filter(|taken| value(&taken.value)["kind"] == "observation")
        .map(|taken| (taken.partition.into(), taken.offset))
        .collect();
    let place = |event: &Value, part: &str| event["coordinates"][part].as_u64().unwrap();
    let mut events: Vec<(u64, u64)> = read[1]
        .iter()
        .map(|taken| value(&taken.value))
        .map(|event| (place(&event, "partition"), place(&event, "offset")))
        .collect();
    events.sort_unstable();
    let query =
        "SELECT o.partition, h.\"offset\" FROM price_history h JOIN sink_offsets o ON o.id = h.stream";
    let rows = servers.postgres.rows_in(&monitor.replace('-', "_"), query).unwrap();
    let mut rows: Vec<(u64, u64)> =
        rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
    rows.sort_unstable();
    assert!(raw.len() > 100 && raw.iter().collect::<BTreeSet<_>>().len() == raw.len());
    assert_eq!(events, raw, "events, and observations");
    assert_eq!(rows, raw, "rows, and observations");
}
