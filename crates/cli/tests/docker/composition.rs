//! The composition, run.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pricemonitor_testkit::docker::{self, Client, Engine, IMAGE, StandIn};
use pricemonitor_testkit::place::{self, Place};
use pricemonitor_testkit::{feed, http, wait};
use serde_json::Value;

use super::{built, root};

/// Longest wait for anything that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(90);
/// For everything to start at once on two cores; where images are pulled and built, that too.
const START: Duration = Duration::from_secs(40 * 60);
const PROJECT: &str = "pricemonitor-test";
const PROFILES: [&str; 4] = ["--profile", "tickets", "--profile", "electricity"];

struct Composition {
    /// `None`: the engine of whoever runs the test, which can pull images.
    own: Option<Engine>,
    place: Place,
    ports: [(&'static str, u16); 6],
}

impl Composition {
    /// On an engine of the test's own, else on the one that there is.
    fn new() -> Composition {
        let place = Place::new().unwrap();
        let watched = place.write("watched/latest-prices.json", file(&["4.2"])).unwrap();
        for path in [watched.as_path(), watched.parent().unwrap()] {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let own = docker::obstacle().is_none().then(|| Engine::apart().unwrap());
        if let Some(engine) = &own {
            // The image is built again, of layers that are there: so the composition's own words on building are used.
            place.write("override.yaml", engine.override_of(&["dashboard"]).unwrap()).unwrap();
        }
        let mut ports = [
            ("DASHBOARD_PORT", 8501),
            ("KAFKA_UI_PORT", 8080),
            ("PROMETHEUS_PORT", 9090),
            ("GRAFANA_PORT", 3000),
            ("KAFKA_PORT", 9094),
            ("POSTGRES_PUBLISHED_PORT", 5432),
        ];
        if own.is_none() {
            ports.iter_mut().for_each(|(_, port)| *port = place::free_port().unwrap());
        }
        Composition { own, place, ports }
    }

    /// `docker compose` with the shipped file. On an engine of the test's own stand-ins are in the place of what cannot be
    /// pulled.
    fn compose(&self, words: &[&str], within: Duration) -> Result<String, String> {
        let overriding = self.place.at("override.yaml");
        let mut all = vec!["compose", "--ansi=never", "--project-name", PROJECT, "--env-file", "/dev/null"];
        all.extend(["--file", "docker/compose.yaml"]);
        if self.own.is_some() {
            all.extend(["--file", overriding.to_str().unwrap()]);
        }
        all.extend(words);
        let mut client = match &self.own {
            Some(engine) => [
                ("PRICEMONITOR_IMAGE", IMAGE),
                ("KAFKA_IMAGE", StandIn::Kafka.image()),
                ("POSTGRES_IMAGE", StandIn::Postgres.image()),
                ("PROMETHEUS_IMAGE", StandIn::Prometheus.image()),
                ("GRAFANA_IMAGE", StandIn::Nothing.image()),
                ("KAFKA_UI_IMAGE", StandIn::Nothing.image()),
            ]
            .into_iter()
            .fold(engine.client(all), |client, (name, value)| client.with(name, value)),
            None => Client::theirs(all),
        };
        for (name, port) in self.ports {
            client = client.with(name, port.to_string());
        }
        for name in ["BIND_ADDRESS", "SERVERS_BIND_ADDRESS"] {
            client = client.with(name, self.address().to_string());
        }
        client = client.with("ELECTRICITY_FOLDER", self.place.at("watched"));
        client.within(&root()).run(within).map_err(|error| format!("{error:#}"))
    }

    /// Where its ports are published.
    fn address(&self) -> Ipv4Addr {
        self.own.as_ref().map_or(Ipv4Addr::LOCALHOST, Engine::address)
    }

    /// What docker lists of this composition, with everything that it lists otherwise left out.
    fn listed(&self, words: &[&str]) -> String {
        let filter = format!("label=com.docker.compose.project={PROJECT}");
        let words = [words, &["--quiet", "--filter", &filter]].concat();
        let client = self.own.as_ref().map_or_else(|| Client::theirs(&words), |engine| engine.client(&words));
        client.run(SOON).unwrap()
    }

    fn up(&self) {
        let words =
            [&PROFILES[..], &["up", "--build", "--detach", "--wait", "--wait-timeout", "240"]].concat();
        self.compose(&words, START).unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
    }

    /// What somebody would look at first.
    fn story(&self) -> String {
        let look = |words: &[&str]| {
            self.compose(&[&PROFILES[..], words].concat(), SOON).unwrap_or_else(|error| error)
        };
        format!("{}\n{}", look(&["ps", "--all"]), look(&["logs", "--tail=25"]))
    }

    fn get(&self, port: &str, path: &str) -> String {
        let (_, port) = self.ports.iter().find(|(name, _)| *name == port).unwrap();
        let answer =
            http::get_as(&format!("localhost:{port}"), SocketAddr::from((self.address(), *port)), path);
        answer.map(|answer| format!("{}\n{}", answer.status, answer.body)).unwrap_or_default()
    }

    /// Prices that the page knows of a monitor.
    fn prices(&self, monitor: &str) -> usize {
        let text = self.get("DASHBOARD_PORT", &format!("/api/v1/prices.csv?monitor={monitor}"));
        if text.starts_with("200") { text.lines().count().saturating_sub(2) } else { 0 }
    }

    fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        wait::until(what, SOON, is_so).unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
    }

    /// Asks PostgreSQL as the role of Grafana.
    fn as_grafana(&self, query: &str) -> Result<String, String> {
        let psql = [
            "psql",
            "--host=127.0.0.1",
            "--username=grafana",
            "--dbname=prices",
            "--tuples-only",
            "--no-align",
            "--command",
            query,
        ];
        let words = [&["exec", "-T", "--env", "PGPASSWORD=grafana", "postgres"], &psql[..]].concat();
        self.compose(&words, SOON)
    }
}

/// The watched file with these prices, an hour each from tomorrow on: of what is over nobody is told.
fn file(prices: &[&str]) -> String {
    const HOUR: i64 = 3_600_000;
    static BEGIN: OnceLock<i64> = OnceLock::new();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let begin = BEGIN.get_or_init(|| now() / HOUR * HOUR + 24 * HOUR);
    let one = |(start, price): (i64, &&str)| {
        let (start, end) = (feed::instant(start), feed::instant(start + HOUR - 1));
        format!(r#"{{"price": {price}, "startDate": "{start}", "endDate": "{end}"}}"#)
    };
    let slots: Vec<String> = (0..).map(|n| begin + n * HOUR).zip(prices).map(one).collect();
    format!(r#"{{"prices": [{}]}}"#, slots.join(", "))
}

#[test]
fn the_composition_gets_healthy_prices_flow_they_survive_a_restart_and_nothing_is_left() {
    if docker::obstacle().is_some() && docker::is_there() {
        println!("on the engine of this machine, with the images that the file names");
    } else if built().is_none() {
        return;
    }
    let composition = Composition::new();
    composition.up();
    let [tickets, electricity] = ["default.concert-tickets", "default.electricity-price-monitor"];
    composition.until("prices of both monitors on the page", || {
        composition.prices(tickets) > 20 && composition.prices(electricity) == 1
    });
    assert!(composition.get("DASHBOARD_PORT", "/").contains("<html"), "{}", composition.story());

    // Somebody edits the watched file.
    std::fs::write(composition.place.at("watched/latest-prices.json"), file(&["4.2", "-0.5"])).unwrap();
    composition.until("the new hour", || composition.prices(electricity) == 2);
    composition.until("the new hour's alert", || {
        composition
            .get("DASHBOARD_PORT", &format!("/api/v1/alerts?monitor={electricity}"))
            .contains("negative")
    });
    let csv = composition.place.at("prices.csv");
    composition
        .compose(
            &[
                "--profile",
                "electricity",
                "cp",
                "electricity-storage:/data/electricity_prices.csv",
                csv.to_str().unwrap(),
            ],
            SOON,
        )
        .unwrap();
    let lines = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");

    // What Grafana and Prometheus would show.
    let seen = composition.as_grafana("SELECT count(*) > 20 FROM price_history").unwrap();
    assert_eq!(seen.trim(), "t");
    let refused = composition.as_grafana("DELETE FROM price_history").unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");
    composition.until("Prometheus to see every worker", || up(&composition) == 9);
    let rules: Value =
        serde_json::from_str(composition.get("PROMETHEUS_PORT", "/api/v1/rules").split_once('\n').unwrap().1)
            .unwrap();
    assert!(rules["data"]["groups"].as_array().is_some_and(|groups| !groups.is_empty()), "{rules}");

    // Down and up: volumes stay, and nothing is lost.
    let (prices, hours) = (composition.prices(tickets), composition.prices(electricity));
    composition.compose(&["--profile", "*", "down"], START).unwrap();
    composition.up();
    composition.until("more prices than before", || composition.prices(tickets) > prices);
    assert_eq!(composition.prices(electricity), hours);

    composition.compose(&["--profile", "*", "down", "--volumes"], START).unwrap();
    for what in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
        assert_eq!(composition.listed(what), "", "{what:?}");
    }
}

/// Workers that Prometheus reaches.
fn up(composition: &Composition) -> usize {
    let text = composition
        .get("PROMETHEUS_PORT", "/api/v1/query?query=up%7Bjob%3D%22pricemonitor-workers%22%7D%3D%3D1");
    let Some((_, body)) = text.split_once('\n') else { return 0 };
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    answer["data"]["result"].as_array().map_or(0, Vec::len)
}
