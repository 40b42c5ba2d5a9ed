//! The dashboard *Prices*: what the web page shows, from PostgreSQL, for those who live in Grafana.

use serde_json::{Value, json};

use super::panel::{Look, Panel, Query, Row, Unit, placed, plain, sql, target};
use super::variable::{self, Choice};
use super::{Dashboard, OPERATOR, PIPELINE, PRICES, Source, link, questions, table};

/// What the chart is called, on which the alerts are marked.
const CHART: &str = "Price history ($unit)";

/// The dashboard of all monitors of a database.
pub fn prices(uid: &str, title: &str) -> Value {
    let why = "What was seen: prices, how they moved and are spread, alerts, and what became of them. Tickets and \
               other goods as well as schedules such as electricity, of all monitors of a database.";
    let rows = [glance(), chart(), shape(), alerts(), deliveries()];
    Dashboard {
        uid,
        title,
        why,
        source: Source::Postgres,
        variables: variables(),
        annotations: vec![marks(&rows)],
        links: vec![
            days(),
            link("Pipeline", "How the prices got here, by the metrics of the workers", PIPELINE, ""),
            link("Operator", "Who runs the workers", OPERATOR, ""),
        ],
        from: "now-24h",
        refresh: "1m",
        rows: &rows,
    }
    .json()
}

/// The same dashboard with all slots of two days: tomorrow's prices are known today.
fn days() -> Value {
    let why = "Schedules such as electricity: all slots of these two days";
    let mut link =
        link("Today and tomorrow", why, PRICES, "?from=now%2Fd&to=now%2B1d%2Fd&${monitor:queryparam}");
    link["keepTime"] = json!(false);
    link
}

fn variables() -> Vec<Value> {
    let zone = json!({"selected": true, "text": "UTC", "value": "UTC"});
    let mut zones = variable::sql(
        "timezone",
        "Hours in",
        Choice::One,
        "Time zone of the hour-of-day profile.",
        &questions::zones(),
    );
    zones["current"] = zone;
    zones["refresh"] = json!(1);
    vec![
        variable::sql(
            "monitor",
            "Monitor",
            Choice::Many,
            "Namespace and name of the monitor.",
            &questions::monitors(),
        ),
        variable::sql(
            "event",
            "Event",
            Choice::Many,
            "What the price is of: a concert, a price area. Those of the chosen monitors.",
            &questions::events(),
        ),
        variable::sql(
            "section",
            "Section",
            Choice::Many,
            "Where in the venue. Those of the chosen events; prices without a section are shown with All alone.",
            &questions::sections(),
        ),
        variable::sql(
            "unit",
            "Unit",
            Choice::One,
            "Currency and unit: prices of different units have no common mean. The most frequent one is chosen first.",
            &questions::units(),
        ),
        zones,
    ]
}

/// Alerts on the chart, and on it alone.
fn marks(rows: &[Row]) -> Value {
    let chart = placed(rows, Source::Postgres).into_iter().find(|panel| panel["title"] == CHART);
    json!({
        "name": "Alerts", "datasource": Source::Postgres.reference(), "enable": true, "hide": false, "iconColor": "red",
        "filter": {"exclude": false, "ids": [chart.unwrap_or_default()["id"]]},
        "target": target("Alerts", "table", &questions::marks()),
    })
}

fn glance() -> Row {
    Row {
        title: "At a glance",
        panels: vec![
            sql(
                Look::Numbers,
                "Prices ($unit)",
                Unit::Price,
                "Latest: the price of now, or the one seen last. The others are of all prices in the range; a slot that was \
                 revised counts by its latest price.",
                Query::Rows(questions::prices()),
            )
            .bounded(plain()),
            sql(
                Look::Numbers,
                "What was seen ($unit)",
                Unit::Count,
                "When something was seen last, series (listings, or schedules) with a price in the range, observations, \
                 those whose price was another than before, and alerts of every unit. When the last sight is long ago, \
                 look at the dashboard Pipeline.",
                Query::Rows(questions::counts()),
            )
            .bounded(plain())
            .with(vec![table::unit("Last seen", "dateTimeFromNow")]),
        ],
    }
}

fn chart() -> Row {
    let why = "A line for each series, at most 40: those that were seen last; choose an event or a section to see others. \
               A price holds until the next one, that of a slot until the slot ends. Wide ranges show means of hours. \
               Red marks are alerts.";
    Row {
        title: "History",
        panels: vec![sql(Look::Steps, CHART, Unit::Price, why, Query::Lines(questions::history()))],
    }
}

fn shape() -> Row {
    Row {
        title: "Distribution and hours",
        panels: vec![
            sql(
                Look::Bars,
                "Distribution of prices ($unit)",
                Unit::Count,
                "How often which prices were seen. What lies far from all others is a bargain, or a mistake of the source.",
                Query::Rows(questions::distribution()),
            ),
            sql(
                Look::Bars,
                "Mean by hour of day ($unit)",
                Unit::Price,
                "The mean price of every hour of the day, in the chosen time zone: when it is cheap.",
                Query::Rows(questions::profile()),
            ),
        ],
    }
}

fn alerts() -> Row {
    let panel: Panel = sql(
        Look::Table,
        "Recent alerts",
        Unit::Price,
        "The newest 100 in the range, with what the price was compared with and what became of the message on each channel.",
        Query::Rows(questions::alerts()),
    );
    Row {
        title: "Alerts",
        panels: vec![panel.with(vec![
            table::words("Severity", &[("critical", "red"), ("warning", "orange"), ("info", "blue")]),
            table::words("State", &[("firing", "red"), ("resolved", "green")]),
            table::unit("Change", "percent"),
            table::decimals("Change", 1),
            table::width("Summary", 320),
            table::address("Offer"),
        ])],
    }
}

fn deliveries() -> Row {
    let panel: Panel = sql(
        Look::Table,
        "Deliveries that wait",
        Unit::Count,
        "Alerts that a channel has not taken yet, by channel, with the reason of the last attempt. They are tried again \
         until they are too old.",
        Query::Rows(questions::waiting()),
    );
    Row {
        title: "Deliveries",
        panels: vec![panel.with(vec![
            table::rising("Waiting", 1.0, 20.0),
            table::unit("Oldest", "dateTimeFromNow"),
            table::unit("Next attempt", "dateTimeFromNow"),
        ])],
    }
}
