//! Grafana dashboards as code: what a panel shows, in which unit, and why one looks at it.
//!
//! The JSON is that of [dashboards](https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/),
//! schema 39, which Grafana 10.4 and everything newer reads. It holds no id of a data source: a variable takes the one
//! that is there, and whoever looks may choose another.

mod figures;
mod operator;
mod panel;
mod pipeline;
mod prices;
mod questions;
mod table;
mod variable;

use serde_json::{Value, json};

use panel::{Row, placed};

pub use operator::operator;
pub use pipeline::pipeline;
pub use prices::prices;

/// What the dashboard *Prices* is found by, in links and addresses.
pub const PRICES: &str = "pricemonitor-prices";
/// What the dashboard *Pipeline* is found by.
pub const PIPELINE: &str = "pricemonitor-pipeline";
/// What the dashboard *Operator* is found by.
pub const OPERATOR: &str = "pricemonitor-operator";

/// Which data a dashboard is about, and the variable by which whoever looks chooses where it comes from. The names
/// differ, so that a link from one dashboard to the other does not carry the choice along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Prometheus,
    Postgres,
}

impl Source {
    fn variable(self) -> &'static str {
        match self {
            Source::Prometheus => "datasource",
            Source::Postgres => "database",
        }
    }

    /// The plugin's name. PostgreSQL's is the one it has since Grafana 10.4.
    fn plugin(self) -> &'static str {
        match self {
            Source::Prometheus => "prometheus",
            Source::Postgres => "grafana-postgresql-datasource",
        }
    }

    /// How a panel, variable or annotation names it.
    fn reference(self) -> Value {
        json!({"type": self.plugin(), "uid": format!("${{{}}}", self.variable())})
    }
}

/// A dashboard before it is JSON.
struct Dashboard<'a> {
    uid: &'a str,
    title: &'a str,
    /// What it is for.
    why: &'a str,
    source: Source,
    /// They come after the choice of the data source.
    variables: Vec<Value>,
    annotations: Vec<Value>,
    links: Vec<Value>,
    /// From when it shows what is there, and how often it looks anew.
    from: &'a str,
    refresh: &'a str,
    rows: &'a [Row],
}

impl Dashboard<'_> {
    fn json(self) -> Value {
        let mut variables = vec![variable::data_source(self.source)];
        variables.extend(self.variables);
        let mut links = self.links;
        links.push(json!({"type": "dashboards", "title": "All of PriceMonitor", "icon": "external link",
            "tooltip": "Every dashboard with the tag pricemonitor, also those of single monitors", "url": "",
            "tags": ["pricemonitor"], "asDropdown": true, "includeVars": false, "keepTime": true, "targetBlank": false}));
        json!({
            "uid": self.uid, "title": self.title, "description": self.why, "tags": ["pricemonitor"],
            "schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "refresh": self.refresh,
            "timezone": "browser", "time": {"from": self.from, "to": "now"},
            "templating": {"list": variables},
            "links": links,
            "annotations": {"list": self.annotations},
            "panels": placed(self.rows, self.source),
        })
    }
}

/// A link to another dashboard, with the range of time; `query` is what its address ends with.
fn link(title: &str, why: &str, uid: &str, query: &str) -> Value {
    json!({"type": "link", "title": title, "icon": "dashboard", "tooltip": why, "url": format!("/d/{uid}{query}"),
           "tags": [], "asDropdown": false, "includeVars": false, "keepTime": true, "targetBlank": false})
}
