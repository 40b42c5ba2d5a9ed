//! Workers of one monitor as processes of their own, on a real cluster.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::place::{self, Place};
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::{http, wait};

use crate::common::{SOON, pricemonitor};

/// One broker for all tests of this program; it ends with the process.
pub static KAFKA: LazyLock<Kafka> = LazyLock::new(|| Kafka::start(&kafka::Options::default()).unwrap());

/// One database server, likewise.
pub static POSTGRES: LazyLock<Postgres> =
    LazyLock::new(|| Postgres::start(&postgres::Options::default()).unwrap());

/// Writes records by Kafka's own producer: key, tab and value on each line.
pub fn feed(topic: &str, lines: &str) {
    let bootstrap = KAFKA.bootstrap();
    let feed = ["--bootstrap-server", &bootstrap, "--topic", topic, "--reader-property", "parse.key=true"];
    KAFKA.feed("ConsoleProducer", &feed, lines).unwrap();
}

/// A manifest, a data folder and the workers on them.
pub struct Fleet {
    pub place: Place,
    /// Every process is given these.
    pub variables: Vec<(String, String)>,
    database: String,
}

/// A worker that runs, or ran.
pub struct Worker {
    pub process: Process,
    pub port: u16,
}

impl Fleet {
    pub fn new(manifest: &str) -> Fleet {
        Fleet::at(manifest, &KAFKA.bootstrap())
    }

    /// On another broker.
    pub fn at(manifest: &str, bootstrap: &str) -> Fleet {
        let place = Place::new().unwrap();
        place.write("monitor.yaml", manifest).unwrap();
        let variables = vec![("KAFKA_BOOTSTRAP_SERVERS".to_owned(), bootstrap.to_owned())];
        Fleet { place, variables, database: String::new() }
    }

    /// With a database of its own, told by variables.
    pub fn with_database(mut self, name: &str) -> Fleet {
        POSTGRES.rows(&format!("CREATE DATABASE {name}")).unwrap();
        self.uses(POSTGRES.port(), name);
        self.database = name.to_owned();
        self
    }

    /// Says where the database is.
    pub fn uses(&mut self, port: u16, database: &str) {
        let port = port.to_string();
        let of = [("HOST", "127.0.0.1"), ("PORT", &port), ("DB", database), ("USER", "postgres")];
        self.variables.extend(of.map(|(part, value)| (format!("POSTGRES_{part}"), value.to_owned())));
    }

    pub fn rows(&self, query: &str) -> Vec<Vec<String>> {
        POSTGRES.rows_in(&self.database, query).unwrap()
    }

    /// How many rows there are of what stands behind `FROM`.
    pub fn count(&self, from: &str) -> i64 {
        self.rows(&format!("SELECT count(*) FROM {from}"))[0][0].parse().unwrap()
    }

    pub fn manifest(&self) -> PathBuf {
        self.place.at("monitor.yaml")
    }

    /// A command of the real program on this monitor.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = pricemonitor();
        command.args(words).arg("-f").arg(self.manifest());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, words: &[&str]) -> Finished {
        Process::start(&mut self.command(words)).unwrap().wait(SOON).unwrap()
    }

    /// As [`Fleet::run`], and it must work.
    #[track_caller]
    pub fn does(&self, words: &[&str]) -> String {
        let finished = self.run(words);
        assert_eq!(finished.code(), Some(0), "{words:?}: {}", finished.output.all());
        finished.output.stdout
    }

    /// Starts a worker; `port` says who it is, also after a restart.
    pub fn start(&self, role: &str, port: u16) -> Worker {
        self.start_with(role, port, &[])
    }

    /// As [`Fleet::start`], with more options.
    pub fn start_with(&self, role: &str, port: u16, options: &[&str]) -> Worker {
        let mut command = self.command(&["run", role]);
        command.args(options).arg("--data-dir").arg(self.place.at("data"));
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        Worker { process: Process::start(&mut command).unwrap(), port }
    }

    /// Starts everything in one process, on the servers that the options name.
    pub fn up(&self, options: &[&str]) -> Worker {
        let port = place::server_port().unwrap();
        let mut command = self.command(&["up"]);
        command.args(options).arg("--data-dir").arg(self.place.at("data"));
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        Worker { process: Process::start(&mut command).unwrap(), port }
    }

    /// Starts a worker with a port of its own, and waits until it is ready.
    pub fn ready(&self, role: &str) -> Worker {
        let mut worker = self.start(role, place::server_port().unwrap());
        worker.ready();
        worker
    }
}

impl Worker {
    #[track_caller]
    pub fn ready(&mut self) {
        let port = self.port;
        self.process
            .wait_until("it to be ready", SOON, |_| {
                http::get(port, "/readyz").is_ok_and(|answer| answer.status == 200)
            })
            .unwrap();
    }

    /// What `/readyz` says, with its status.
    pub fn says(&self) -> Option<(u16, String)> {
        http::get(self.port, "/readyz").ok().map(|answer| (answer.status, answer.body))
    }

    /// A metric, 0 while it is not there.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        http::get(self.port, "/metrics")
            .ok()
            .and_then(|it| http::metric(&it.body, name, labels))
            .unwrap_or(0.0)
    }

    #[track_caller]
    pub fn wait_metric(&self, name: &str, labels: &[&str], at_least: f64) {
        wait::until(&format!("{name} to be {at_least}"), SOON, || self.metric(name, labels) >= at_least)
            .unwrap();
    }

    /// Ends in order, within the time that is promised.
    #[track_caller]
    pub fn end(self) -> String {
        let finished = self.process.terminate(std::time::Duration::from_secs(5)).unwrap();
        assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
        finished.output.all()
    }
}
