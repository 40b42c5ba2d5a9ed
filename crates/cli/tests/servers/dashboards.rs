//! What a real Prometheus makes of real workers: every panel of the dashboard *Pipeline* has series, every rule is
//! evaluated, and each worker exports what docs/metrics.md says of it.
//!
//! Beside the servers of this program it needs `cargo xtask provision prometheus`. Grafana itself is not here: what it puts
//! for a dashboard's variables is written down below.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pricemonitor_testkit::prometheus::{self, Prometheus};
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, wait};
use pricemonitor_workers::Metrics;
use serde_json::Value;

use crate::common::{SOON, manifest, pricemonitor};
use crate::fleet::{self, Fleet, POSTGRES, Worker};

const NAME: &str = "panels";
const ROLES: [&str; 5] = ["producer", "processor", "storage", "alert", "dashboard"];

/// A market that moves all the time, and a file that is never there.
fn spec(hook: &str) -> String {
    format!(
        "
sources:
- {{name: market, interval: 100ms, simulator: {{events: 5, seed: 42}}}}
- {{name: missing, interval: 1s, file: {{path: nowhere.json, mapping: {{jq: '.[]', currency: USD}}}}}}
rules:
- {{name: drop, drop: {{percent: 1}}}}
- {{name: seldom, cooldown: 1h, change: {{percent: 1}}}}
kafka: {{partitions: 2}}
channels:
- {{name: hook, webhook: {{url: '{hook}/hook'}}}}
- {{name: busy, webhook: {{url: '{hook}/busy'}}}}
- {{name: strict, webhook: {{url: '{hook}/strict'}}}}
"
    )
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads each worker as compose's Prometheus does, but every second.
fn configuration(workers: &[(&str, &Worker)]) -> String {
    let rules = root().join("charts/pricemonitor-operator/files/alerts/*.yaml");
    let target = |(role, worker): &(&str, &Worker)| {
        format!("  - {{targets: ['127.0.0.1:{}'], labels: {{pod: {role}}}}}\n", worker.port)
    };
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n\
         - job_name: pricemonitor-workers\n  static_configs:\n{}",
        rules.display(),
        workers.iter().map(target).collect::<String>()
    )
}

/// What is no observation, and what only a newer program understands: that one stops a partition.
fn feed(key: &str, value: &str) {
    fleet::feed(&format!("default.{NAME}.raw_prices"), &format!("{key}\t{value}\n"));
}

/// Metrics that are only told of what does not happen here.
const NOT_HERE: [&str; 1] = ["pricemonitor_records_skipped_total"];

/// What a worker exports, by the names of the registry.
fn exported(worker: &Worker) -> BTreeSet<String> {
    let text = http::get(worker.port, "/metrics").unwrap().body;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    names.filter(|name| !NOT_HERE.contains(name)).map(str::to_owned).collect()
}

/// What the reference says that it exports.
fn promised(role: &str) -> BTreeSet<String> {
    let metrics = Metrics::new().unwrap();
    let of = metrics.described().iter().filter(|metric| metric.by.contains(&role));
    of.map(|metric| metric.name.clone()).filter(|name| !NOT_HERE.contains(&&**name)).collect()
}

/// Everything that can go wrong goes wrong once, so that there are series of it.
fn trouble(fleet: &Fleet, storage: &Worker, processor: &Worker) {
    feed("a", "{broken");
    processor.wait_metric("pricemonitor_dead_letters_total", &["reason=\"malformed\""], 1.0);
    fleet.rows("ALTER TABLE price_history RENAME TO away");
    storage.wait_metric("pricemonitor_worker_restarts_total", &["worker=\"storage\""], 1.0);
    fleet.rows("ALTER TABLE away RENAME TO price_history");
    feed("a", r#"{"v": 99, "kind": "observation"}"#);
    processor.wait_metric("pricemonitor_transactions_aborted_total", &["worker=\"processor\""], 1.0);
}

/// Whether one of the series is a number.
fn tells(series: &[Value]) -> bool {
    series
        .iter()
        .any(|one| one["value"][1].as_str().is_some_and(|text| text.parse().is_ok_and(f64::is_finite)))
}

#[test]
fn every_query_of_the_pipelines_dashboard_and_every_recorded_rule_has_series_of_real_workers() {
    let stub = Receiver::start(|request| match &*request.path {
        "/busy" => Answer::status(503),
        "/strict" => Answer::status(400),
        _ => Answer::status(200),
    })
    .unwrap();
    let hook = stub.url("/");
    let fleet = Fleet::new(&manifest(NAME, &spec(hook.trim_end_matches('/')))).with_database(NAME);
    fleet.does(&["setup"]);
    let [producer, processor, storage, alert, page] = ROLES.map(|role| fleet.ready(role));
    let workers = [&producer, &processor, &storage, &alert, &page];
    let named: Vec<(&str, &Worker)> = ROLES.into_iter().zip(workers).collect();
    let prometheus = Prometheus::start(&configuration(&named)).unwrap();
    trouble(&fleet, &storage, &processor);

    let board: Value =
        serde_json::from_str(&text("charts/pricemonitor-operator/files/dashboards/pipeline.json")).unwrap();
    let id = format!("default.{NAME}");
    let queries = prometheus::panels(&board, &[("monitor", &id), ("__rate_interval", "15s")]).unwrap();
    assert!(queries.len() > 20, "{queries:?}");
    for (panel, query) in &queries {
        let found = wait::until("numbers", SOON, || tells(&prometheus.query(query).unwrap()));
        found.unwrap_or_else(|error| panic!("{panel}: {query}: {error}"));
    }
    let chosen = prometheus.query("group by (monitor) (pricemonitor_source_polls_total)").unwrap();
    assert_eq!(chosen.len(), 1, "what the variable chooses from: {chosen:?}");
    of_rules(&prometheus);
    for (role, worker) in &named {
        let promised = promised(role);
        let _ = wait::until("everything to be exported", SOON, || exported(worker) == promised);
        assert_eq!(exported(worker), promised, "what {role} exports, and what docs/metrics.md says");
    }
    // While nobody produces, and the others live, that is told.
    assert_eq!(firing(&prometheus, "PriceMonitorNoProducer").len(), 0);
    producer.end();
    wait::until("a producer to be missed", SOON, || firing(&prometheus, "PriceMonitorNoProducer").len() == 1)
        .unwrap();
    for worker in [processor, storage, alert, page] {
        worker.end();
    }
}

/// An alert, whether it still waits for its time or fires.
fn firing(prometheus: &Prometheus, name: &str) -> Vec<Value> {
    prometheus.query(&format!("ALERTS{{alertname=\"{name}\"}}")).unwrap()
}

fn of_rules(prometheus: &Prometheus) {
    let rules = prometheus.rules().unwrap();
    let (mut recorded, mut alerts) = (0, 0);
    for rule in &rules {
        let (name, query) = (rule["name"].as_str().unwrap(), rule["query"].as_str().unwrap());
        prometheus.query(query).unwrap();
        assert!(rule["health"] == "ok" && rule["lastError"].is_null(), "{rule}");
        match rule["type"].as_str() {
            Some("alerting") => alerts += 1,
            // There is no operator here.
            _ if name.contains("_operator_") => {}
            _ => {
                prometheus.wait_for(name, SOON).unwrap();
                recorded += 1;
            }
        }
    }
    assert!(recorded >= 9 && alerts >= 25, "{recorded} recorded, {alerts} alerts");
    for alert in ["PriceMonitorDeadLetters", "PriceMonitorAlertsNotTold", "PriceMonitorSourceNeverRead"] {
        wait::until(alert, SOON, || !firing(prometheus, alert).is_empty()).unwrap();
    }
    for alert in ["PriceMonitorOperatorNoLeader", "PriceMonitorTargetDown", "PriceMonitorWorkersNotScraped"] {
        assert_eq!(firing(prometheus, alert), Vec::<Value>::new(), "{alert}");
    }
}

/// The commands of docs/runbooks.md are shown in sentences, and for an emergency: that they exist is what can be tried.
#[test]
fn every_command_of_the_runbooks_is_one_of_the_program() {
    let runbooks = text("docs/runbooks.md").replace('\n', " ");
    let spans = runbooks.split('`').skip(1).step_by(2);
    let commands: BTreeSet<&str> =
        spans.filter_map(|span| Some(span.split_once("pricemonitor ")?.1)).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().take_while(|word| !word.starts_with('-')).collect();
        let help = pricemonitor().args(&words).arg("--help").output().unwrap();
        assert!(help.status.success(), "{command}: {}", String::from_utf8_lossy(&help.stderr));
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for option in command.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{command}: there is no {option} in\n{help}");
        }
    }
    let database = "panels_columns";
    let fleet = Fleet::new(&manifest("columns", crate::shop::SOURCE)).with_database(database);
    fleet.does(&["setup"]);
    let statements: Vec<&str> =
        runbooks.split('`').skip(1).step_by(2).filter(|span| span.starts_with("SELECT ")).collect();
    assert_eq!(statements.len(), 2, "{statements:?}");
    for statement in statements {
        POSTGRES.rows_in(database, statement).unwrap();
    }
}
