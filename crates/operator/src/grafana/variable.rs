//! The choices at the top of a dashboard.

use serde_json::{Value, json};

use super::Source;

/// Whether one value is chosen, or any number of them, with "All" among the choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    One,
    Many,
}

/// What "All" stands for in SQL. Grafana puts it in as it is; see [`super::figures::chosen`].
const ALL: &str = "NULL";

/// Which data source. The first one of its kind is taken where nobody chooses.
pub(super) fn data_source(source: Source) -> Value {
    json!({"name": source.variable(), "label": "Data source", "type": "datasource", "query": source.plugin(),
           "refresh": 1, "hide": 0, "includeAll": false, "multi": false, "options": []})
}

/// Values that SQL yields, in its order. They are read again when the range of time changes.
pub(super) fn sql(name: &str, label: &str, choice: Choice, why: &str, query: &str) -> Value {
    let mut variable = json!({"name": name, "label": label, "description": why, "type": "query",
        "datasource": Source::Postgres.reference(), "query": query, "definition": query, "refresh": 2, "sort": 0,
        "hide": 0, "includeAll": false, "multi": false, "options": []});
    if choice == Choice::Many {
        variable["multi"] = json!(true);
        variable["includeAll"] = json!(true);
        variable["allValue"] = json!(ALL);
        variable["current"] = json!({"selected": true, "text": ["All"], "value": ["$__all"]});
    }
    variable
}

/// Values of a label, of the series of a metric.
pub(super) fn label(name: &str, label: &str, why: &str, query: &str) -> Value {
    json!({"name": name, "label": label, "description": why, "type": "query",
           "datasource": Source::Prometheus.reference(), "query": {"query": query, "refId": "A"}, "definition": query,
           "refresh": 2, "sort": 1, "hide": 0, "includeAll": false, "multi": false, "options": []})
}

/// A value that is the same for everybody, and that nobody sees.
pub(super) fn constant(name: &str, label: &str, value: &str) -> Value {
    json!({"name": name, "label": label, "type": "constant", "query": value, "hide": 2,
           "current": {"selected": false, "text": value, "value": value}})
}
