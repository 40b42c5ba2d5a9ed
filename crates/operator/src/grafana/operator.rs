//! The dashboard *Operator*: whether the operator leads, keeps up, and what the API says to it.

use serde_json::Value;

use super::panel::{Row, Unit, lines, number, plain, query, rising};
use super::{Dashboard, PIPELINE, PRICES, Source, link};

/// The dashboard of all operators that a Prometheus reads.
pub fn operator(uid: &str, title: &str) -> Value {
    let why = "The operator itself: who leads, which monitors are well, how fast changes are followed, and what the API answers.";
    Dashboard {
        uid,
        title,
        why,
        source: Source::Prometheus,
        variables: Vec::new(),
        annotations: Vec::new(),
        links: vec![
            link("Pipeline", "What the workers of a monitor do", PIPELINE, ""),
            link("Prices", "What was seen", PRICES, ""),
        ],
        from: "now-3h",
        refresh: "30s",
        rows: &[glance(), work(), calls()],
    }
    .json()
}

fn glance() -> Row {
    Row {
        title: "At a glance",
        panels: vec![
            number(
                "Leaders",
                Unit::Count,
                vec![(0.0, "red"), (1.0, "green"), (2.0, "red")],
                "Replicas that write. One is well; none for longer than half a minute means that nothing is followed any more.",
                "sum(pricemonitor_operator_leader)",
            ),
            number(
                "Monitors",
                Unit::Count,
                plain(),
                "Monitors that the operator looks after.",
                r#"sum(pricemonitor_operator_monitors{condition="Ready"}) or vector(0)"#,
            ),
            number(
                "Not ready",
                Unit::Count,
                rising(1.0, 5.0),
                "Monitors that are not Ready: `kubectl get pm -A` shows which, and why.",
                r#"sum(pricemonitor_operator_monitors{condition="Ready", status!="True"}) or vector(0)"#,
            ),
            number(
                "Degraded",
                Unit::Count,
                rising(1.0, 5.0),
                "Monitors of which something is missing or was not taken by the cluster.",
                r#"sum(pricemonitor_operator_monitors{condition="Degraded", status="True"}) or vector(0)"#,
            ),
            number(
                "Waiting",
                Unit::Count,
                rising(20.0, 200.0),
                "Monitors that wait to be looked at. After a start all of them do, for a short while.",
                "sum(pricemonitor_operator_queue_depth)",
            ),
        ],
    }
}

fn work() -> Row {
    Row {
        title: "Reconciles",
        panels: vec![
            lines(
                "Reconciles",
                Unit::PerSecond,
                "Looks at a monitor, by result. `failed` ones are tried again, less and less often.",
                vec![query(
                    "sum by (result) (rate(pricemonitor_operator_reconciles_total[$__rate_interval]))",
                    "{{result}}",
                )],
            ),
            lines(
                "Duration, 95 %",
                Unit::Seconds,
                "How long nineteen of twenty looks take at most. It is the API's time, nearly all of it.",
                vec![query(
                    "histogram_quantile(0.95, sum by (le) (rate(pricemonitor_operator_reconcile_duration_seconds_bucket[$__rate_interval])))",
                    "95 %",
                )],
            ),
            lines(
                "Under way and waiting",
                Unit::Count,
                "Monitors that are looked at now, and that wait for it.",
                vec![
                    query("sum(pricemonitor_operator_reconciles_active)", "under way"),
                    query("sum(pricemonitor_operator_queue_depth)", "waiting"),
                ],
            ),
        ],
    }
}

fn calls() -> Row {
    Row {
        title: "Kubernetes API",
        panels: vec![
            lines(
                "Calls",
                Unit::PerSecond,
                "Calls of the API, by verb. When nothing changes, only watches are renewed and the Lease is.",
                vec![query(
                    "sum by (verb) (rate(pricemonitor_operator_api_requests_total[$__rate_interval]))",
                    "{{verb}}",
                )],
            ),
            lines(
                "Calls that failed",
                Unit::PerSecond,
                "Calls that the API did not do, by result and resource. `refused` lasts until somebody changes a right or a webhook.",
                vec![query(
                    r#"sum by (result, resource) (rate(pricemonitor_operator_api_requests_total{result!~"ok|not-found"}[$__rate_interval]))"#,
                    "{{result}} {{resource}}",
                )],
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_of_the_operator_is_in_a_panel_and_every_panel_has_one_of_them() {
        let known = include_str!("../metrics.rs");
        let named: BTreeSet<String> = known
            .split("named(\"")
            .skip(1)
            .filter_map(|rest| rest.split_once('"').map(|(name, _)| name.to_owned()))
            .collect();
        assert_eq!(named.len(), 7, "{named:?}");
        let dashboard = operator("u", "t");
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        let mut seen = BTreeSet::new();
        for target in targets {
            for part in target["expr"].as_str().unwrap().split("pricemonitor_operator_").skip(1) {
                let name: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let name = name.trim_end_matches("_bucket").to_owned();
                assert!(named.contains(&name), "{name}");
                seen.insert(name);
            }
        }
        assert_eq!(seen, named);
    }
}
