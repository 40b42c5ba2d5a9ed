//! Grafana dashboards as code: what a panel shows, in which unit, and why one looks at it.
//!
//! The JSON is that of [dashboards](https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/),
//! schema 39, which Grafana 10.4 and everything newer reads. It holds no id of a data source: whoever looks chooses one.

mod operator;
mod pipeline;

use serde_json::{Value, json};

pub use operator::operator;
pub use pipeline::pipeline;

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;

/// What a number is, in Grafana's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    PerSecond,
    Count,
    Ratio,
}

impl Unit {
    fn id(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::PerSecond => "cps",
            Unit::Count => "short",
            Unit::Ratio => "percentunit",
        }
    }
}

/// A query and what its series are called.
struct Query {
    expression: &'static str,
    legend: &'static str,
}

fn query(expression: &'static str, legend: &'static str) -> Query {
    Query { expression, legend }
}

/// One panel.
struct Panel {
    title: &'static str,
    /// Why one looks at it, and what to do when it looks wrong.
    why: &'static str,
    unit: Unit,
    queries: Vec<Query>,
    /// A single number, with the values from which it is yellow and red; else lines over time.
    number: Option<(f64, f64)>,
}

fn lines(title: &'static str, unit: Unit, why: &'static str, queries: Vec<Query>) -> Panel {
    Panel { title, why, unit, queries, number: None }
}

fn number(
    title: &'static str,
    unit: Unit,
    bounds: (f64, f64),
    why: &'static str,
    expression: &'static str,
) -> Panel {
    Panel { title, why, unit, queries: vec![query(expression, "")], number: Some(bounds) }
}

impl Panel {
    fn json(&self, id: u64, place: &Value) -> Value {
        let target = |(n, query): (usize, &Query)| {
            json!({"refId": char::from(b'A' + n as u8).to_string(), "expr": query.expression,
                   "legendFormat": query.legend, "instant": self.number.is_some(), "datasource": source()})
        };
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        let (yellow, red) = self.number.unwrap_or_default();
        let steps = json!([{"color": "green", "value": null}, {"color": "yellow", "value": yellow}, {"color": "red", "value": red}]);
        let mut defaults = json!({"unit": self.unit.id(), "min": 0});
        let (kind, options) = if self.number.is_some() {
            defaults["thresholds"] = json!({"mode": "absolute", "steps": steps});
            defaults["noValue"] = json!("no data");
            let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
            ("stat", json!({"reduceOptions": reduce, "colorMode": "value", "graphMode": "none"}))
        } else {
            defaults["custom"] =
                json!({"drawStyle": "line", "fillOpacity": 8, "lineWidth": 1, "showPoints": "never"});
            let legend = json!({"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"]});
            ("timeseries", json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}))
        };
        json!({
            "id": id, "type": kind, "title": self.title, "description": self.why, "datasource": source(),
            "gridPos": place, "targets": targets, "options": options,
            "fieldConfig": {"defaults": defaults, "overrides": []},
        })
    }
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Panels side by side, under a headline.
struct Row {
    title: &'static str,
    panels: Vec<Panel>,
}

impl Row {
    fn height(&self) -> u64 {
        if self.panels.iter().all(|panel| panel.number.is_some()) { 4 } else { 8 }
    }
}

/// The panels of all rows, placed from top to bottom.
fn placed(rows: &[Row]) -> Vec<Value> {
    let (mut out, mut y) = (Vec::new(), 0);
    for row in rows {
        out.push(
            json!({"id": out.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                        "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}),
        );
        y += 1;
        let width = WIDTH / row.panels.len().max(1) as u64;
        for (n, panel) in row.panels.iter().enumerate() {
            let place = json!({"x": n as u64 * width, "y": y, "w": width, "h": row.height()});
            out.push(panel.json(out.len() as u64 + 1, &place));
        }
        y += row.height();
    }
    out
}

/// A dashboard of these rows; `variables` come after the choice of the data source.
fn dashboard(uid: &str, title: &str, why: &str, variables: Vec<Value>, rows: &[Row]) -> Value {
    let mut list = vec![
        json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
                               "refresh": 1, "hide": 0, "includeAll": false, "multi": false, "options": [], "current": {}}),
    ];
    list.extend(variables);
    json!({
        "uid": uid, "title": title, "description": why, "tags": ["pricemonitor"], "schemaVersion": 39, "version": 1,
        "editable": true, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list},
        "links": [{"type": "dashboards", "title": "PriceMonitor", "tags": ["pricemonitor"], "asDropdown": true,
                   "includeVars": false, "keepTime": true, "targetBlank": false}],
        "annotations": {"list": []},
        "panels": placed(rows),
    })
}
