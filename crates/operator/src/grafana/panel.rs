//! One panel, and how panels are laid out.

use serde_json::{Value, json};

use super::Source;

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;

/// What a number is, in Grafana's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    PerSecond,
    Count,
    Ratio,
    /// A price: its unit is the variable `unit`, in titles and at axes, for Grafana knows none by variable.
    Price,
}

impl Unit {
    fn id(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::PerSecond => "cps",
            Unit::Count => "short",
            Unit::Ratio => "percentunit",
            Unit::Price => "none",
        }
    }
}

/// What is asked for.
pub(super) enum Query {
    /// PromQL, and what its series are called.
    Metric { expression: &'static str, legend: &'static str },
    /// SQL that yields `time`, `metric`, `value`.
    Lines(String),
    /// SQL whose columns are shown as they are.
    Rows(String),
}

pub(super) fn query(expression: &'static str, legend: &'static str) -> Query {
    Query::Metric { expression, legend }
}

/// How an answer is drawn.
pub(super) enum Look {
    /// Numbers side by side.
    Numbers,
    /// Lines over time.
    Lines,
    /// Steps over time: a value holds until the next one.
    Steps,
    /// Bars: the first column says what of.
    Bars,
    /// A table.
    Table,
}

/// Colours, each from its value on; the first one from below everything.
pub(super) type Bounds = Vec<(f64, &'static str)>;

/// Green, then yellow and red from these values on.
pub(super) fn rising(yellow: f64, red: f64) -> Bounds {
    vec![(0.0, "green"), (yellow, "yellow"), (red, "red")]
}

/// One colour: no value is better than another.
pub(super) fn plain() -> Bounds {
    vec![(0.0, "blue")]
}

/// One panel.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// Why one looks at it, and what to do when it looks wrong.
    pub(super) why: &'static str,
    pub(super) unit: Unit,
    pub(super) queries: Vec<Query>,
    pub(super) look: Look,
    /// Lines that have them show them as dashed lines.
    pub(super) bounds: Option<Bounds>,
    /// What is different for single columns.
    pub(super) overrides: Vec<Value>,
}

pub(super) fn lines(title: &'static str, unit: Unit, why: &'static str, queries: Vec<Query>) -> Panel {
    Panel { title, why, unit, queries, look: Look::Lines, bounds: None, overrides: Vec::new() }
}

pub(super) fn number(
    title: &'static str,
    unit: Unit,
    bounds: Bounds,
    why: &'static str,
    expression: &'static str,
) -> Panel {
    let queries = vec![query(expression, "")];
    Panel { title, why, unit, queries, look: Look::Numbers, bounds: Some(bounds), overrides: Vec::new() }
}

/// A panel of one SQL query.
pub(super) fn sql(look: Look, title: &'static str, unit: Unit, why: &'static str, query: Query) -> Panel {
    Panel { title, why, unit, queries: vec![query], look, bounds: None, overrides: Vec::new() }
}

impl Panel {
    pub(super) fn bounded(self, bounds: Bounds) -> Panel {
        Panel { bounds: Some(bounds), ..self }
    }

    pub(super) fn with(self, overrides: Vec<Value>) -> Panel {
        Panel { overrides, ..self }
    }

    fn height(&self) -> u64 {
        match self.look {
            Look::Numbers => 4,
            Look::Lines | Look::Bars => 8,
            Look::Table => 9,
            Look::Steps => 12,
        }
    }

    fn json(&self, id: u64, place: &Value, source: Source) -> Value {
        let targets: Vec<Value> =
            self.queries.iter().enumerate().map(|(n, query)| self.target(n, query, source)).collect();
        let (kind, options) = self.options();
        let mut panel = json!({
            "id": id, "type": kind, "title": self.title, "description": self.why, "datasource": source.reference(),
            "gridPos": place, "targets": targets, "options": options,
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides},
        });
        if let Look::Steps = self.look {
            // As fine as the range allows; without a say, PostgreSQL's is a minute at least.
            panel["interval"] = json!("1s");
            panel["maxDataPoints"] = json!(400);
        }
        panel
    }

    fn target(&self, n: usize, query: &Query, source: Source) -> Value {
        let id = char::from(b'A' + n as u8).to_string();
        match query {
            Query::Metric { expression, legend } => {
                json!({"refId": id, "expr": expression, "legendFormat": legend,
                       "instant": matches!(self.look, Look::Numbers), "datasource": source.reference()})
            }
            Query::Lines(sql) => target(&id, "time_series", sql),
            Query::Rows(sql) => target(&id, "table", sql),
        }
    }

    fn defaults(&self) -> Value {
        let mut defaults = json!({"unit": self.unit.id(), "noValue": "no data"});
        if self.unit == Unit::Price {
            // Energy may cost less than nothing.
            defaults["decimals"] = json!(2);
        } else {
            defaults["min"] = json!(0);
        }
        if let Some(bounds) = &self.bounds {
            let step = |(n, (from, color)): (usize, &(f64, &str))| json!({"color": color, "value": (n > 0).then_some(*from)});
            let steps: Vec<Value> = bounds.iter().enumerate().map(step).collect();
            defaults["thresholds"] = json!({"mode": "absolute", "steps": steps});
        }
        if let Some(custom) = self.custom() {
            defaults["custom"] = custom;
        }
        defaults
    }

    fn custom(&self) -> Option<Value> {
        match self.look {
            Look::Numbers => None,
            Look::Lines => {
                let mut custom =
                    json!({"drawStyle": "line", "fillOpacity": 8, "lineWidth": 1, "showPoints": "never"});
                if self.bounds.is_some() {
                    custom["thresholdsStyle"] = json!({"mode": "dashed"});
                }
                Some(custom)
            }
            Look::Steps => {
                Some(json!({"drawStyle": "line", "lineInterpolation": "stepAfter", "fillOpacity": 0,
                "lineWidth": 1, "showPoints": "auto", "pointSize": 4, "axisLabel": "$unit"}))
            }
            Look::Bars => Some(json!({"fillOpacity": 70, "lineWidth": 1,
                "axisLabel": if self.unit == Unit::Price { "$unit" } else { "" }})),
            Look::Table => Some(json!({"align": "auto", "inspect": false, "filterable": true,
                "cellOptions": {"type": "auto"}})),
        }
    }

    fn options(&self) -> (&'static str, Value) {
        let legend = |calculations: &[&str]| json!({"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": calculations});
        let tooltip = json!({"mode": "multi", "sort": "desc"});
        match self.look {
            Look::Numbers => (
                "stat",
                json!({"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                    "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "textMode": "auto",
                    "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
                    "orientation": "auto"}),
            ),
            Look::Lines => {
                ("timeseries", json!({"legend": legend(&["lastNotNull", "max"]), "tooltip": tooltip}))
            }
            Look::Steps => (
                "timeseries",
                json!({"legend": legend(&["lastNotNull", "min", "mean", "max"]), "tooltip": tooltip}),
            ),
            Look::Bars => (
                "barchart",
                json!({"orientation": "auto", "xTickLabelRotation": -45, "xTickLabelMaxLength": 24, "xTickLabelSpacing": 0,
                    "stacking": "none", "showValue": "never", "barWidth": 0.95, "groupWidth": 0.7, "barRadius": 0,
                    "fullHighlight": false, "tooltip": {"mode": "single", "sort": "none"},
                    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []}}),
            ),
            Look::Table => ("table", json!({"frameIndex": 0, "showHeader": true, "cellHeight": "sm"})),
        }
    }
}

/// A query in SQL, as Grafana's data source takes it.
pub(super) fn target(id: &str, format: &str, sql: &str) -> Value {
    json!({"refId": id, "datasource": Source::Postgres.reference(), "format": format, "rawSql": sql,
           "rawQuery": true, "editorMode": "code"})
}

/// Panels side by side, under a headline.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
}

/// The panels of all rows, placed from top to bottom.
pub(super) fn placed(rows: &[Row], source: Source) -> Vec<Value> {
    let (mut out, mut y) = (Vec::new(), 0);
    for row in rows {
        out.push(
            json!({"id": out.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                        "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}),
        );
        y += 1;
        let width = WIDTH / row.panels.len().max(1) as u64;
        let height = row.panels.iter().map(Panel::height).max().unwrap_or_default();
        for (n, panel) in row.panels.iter().enumerate() {
            let place = json!({"x": n as u64 * width, "y": y, "w": width, "h": height});
            out.push(panel.json(out.len() as u64 + 1, &place, source));
        }
        y += height;
    }
    out
}
