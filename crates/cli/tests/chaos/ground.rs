//! Servers, manifests and the workload: what the workers work on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pricemonitor_model::partition::partition_of;
use pricemonitor_testkit::feed::HourPrice;
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::proxy::Proxy;
use pricemonitor_testkit::rng::Rng;
use pricemonitor_testkit::topics::{self, Taken};
use pricemonitor_testkit::webhook::Receiver;
use pricemonitor_testkit::{process::Process, wait};

use crate::common::{manifest, pricemonitor};
use crate::crew::Crew;
use crate::hook;
use crate::hours::{self, HOUR, Hours};
use crate::ledger::Ledger;

/// Partitions of the market's topics.
pub const PARTITIONS: u32 = 4;
/// The database.
pub const DATABASE: &str = "chaos";
/// Ids of the monitors.
pub const MARKET: &str = "default.market";
pub const SPOT: &str = "default.spot";
/// The CSV file.
pub const CSV: &str = "data/prices.csv";
/// What the network does.
pub const NETWORKED: &[&str] =
    &["network: latency", "network: cut", "network: half-open", "network: refused"];
/// Longest wait until everything has been read and told.
const DRAIN: Duration = Duration::from_secs(240);
/// How long nothing may be left to do before it is believed; workers look at their lag every few seconds.
const STILL: Duration = Duration::from_secs(6);

/// The ground.
pub struct Ground {
    pub kafka: Kafka,
    pub postgres: Postgres,
    /// In front of the database; the broker has its own.
    pub to_postgres: Proxy,
    pub hook: Receiver,
    /// In front of the receiver, to refuse connections.
    pub to_hook: Proxy,
    /// What the receiver's manners begin with.
    pub phase: u64,
    pub place: Place,
    hours: Option<Hours>,
    /// What was read of the topics in the end.
    topics: BTreeMap<String, Vec<Taken>>,
}

impl Ground {
    /// Servers with topics and tables, manifests, and a file that grows and is revised.
    pub fn new(phase: u64) -> Ground {
        // The broker and its controller talk to each other within the machine that everything here works on: of the
        // test kit's short session a busy one makes an outage of its own, which is none of these faults.
        let session = [("broker.session.timeout.ms", "6000"), ("broker.heartbeat.interval.ms", "500")];
        let properties = session.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = kafka::Options { properties, proxy: true, ..kafka::Options::default() };
        let kafka = Kafka::start(&options).unwrap();
        let postgres = Postgres::start(&postgres::Options::default()).unwrap();
        postgres.rows(&format!("CREATE DATABASE {DATABASE}")).unwrap();
        let to_postgres = Proxy::to(postgres.port()).unwrap();
        let place = Place::new().unwrap();
        let hook = hook::receiver(phase);
        let to_hook = Proxy::to(hook.port()).unwrap();
        let url = |monitor| format!("http://{}{}", to_hook.address(), hook::path(monitor));
        place.write("market.yaml", manifest("market", &market(&url(MARKET)))).unwrap();
        place.write("spot.yaml", manifest("spot", &spot(&url(SPOT)))).unwrap();
        // A day ahead: of hours that are over nobody is told, and none is to end while this goes on.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let hours = Hours::start(&place, now - now % HOUR + 24 * HOUR, Rng::new(phase));
        let ground = Ground {
            kafka,
            postgres,
            to_postgres,
            hook,
            to_hook,
            phase,
            place,
            hours: Some(hours),
            topics: BTreeMap::new(),
        };
        for monitor in ["market.yaml", "spot.yaml"] {
            let mut setup = pricemonitor();
            setup.arg("setup").arg("-f").arg(ground.place.at(monitor)).envs(ground.variables(false));
            let finished = Process::start(&mut setup).unwrap().wait(Duration::from_secs(120)).unwrap();
            assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
        }
        ground
    }

    /// What says to a worker where the servers are; with `shaky` they are reached through the proxies.
    pub fn variables(&self, shaky: bool) -> Vec<(String, String)> {
        let proxy = self.kafka.proxy().unwrap();
        let (bootstrap, port) = if shaky {
            (proxy.address(), self.to_postgres.port())
        } else {
            (self.kafka.bootstrap(), self.postgres.port())
        };
        let of = [
            ("KAFKA_BOOTSTRAP_SERVERS", bootstrap),
            ("POSTGRES_HOST", "127.0.0.1".to_owned()),
            ("POSTGRES_PORT", port.to_string()),
            ("POSTGRES_DB", DATABASE.to_owned()),
            ("POSTGRES_USER", "postgres".to_owned()),
        ];
        of.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Both manifests, or one of them.
    pub fn manifests(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| self.place.at(format!("{name}.yaml"))).collect()
    }

    /// Rows of a query.
    pub fn rows(&self, query: &str) -> Vec<Vec<String>> {
        self.postgres.rows_in(DATABASE, query).unwrap()
    }

    /// A number that a query yields.
    pub fn number(&self, query: &str) -> i64 {
        self.rows(query)[0][0].parse().unwrap()
    }

    /// How many observations of a monitor are in the history.
    pub fn history_rows(&self, monitor: &str) -> i64 {
        self.number(&format!(
            "SELECT count(*) FROM price_history h JOIN series s ON s.id = h.series
             JOIN monitors m ON m.id = s.monitor WHERE m.monitor = '{monitor}'"
        ))
    }

    /// How long the CSV file is, in bytes.
    pub fn csv_length(&self) -> u64 {
        std::fs::metadata(self.place.at(CSV)).map_or(0, |file| file.len())
    }

    /// Ends the producers in order; the file changes no more. All prices that its hours ever showed. Those that nobody
    /// has looked at yet are waited for.
    pub fn stop_sources(&mut self, crew: &mut Crew) -> Vec<HourPrice> {
        let hours = self.hours.take().unwrap().end();
        let waited = wait::until("every price of an hour in the history", DRAIN, || {
            crew.look_after();
            self.history_rows(SPOT) >= hours.len() as i64
        });
        if let Err(error) = waited {
            crew.failures.push(format!("{error}: {} of {}", self.history_rows(SPOT), hours.len()));
        }
        crew.end("producer");
        hours
    }

    /// Reads all topics that are to be judged.
    pub fn read_topics(&mut self) {
        let names: Vec<String> = [
            (MARKET, "raw_prices"),
            (MARKET, "checkpoints"),
            (MARKET, "processed_prices"),
            (MARKET, "price_alerts"),
            (SPOT, "raw_prices"),
            (SPOT, "processed_prices"),
            (SPOT, "price_alerts"),
        ]
        .map(|(monitor, topic)| format!("{monitor}.{topic}"))
        .to_vec();
        let read = topics::all_committed(&self.kafka, &names).unwrap();
        self.topics = names.into_iter().zip(read).collect();
    }

    /// What was read of a topic.
    pub fn topic(&self, name: &str) -> &[Taken] {
        &self.topics[name]
    }

    /// Waits until everything has been read and everybody told.
    pub fn drain(&self, crew: &mut Crew, ledger: &mut Ledger) {
        let began = Instant::now();
        let mut still: Option<Instant> = None;
        let mut left = String::new();
        let waited = wait::until("nothing to be left", DRAIN, || {
            crew.look_after();
            let lag = crew.lag();
            let pending = self.number("SELECT count(*) FROM alert_deliveries WHERE state = 'pending'");
            left = format!("lag {lag:?}, {pending} messages pending");
            if lag.values().all(|lag| *lag == 0.0) && !lag.is_empty() && pending == 0 {
                still.get_or_insert_with(Instant::now).elapsed() >= STILL
            } else {
                still = None;
                false
            }
        });
        match waited {
            Ok(()) => println!("{:.1?} to the end of all work", began.elapsed() - STILL),
            Err(error) => {
                ledger.failures.push(format!("{error}: {left}"));
                crew.tell();
            }
        }
    }
}

/// Names of the four markets: each falls into another partition of the checkpoints, so that every producer has some.
pub fn markets() -> Vec<String> {
    let name = |partition| {
        let mut names = (0..).map(|n| format!("market-{n}"));
        names.find(|name| partition_of(name.as_bytes(), PARTITIONS) == partition).unwrap()
    };
    (0..PARTITIONS).map(name).collect()
}

fn market(hook: &str) -> String {
    let mut rng = Rng::new(11);
    let sources: String = markets()
        .iter()
        .map(|name| {
            let seed = rng.between(1, 1_000_000);
            format!("- {{name: {name}, interval: 900ms, simulator: {{events: 30, seed: {seed}}}}}\n")
        })
        .collect();
    format!(
        "
sources:
{sources}rules:
- {{name: any-drop, drop: {{}}, notify: []}}
- {{name: ten-percent, drop: {{percent: 10}}, notify: []}}
- {{name: slump, drop: {{percent: 20, baseline: lastNotified}}, notify: [hook]}}
- {{name: cheap, below: {{value: 60, clear: 75}}, notify: [hook]}}
channels:
- {{name: hook, webhook: {{url: '{hook}', timeout: {timeout}}}}}
kafka: {{partitions: {PARTITIONS}}}
",
        timeout = hook::TIMEOUT
    )
}

fn spot(hook: &str) -> String {
    format!(
        "
sources:
- {{name: spot, interval: 300ms, file: {{path: {file}, format: porssisahko}}}}
rules:
- {{name: any-drop, drop: {{}}, notify: []}}
- {{name: slump, drop: {{percent: 20, baseline: lastNotified}}, notify: [hook]}}
- {{name: dear, above: {{value: 30, clear: 5}}, notify: [hook]}}
- {{name: free, below: {{value: 0, clear: 6}}, notify: [hook]}}
channels:
- {{name: hook, webhook: {{url: '{hook}', timeout: {timeout}}}}}
storage:
  csv: {{path: prices.csv, source: chaos}}
kafka: {{partitions: 1, key: slotStart}}
",
        file = hours::FILE,
        timeout = hook::TIMEOUT
    )
}
