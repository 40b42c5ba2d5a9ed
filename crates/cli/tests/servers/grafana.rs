//! What Grafana makes of a dashboard's SQL before PostgreSQL sees it, and the answers with the rights of a reader.
//!
//! Grafana itself is not here. Its browser puts the values of variables into a query, its server expands the macros
//! after that; both are done here by the rules of its source (`sqlString` of `@grafana/scenes`, and
//! `pkg/tsdb/grafana-postgresql-datasource/macros.go`), as far as our dashboards use them: what they do not use is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::fleet::POSTGRES;

/// One who looks at a dashboard: a range of time, what is chosen, and with which rights.
#[derive(Clone)]
pub struct Viewer {
    board: Value,
    database: String,
    role: String,
    pub from: Timestamp,
    pub to: Timestamp,
    /// What is chosen. A variable that is not here stands on "All".
    chosen: BTreeMap<String, Vec<String>>,
    /// Whether a `"` gets a `\` in front of it, as in Grafana since its version 11.
    pub escapes: bool,
}

/// An answer's row: values by the names of their columns.
pub type Row = serde_json::Map<String, Value>;

impl Viewer {
    /// One who looks at a dashboard of the chart.
    pub fn new(dashboard: &str, database: &str, role: &str) -> Viewer {
        let chart =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/pricemonitor-operator/files/dashboards");
        let board = fs::read_to_string(chart.join(dashboard)).unwrap();
        let to = Timestamp::now();
        Viewer {
            board: serde_json::from_str(&board).unwrap(),
            database: database.to_owned(),
            role: role.to_owned(),
            from: to - SignedDuration::from_hours(1),
            to,
            chosen: BTreeMap::new(),
            escapes: true,
        }
    }

    /// Another range: so many minutes back, and ahead.
    pub fn between(&self, back: i64, ahead: i64) -> Viewer {
        let minutes = SignedDuration::from_mins;
        Viewer { from: self.to - minutes(back), to: self.to + minutes(ahead), ..self.clone() }
    }

    /// With these values chosen.
    pub fn with(&self, variable: &str, values: &[&str]) -> Viewer {
        let mut viewer = self.clone();
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        viewer.chosen.insert(variable.to_owned(), values);
        viewer
    }

    /// The titles of all panels that ask something.
    pub fn panels(&self) -> Vec<String> {
        let asking = self.list("/panels").iter().filter(|panel| panel["targets"].is_array());
        asking.map(|panel| panel["title"].as_str().unwrap().to_owned()).collect()
    }

    /// What can be chosen.
    pub fn options(&self, variable: &str) -> Vec<String> {
        let query = self.variable(variable)["query"].as_str().unwrap().to_owned();
        let text = |row: &Row| row.values().next().unwrap().as_str().unwrap().to_owned();
        self.ask(&query).iter().map(text).collect()
    }

    /// The answer to the one query of a panel.
    #[track_caller]
    pub fn panel(&self, title: &str) -> Vec<Row> {
        let found = self.list("/panels").iter().find(|panel| panel["title"] == title).cloned();
        let panel = found.unwrap_or_else(|| panic!("no panel {title}: {:?}", self.panels()));
        assert_eq!(panel["targets"].as_array().map(Vec::len), Some(1), "{title}");
        self.ask(panel["targets"][0]["rawSql"].as_str().unwrap())
    }

    /// Marks on the charts.
    pub fn marks(&self) -> Vec<Row> {
        let marks = self.list("/annotations/list");
        marks.iter().flat_map(|mark| self.ask(mark["target"]["rawSql"].as_str().unwrap())).collect()
    }

    /// Every variable that asks something.
    pub fn variables(&self) -> Vec<String> {
        let asking = self.list("/templating/list").iter().filter(|it| it["type"] == "query");
        asking.map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
    }

    fn list(&self, place: &str) -> &Vec<Value> {
        self.board.pointer(place).and_then(Value::as_array).unwrap()
    }

    #[track_caller]
    fn variable(&self, name: &str) -> &Value {
        let found = self.list("/templating/list").iter().find(|variable| variable["name"] == name);
        found.unwrap_or_else(|| panic!("no variable {name}"))
    }

    /// Rows, with the rights of the role and no more than a dashboard's patience.
    #[track_caller]
    fn ask(&self, query: &str) -> Vec<Row> {
        let sql = self.expanded(&self.interpolated(query));
        let statements = format!(
            "BEGIN READ ONLY; SET LOCAL ROLE {}; SET LOCAL statement_timeout = '10s'; \
             SELECT row_to_json(answer)::text FROM ({sql}\n) answer; COMMIT",
            self.role
        );
        let rows =
            POSTGRES.rows_in(&self.database, &statements).unwrap_or_else(|error| panic!("{error:#}\n{sql}"));
        rows.iter().map(|row| serde_json::from_str(&row[0]).unwrap()).collect()
    }

    /// What the browser does: the values of variables.
    fn interpolated(&self, query: &str) -> String {
        let interval = (self.to.duration_since(self.from).as_millis() / 400).max(1_000);
        let query = query.replace("$__interval_ms", &interval.to_string());
        let mut parts = query.split("${");
        let mut out = parts.next().unwrap().to_owned();
        for part in parts {
            let (inside, rest) = part.split_once('}').unwrap();
            let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
            assert_eq!(format, "sqlstring", "{inside}: the only format that quotes in every version");
            out.push_str(&self.value(name));
            out.push_str(rest);
        }
        out
    }

    /// As `sqlstring`; for "All" what the variable says, as it is.
    #[track_caller]
    fn value(&self, name: &str) -> String {
        let variable = self.variable(name);
        let Some(values) = self.chosen.get(name) else {
            assert_eq!(variable["includeAll"], true, "{name}: choose a value");
            return variable["allValue"].as_str().unwrap().to_owned();
        };
        assert!(values.len() == 1 || variable["multi"] == true, "{name} takes one value");
        let quoted = |value: &String| {
            let value = value.replace('\'', "''");
            format!("'{}'", if self.escapes { value.replace('"', "\\\"") } else { value })
        };
        values.iter().map(quoted).collect::<Vec<_>>().join(",")
    }

    /// What the server does: macros, wherever in the text they stand.
    #[track_caller]
    fn expanded(&self, sql: &str) -> String {
        let (from, to) = (format!("'{}'", self.from), format!("'{}'", self.to));
        let mut parts = sql.split('$');
        let mut out = parts.next().unwrap().to_owned();
        for part in parts {
            let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let arguments = part[name.len()..].strip_prefix('(').and_then(|rest| rest.split_once(')'));
            match (name.as_str(), arguments) {
                ("__timeFilter", Some((column, rest))) => {
                    out.push_str(&format!("{column} BETWEEN {from} AND {to}{rest}"));
                }
                ("__timeFrom", Some(("", rest))) => out.push_str(&format!("{from}{rest}")),
                ("__timeTo", Some(("", rest))) => out.push_str(&format!("{to}{rest}")),
                ("", _) | (_, None) => out.push_str(&format!("${part}")),
                (name, Some(_)) => panic!("Grafana, or this helper, knows no macro {name}:\n{sql}"),
            }
        }
        out
    }
}
