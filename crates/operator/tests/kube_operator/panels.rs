//! What a real Prometheus makes of a real operator.
//!
//! Beside the servers of this program it needs `cargo xtask provision prometheus`.

use std::path::Path;

use pricemonitor_operator::rbac::{self, Account};
use pricemonitor_testkit::prometheus::{self, Prometheus};
use pricemonitor_testkit::wait;
use serde_json::{Value, json};

use crate::support::{SOON, Setting, admin, give_secrets, monitor, text, wait_for};

const FILES: &str = "../../charts/pricemonitor-operator/files";

/// Reads the operator as a ServiceMonitor says, but every second.
fn configuration(port: u16) -> String {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILES).join("alerts/*.yaml");
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n\
         - job_name: pricemonitor-operator-metrics\n  \
           static_configs:\n  \
           - {{targets: ['127.0.0.1:{port}'], labels: {{namespace: panels, pod: operator-0}}}}\n",
        rules.display()
    )
}

/// Takes a right away from the operator, which it then misses.
fn withhold(namespace: &str, resource: &str) {
    let account = Account {
        namespace: namespace.to_owned(),
        name: "operator".to_owned(),
        watch: vec![namespace.to_owned()],
    };
    let mut documents = rbac::documents(&account);
    documents.iter_mut().filter_map(|one| one.get_mut("rules")?.as_array_mut()).for_each(|rules| {
        rules.retain(|rule| rule["resources"][0] != resource);
    });
    admin().apply_all(&documents).unwrap();
}

fn number(series: &Value) -> f64 {
    series["value"][1].as_str().unwrap().parse().unwrap()
}

#[test]
fn every_query_of_the_operators_dashboard_and_every_recorded_rule_has_series_of_a_real_operator() {
    let setting = Setting::new("panels");
    give_secrets("panels");
    let operator = setting.start();
    operator.wait_to_lead();
    let prometheus = Prometheus::start(&configuration(operator.port)).unwrap();
    let rests = monitor("panels", "rests", &json!({"suspend": true}));
    admin().apply_all(&[monitor("panels", "m", &json!({})), rests]).unwrap();
    wait_for("panels", "m", "Ready", "SetupRunning");
    wait_for("panels", "rests", "Ready", "Suspended");
    withhold("panels", "networkpolicies");
    admin().apply_all(&[monitor("panels", "refused", &json!({}))]).unwrap();
    wait_for("panels", "refused", "Ready", "ApplyFailed");

    let board: Value = serde_json::from_str(&text(&format!("{FILES}/dashboards/operator.json"))).unwrap();
    let queries = prometheus::panels(&board, &[("__rate_interval", "15s")]).unwrap();
    assert!(queries.len() > 8, "{queries:?}");
    for (panel, query) in queries {
        prometheus.wait_for(&query, SOON).unwrap_or_else(|error| panic!("{panel}: {error:#}"));
    }
    // Of three monitors two are not ready: one is suspended, by somebody's wish.
    let unready = "job:pricemonitor_operator_monitors_unready:sum";
    let counted = || prometheus.query(unready).unwrap().iter().map(number).sum::<f64>();
    wait::until("two monitors that are not ready", SOON, || counted() == 2.0).unwrap();
    let rules = prometheus.rules().unwrap();
    let ours = rules.iter().filter(|rule| rule["query"].as_str().unwrap().contains("_operator_"));
    let (mut recorded, mut alerts) = (0, 0);
    for rule in ours {
        let name = rule["name"].as_str().unwrap();
        assert!(rule["health"] == "ok" && rule["lastError"].is_null(), "{rule}");
        match rule["type"].as_str() {
            Some("recording") => {
                prometheus.wait_for(name, SOON).unwrap();
                recorded += 1;
            }
            _ => alerts += 1,
        }
    }
    assert!(recorded >= 3 && alerts >= 6, "{recorded} recorded, {alerts} alerts");
    // It waits for its time.
    prometheus.wait_for(r#"ALERTS{alertname="PriceMonitorNotReady", alertstate="pending"}"#, SOON).unwrap();
    let leads = r#"ALERTS{alertname=~"PriceMonitorOperatorNoLeader|PriceMonitorOperatorTwoLeaders"}"#;
    assert_eq!(prometheus.query(leads).unwrap(), Vec::<Value>::new());
    operator.process.terminate(SOON).unwrap();
    prometheus.wait_for(r#"ALERTS{alertname="PriceMonitorOperatorNoLeader"}"#, SOON).unwrap();
}
