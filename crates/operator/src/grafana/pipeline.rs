//! The dashboard *Pipeline*: from the source to the person, by the metrics of the workers.

use serde_json::Value;

use super::panel::{Row, Unit, lines, number, plain, query, rising};
use super::{Dashboard, OPERATOR, PRICES, Source, link, variable};

/// The dashboard of one monitor, or, without one, of whichever is chosen. `monitor` is namespace and name with a dot
/// between them, as in the metrics.
pub fn pipeline(uid: &str, title: &str, monitor: Option<&str>) -> Value {
    let variable = match monitor {
        Some(name) => variable::constant("monitor", "Monitor", name),
        None => variable::label(
            "monitor",
            "Monitor",
            "Namespace and name of the monitor.",
            "label_values(pricemonitor_source_polls_total, monitor)",
        ),
    };
    let why = "From the source to the person: what is read, processed, stored and told, and how far behind each step is.";
    Dashboard {
        uid,
        title,
        why,
        source: Source::Prometheus,
        variables: vec![variable],
        annotations: Vec::new(),
        links: vec![
            link("Prices", "What this monitor saw", PRICES, "?${monitor:queryparam}"),
            link("Operator", "Who runs the workers", OPERATOR, ""),
        ],
        from: "now-3h",
        refresh: "30s",
        rows: &[glance(), sources(), processing(), lag(), keeping(), telling()],
    }
    .json()
}

fn glance() -> Row {
    Row {
        title: "At a glance",
        panels: vec![
            number(
                "Oldest source",
                Unit::Seconds,
                rising(600.0, 3_600.0),
                "How long ago the source was read that has not been read for the longest. It should stay near the longest interval.",
                r#"time() - min(pricemonitor_source_last_success_timestamp_seconds{monitor="$monitor"} > 0)"#,
            ),
            number(
                "Behind",
                Unit::Seconds,
                rising(10.0, 60.0),
                "Age of the oldest record that a worker has still to read. It grows when a worker is down or too slow.",
                r#"max(pricemonitor_consumer_lag_seconds{monitor="$monitor"})"#,
            ),
            number(
                "Observations in an hour",
                Unit::Count,
                plain(),
                "Prices that were read and are in the log. Only changes of a file or document are; a simulator has one each time.",
                r#"sum(increase(pricemonitor_observations_appended_total{monitor="$monitor"}[1h]))"#,
            ),
            number(
                "Alerts in an hour",
                Unit::Count,
                plain(),
                "Hits of the rules, without those that a cooldown kept back.",
                r#"sum(increase(pricemonitor_alerts_total{monitor="$monitor"}[1h])) or vector(0)"#,
            ),
            number(
                "Alerts that wait",
                Unit::Count,
                rising(1.0, 20.0),
                "Alerts that a channel has not taken yet. They are tried again until they are too old.",
                r#"max(sum by (instance) (pricemonitor_deliveries_pending{monitor="$monitor"})) or vector(0)"#,
            ),
            number(
                "Dead letters in a day",
                Unit::Count,
                rising(1.0, 100.0),
                "Records that could not be acted on: `pricemonitor dead-letters list` shows them.",
                r#"sum(increase(pricemonitor_dead_letters_total{monitor="$monitor"}[24h])) or vector(0)"#,
            ),
        ],
    }
}

fn sources() -> Row {
    Row {
        title: "Sources",
        panels: vec![
            lines(
                "Looks",
                Unit::PerSecond,
                "Looks at each source, by outcome. `unchanged` is well: nothing new was there.",
                vec![query(
                    r#"sum by (source, outcome) (rate(pricemonitor_source_polls_total{monitor="$monitor"}[$__rate_interval]))"#,
                    "{{source}} {{outcome}}",
                )],
            ),
            lines(
                "Duration of a look, 95 %",
                Unit::Seconds,
                "How long nineteen of twenty looks take at most. A source that nears its time-out soon fails.",
                vec![query(
                    r#"histogram_quantile(0.95, sum by (source, le) (rate(pricemonitor_source_poll_duration_seconds_bucket{monitor="$monitor"}[$__rate_interval])))"#,
                    "{{source}}",
                )],
            ),
            lines(
                "Failed looks",
                Unit::PerSecond,
                "Failed looks by reason. A source that fails is tried again, at most as often as its interval says.",
                vec![query(
                    r#"sum by (source, reason) (rate(pricemonitor_source_errors_total{monitor="$monitor"}[$__rate_interval]))"#,
                    "{{source}} {{reason}}",
                )],
            ),
        ],
    }
}

fn processing() -> Row {
    Row {
        title: "Event log and processing",
        panels: vec![
            lines(
                "Observations",
                Unit::PerSecond,
                "What goes into the log, and what is processed, by direction of the price.",
                vec![
                    query(
                        r#"sum(rate(pricemonitor_observations_appended_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "appended",
                    ),
                    query(
                        r#"sum by (direction) (rate(pricemonitor_observations_processed_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "processed {{direction}}",
                    ),
                ],
            ),
            lines(
                "Duration of transactions",
                Unit::Seconds,
                "From the begin of a transaction to the answer to its commit, and of an append. Slow brokers show here first.",
                vec![
                    query(
                        r#"histogram_quantile(0.99, sum by (worker, le) (rate(pricemonitor_transaction_duration_seconds_bucket{monitor="$monitor"}[$__rate_interval])))"#,
                        "{{worker}} 99 %",
                    ),
                    query(
                        r#"histogram_quantile(0.99, sum by (le) (rate(pricemonitor_append_duration_seconds_bucket{monitor="$monitor"}[$__rate_interval])))"#,
                        "append 99 %",
                    ),
                ],
            ),
        ],
    }
}

fn lag() -> Row {
    Row {
        title: "Lag and restore",
        panels: vec![
            lines(
                "Seconds behind",
                Unit::Seconds,
                "Age of the oldest record that each worker has still to read. A worker whose line grows is down, too slow, or \
                 waits for what it writes to.",
                vec![query(
                    r#"max by (worker) (pricemonitor_consumer_lag_seconds{monitor="$monitor"})"#,
                    "{{worker}}",
                )],
            )
            .bounded(rising(10.0, 60.0)),
            lines(
                "Records behind",
                Unit::Count,
                "Records that each worker has still to read, of all partitions.",
                vec![query(
                    r#"sum by (worker) (max by (worker, partition) (pricemonitor_consumer_lag_records{monitor="$monitor"}))"#,
                    "{{worker}}",
                )],
            ),
            lines(
                "Works",
                Unit::Count,
                "1 while a worker, or what it stands on, works; 0 while it starts or does not. `/readyz` of the worker says why.",
                vec![query(
                    r#"min by (worker) (pricemonitor_worker_ready{monitor="$monitor"})"#,
                    "{{worker}}",
                )],
            ),
            lines(
                "Restore",
                Unit::Ratio,
                "How much of a partition's state is restored after a processor got it. Below 100 % it does nothing yet.",
                vec![query(
                    r#"min by (partition) (pricemonitor_restore_progress_ratio{monitor="$monitor"})"#,
                    "partition {{partition}}",
                )],
            ),
        ],
    }
}

fn keeping() -> Row {
    Row {
        title: "History",
        panels: vec![
            lines(
                "Rows written",
                Unit::PerSecond,
                "Rows of the history, the CSV file and the alerts. Rows that were there already are told apart: a few after a restart are well.",
                vec![
                    query(
                        r#"sum by (sink) (rate(pricemonitor_rows_written_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "{{sink}}",
                    ),
                    query(
                        r#"sum by (sink) (rate(pricemonitor_duplicates_refused_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "{{sink}}, there already",
                    ),
                ],
            ),
            lines(
                "Duration of a write, 95 %",
                Unit::Seconds,
                "How long a batch takes to be written. A slow database shows here, then as lag of storage.",
                vec![query(
                    r#"histogram_quantile(0.95, sum by (sink, le) (rate(pricemonitor_sink_write_duration_seconds_bucket{monitor="$monitor"}[$__rate_interval])))"#,
                    "{{sink}}",
                )],
            ),
            lines(
                "Restarts and transactions given up",
                Unit::PerSecond,
                "Workers that began anew after an error, and transactions whose records come again. Both are rare where all is well.",
                vec![
                    query(
                        r#"sum by (worker) (rate(pricemonitor_worker_restarts_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "{{worker}} restarts",
                    ),
                    query(
                        r#"sum by (worker) (rate(pricemonitor_transactions_aborted_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "{{worker}} given up",
                    ),
                ],
            ),
        ],
    }
}

fn telling() -> Row {
    Row {
        title: "Alerts",
        panels: vec![
            lines(
                "Alerts raised",
                Unit::PerSecond,
                "Hits by rule, and hits that a cooldown kept back.",
                vec![
                    query(
                        r#"sum by (rule) (rate(pricemonitor_alerts_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "{{rule}}",
                    ),
                    query(
                        r#"sum(rate(pricemonitor_alerts_suppressed_total{monitor="$monitor"}[$__rate_interval]))"#,
                        "kept back",
                    ),
                ],
            ),
            lines(
                "Deliveries",
                Unit::PerSecond,
                "What became of messages, by channel. `retried` comes again; `refused`, `stale` and `gone` do not.",
                vec![query(
                    r#"sum by (channel, result) (rate(pricemonitor_deliveries_total{monitor="$monitor"}[$__rate_interval]))"#,
                    "{{channel}} {{result}}",
                )],
            ),
            lines(
                "Alerts that wait",
                Unit::Count,
                "Alerts that a channel has not taken yet.",
                vec![query(
                    r#"max by (channel) (pricemonitor_deliveries_pending{monitor="$monitor"})"#,
                    "{{channel}}",
                )],
            )
            .bounded(rising(1.0, 20.0)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn expressions(dashboard: &Value) -> Vec<String> {
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_metric_of_a_panel_is_one_that_the_workers_have() {
        let known = include_str!("../../../workers/src/metrics.rs");
        let mut seen = BTreeSet::new();
        for expression in expressions(&pipeline("u", "t", None)) {
            for part in expression.split("pricemonitor_").skip(1) {
                let name: String =
                    part.chars().take_while(|one| one.is_ascii_lowercase() || *one == '_').collect();
                let name = name.trim_end_matches("_bucket").to_owned();
                assert!(known.contains(&format!("\"{name}\"")), "{name}");
                assert!(part[..part.find('}').unwrap()].contains("monitor=\"$monitor\""), "{expression}");
                seen.insert(name);
            }
        }
        assert!(seen.len() > 18, "{seen:?}");
    }

    #[test]
    fn no_two_panels_are_in_one_place_and_each_says_why_it_is_looked_at() {
        let dashboard = pipeline("u", "t", Some("shop.tickets"));
        let mut cells = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            for (x, y) in
                (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                assert!(x < 24 && cells.insert((x, y)), "{panel}");
            }
            assert!(ids.insert(panel["id"].as_u64().unwrap()));
            assert!(
                panel["type"] == "row" || panel["description"].as_str().unwrap().ends_with('.'),
                "{panel}"
            );
        }
        assert_eq!(dashboard["templating"]["list"][1]["query"], "shop.tickets");
    }
}
