//! The dashboard *Prices* of Grafana: every question that it asks, on the PostgreSQL that the pipeline has filled.

use std::time::Duration;

use pricemonitor_testkit::feed::{HourPrice, document, hour};
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{place, wait};
use serde_json::{Value, json};

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, KAFKA, POSTGRES, Worker};
use crate::grafana::{Row, Viewer};

/// A concert as nobody should name one, but people do.
const EVENT: &str = r#"Weird "Al" O'Brien's – ünï 🎸 '); DROP TABLE series; --"#;
/// Housekeeping sums hours up 20 s after a start, and what came too late for that 5 minutes later.
const SUMMED: Duration = Duration::from_secs(400);

/// A monitor that is set up, and a role that may read.
fn prepared(name: &str, spec: &str, role: &str) -> Fleet {
    let fleet = Fleet::new(&manifest(name, spec)).with_database(&name.replace('-', "_"));
    POSTGRES.rows(&format!("CREATE ROLE {role}")).unwrap();
    let done = fleet.does(&["setup", "--reader-role", role]);
    assert!(done.contains(&format!("granted {role} to read the tables")), "{done}");
    fleet
}

/// The monitor in one process.
fn up(fleet: &Fleet, name: &str) -> Worker {
    let url = POSTGRES.url(&name.replace('-', "_"));
    fleet.up(&["--bootstrap-servers", &KAFKA.bootstrap(), "--database-url", &url])
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} in {row:?}"))
}

#[track_caller]
fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-6 * wanted.abs().max(1.0), "{found}, not {wanted}");
}

/// The same numbers from the rows themselves, by somebody who may do everything.
fn plainly(fleet: &Fleet, viewer: &Viewer, filter: &str) -> [f64; 6] {
    let row = &fleet.rows(&format!(
        "SELECT min(price) FILTER (WHERE current), avg(price) FILTER (WHERE current), max(price) FILTER (WHERE current),
                count(DISTINCT series), count(*), count(*) FILTER (WHERE current)
         FROM price_history h JOIN series s ON s.id = h.series JOIN events e ON e.id = s.event
         WHERE at BETWEEN '{}' AND '{}' AND {filter}",
        viewer.from, viewer.to
    ))[0];
    [0, 1, 2, 3, 4, 5].map(|column| row[column].parse().unwrap())
}

/// Statistics and distribution are those of the rows.
#[track_caller]
fn figures_are_right(fleet: &Fleet, viewer: &Viewer, unit: &str, filter: &str) {
    let [lowest, mean, highest, series, observations, prices] = plainly(fleet, viewer, filter);
    let found = &viewer.panel("Prices ($unit)")[0];
    near(number(found, "Lowest"), lowest);
    near(number(found, "Mean"), mean);
    near(number(found, "Highest"), highest);
    let found = &viewer.panel("What was seen ($unit)")[0];
    assert_eq!((number(found, "Series"), number(found, "Observations")), (series, observations), "{unit}");
    let bars = viewer.panel("Distribution of prices ($unit)");
    assert_eq!(bars.iter().map(|bar| number(bar, "Prices")).sum::<f64>(), prices, "{bars:?}");
    let hours = viewer.panel("Mean by hour of day ($unit)");
    assert!(hours.iter().all(|hour| (lowest..=highest).contains(&number(hour, "Mean"))), "{hours:?}");
}

fn tickets(stub: &Receiver) -> String {
    format!(
        "
sources:
- {{name: market, interval: 200ms, simulator: {{events: 3, seed: 42}}}}
- name: shop
  interval: 100ms
  file:
    path: shop.json
    mapping: {{jq: '.[] | {{item: .id, price: .price, labels: {{event: .event, section: \"Floor\"}}}}', currency: USD}}
rules:
- {{name: drop, drop: {{percent: 1}}}}
channels:
- {{name: hook, webhook: {{url: '{}'}}}}
- {{name: busy, webhook: {{url: '{}'}}}}
",
        stub.url("/hook"),
        stub.url("/busy")
    )
}

fn show(fleet: &Fleet, price: u32) {
    let items: Vec<Value> = (0..3)
        .map(|n| json!({"id": format!("seat-{n}"), "price": (price + n).to_string(), "event": EVENT}))
        .collect();
    place::replace(&fleet.place.at("shop.json"), Value::from(items).to_string()).unwrap();
}

#[test]
fn every_question_about_tickets_is_answered_with_the_rights_of_a_reader_whatever_their_names_are() {
    let stub =
        Receiver::start(|request| Answer::status(if request.path == "/busy" { 503 } else { 200 })).unwrap();
    let fleet = prepared("seen-tickets", &tickets(&stub), "tickets_reader");
    let mut worker = up(&fleet, "seen-tickets");
    show(&fleet, 100);
    worker.ready();
    let of_shop = "price_history h JOIN series s ON s.id = h.series WHERE s.source = 'shop'";
    wait::until("prices of the shop", SOON, || fleet.count(of_shop) == 3).unwrap();
    show(&fleet, 90);
    wait::until("alerts of it", SOON, || fleet.count("price_drop_alerts WHERE source = 'shop'") == 3)
        .unwrap();
    let enough = || fleet.count("price_history") >= 200 && fleet.count("price_drop_alerts") >= 10;
    wait::until("prices and alerts of the market", SOON, enough).unwrap();
    worker.end();

    let viewer = Viewer::new("prices.json", "seen_tickets", "tickets_reader");
    let viewer = viewer.with("unit", &["USD"]).with("timezone", &["Europe/Helsinki"]);
    assert_eq!(viewer.variables(), ["monitor", "event", "section", "unit", "timezone"]);
    assert_eq!(viewer.options("monitor"), ["default.seen-tickets"]);
    assert!(viewer.options("event").iter().any(|event| event == EVENT));
    assert_eq!(viewer.with("event", &[EVENT]).options("section"), ["Floor"]);
    assert_eq!(viewer.options("unit"), ["USD"]);
    let zones = viewer.options("timezone");
    assert!(zones[0] == "UTC" && zones.iter().any(|zone| zone == "Europe/Helsinki"), "{zones:?}");

    for viewer in [viewer.between(60, 0), viewer.between(400 * 24 * 60, 0)] {
        for title in viewer.panels() {
            assert!(!viewer.panel(&title).is_empty(), "{title}");
        }
        assert!(!viewer.marks().is_empty());
        figures_are_right(&fleet, &viewer, "USD", "true");
    }
    of_one_event(&fleet, &viewer);
    of_alerts(&fleet, &viewer);
    of_nothing(&fleet, &viewer);
}

/// A name with quotes is that name, in both ways in which Grafana writes it.
fn of_one_event(fleet: &Fleet, viewer: &Viewer) {
    let quoted = EVENT.replace('\'', "''");
    for escapes in [true, false] {
        let mut viewer = viewer.with("event", &[EVENT]).with("section", &["Floor"]);
        viewer.escapes = escapes;
        figures_are_right(fleet, &viewer, "USD", &format!("e.event = '{quoted}'"));
        let lines = viewer.panel("Price history ($unit)");
        let is_ours =
            |point: &Row| point["metric"].as_str().unwrap().starts_with(&format!("{EVENT} · Floor · seat-"));
        assert!(lines.len() >= 3 && lines.iter().all(is_ours), "{lines:?}");
        let alerts = viewer.panel("Recent alerts");
        assert!(alerts.len() == 3 && alerts.iter().all(|alert| alert["Event"] == EVENT), "{alerts:?}");
        assert_eq!(viewer.marks().len(), 3);
        let both = viewer.with("event", &["nothing", EVENT]);
        assert_eq!(both.panel("Price history ($unit)"), lines);
    }
}

fn of_alerts(fleet: &Fleet, viewer: &Viewer) {
    let seen = &viewer.panel("What was seen ($unit)")[0];
    assert_eq!(number(seen, "Alerts"), fleet.count("price_drop_alerts") as f64);
    let pending = fleet.count("alert_deliveries WHERE channel = 'busy' AND state = 'pending'");
    let waiting = viewer.panel("Deliveries that wait");
    let busy = waiting.iter().find(|row| row["Channel"] == "busy").unwrap();
    assert!(pending >= 10 && number(busy, "Waiting") == pending as f64, "{waiting:?}");
    assert!(busy["Last reason"].as_str().unwrap().contains("503"), "{busy:?}");
    let alerts = viewer.panel("Recent alerts");
    assert!(
        alerts.iter().all(|alert| alert["Deliveries"].as_str().unwrap().starts_with("busy: pending, hook: "))
    );
    let mark = &viewer.marks()[0];
    assert!(
        mark["tags"].as_str().unwrap().starts_with("drop,") && !mark["text"].as_str().unwrap().is_empty()
    );
}

/// Whoever chooses what is not there sees nothing, and does nothing.
fn of_nothing(fleet: &Fleet, viewer: &Viewer) {
    let rows = fleet.count("price_history");
    for value in ["", "nothing", "x') OR ('1' = '1", "'; DELETE FROM price_history; --", "\\", "\\'"] {
        for variable in ["monitor", "event", "section"] {
            let viewer = viewer.with(variable, &[value]);
            for title in
                ["Price history ($unit)", "Distribution of prices ($unit)", "Mean by hour of day ($unit)"]
            {
                assert_eq!(viewer.panel(title), Vec::<Row>::new(), "{title} of {variable} {value}");
            }
            assert_eq!(viewer.panel("Prices ($unit)")[0]["Lowest"], Value::Null);
            assert_eq!(number(&viewer.panel("What was seen ($unit)")[0], "Observations"), 0.0);
        }
    }
    assert_eq!(fleet.count("price_history"), rows);
}

const ELECTRICITY: &str = "
sources:
- {name: spot, interval: 200ms, file: {path: latest-prices.json, format: porssisahko}}
rules:
- {name: expensive, above: {value: 30}}
kafka: {partitions: 1}
";
/// Hours that were, and that will be.
const BACK: i64 = 72;
const AHEAD: i64 = 30;

#[test]
fn electricity_is_shown_slot_by_slot_and_what_was_revised_after_its_hour_was_summed_up_counts_anew() {
    let fleet = prepared("seen-power", ELECTRICITY, "power_reader");
    let mut worker = up(&fleet, "seen-power");
    let now = jiff::Timestamp::now().as_millisecond();
    let origin = now - now.rem_euclid(3_600_000) - BACK * 3_600_000;
    let mut hours: Vec<HourPrice> = (0..BACK + AHEAD).map(|n| hour(origin, n)).collect();
    let publish = |hours: &[HourPrice]| {
        place::replace(&fleet.place.at("latest-prices.json"), document(hours)).unwrap();
    };
    publish(&hours);
    worker.ready();
    let slots = BACK + AHEAD;
    wait::until("every slot", SOON, || fleet.count("price_history") == slots).unwrap();
    wait::until("hours to be summed up", SUMMED, || fleet.count("price_hourly") >= BACK - 1).unwrap();
    hours[40].price = "77.5".to_owned();
    publish(&hours);
    wait::until("the revision", SOON, || fleet.count("price_history") == slots + 1).unwrap();
    wait::until("alerts", SOON, || fleet.count("price_drop_alerts") > 0).unwrap();
    worker.end();
    assert!(fleet.count("price_hourly_stale") >= 1, "the revised hour is read from the rows");

    let viewer = Viewer::new("prices.json", "seen_power", "power_reader");
    assert_eq!(viewer.options("unit"), ["c/kWh"]);
    let viewer = viewer.with("unit", &["c/kWh"]).with("timezone", &["UTC"]);
    // From within an hour to within an hour; whole hours; one within a single hour; all of time.
    for (back, ahead) in [(48 * 60 + 17, 20 * 60 + 11), (60 * 60, 60), (20, 1), (400 * 24 * 60, 60 * 24 * 60)]
    {
        let viewer = viewer.between(back, ahead);
        if plainly_any(&fleet, &viewer) {
            figures_are_right(&fleet, &viewer, "c/kWh", "true");
        }
    }
    let viewer = viewer.between(60 * 60, 40 * 60);
    assert_eq!(number(&viewer.panel("Prices ($unit)")[0], "Highest"), 77.5);
    let of_now =
        fleet.rows("SELECT price FROM price_history WHERE at <= now() AND slot_end > now() AND current");
    near(number(&viewer.panel("Prices ($unit)")[0], "Latest"), of_now[0][0].parse().unwrap());
    of_slots(&fleet, &viewer);
    assert!(!viewer.panel("Recent alerts").is_empty() && !viewer.marks().is_empty());
}

fn plainly_any(fleet: &Fleet, viewer: &Viewer) -> bool {
    fleet.count(&format!("price_history WHERE at BETWEEN '{}' AND '{}'", viewer.from, viewer.to)) > 0
}

/// A point for each slot, where it begins, and one where the last one ends.
fn of_slots(fleet: &Fleet, viewer: &Viewer) {
    let points = viewer.panel("Price history ($unit)");
    let wanted = fleet.rows(&format!(
        "SELECT extract(epoch FROM at)::bigint, price FROM price_history WHERE current AND at BETWEEN '{from}' AND '{to}'
         UNION ALL (SELECT extract(epoch FROM slot_end)::bigint, price FROM price_history
                    WHERE current AND at BETWEEN '{from}' AND '{to}' ORDER BY at DESC LIMIT 1) ORDER BY 1",
        from = viewer.from,
        to = viewer.to
    ));
    assert_eq!(points.len(), wanted.len());
    for (point, wanted) in points.iter().zip(&wanted) {
        let at: jiff::Timestamp = point["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(at.as_second(), wanted[0].parse::<i64>().unwrap());
        near(number(point, "value"), wanted[1].parse().unwrap());
    }
}

/// Rows as the storage worker writes them, straight into its tables: 24 series, a price every ten minutes for 290 days.
const MILLION: &str = "
INSERT INTO monitors (monitor, retention_ms, registered_at) VALUES ('default.million', 31536000000, now());
SELECT price_history_add_month(month) FROM generate_series(now() - interval '10 months', now(), interval '1 month') month;
INSERT INTO events (monitor, event) SELECT id, 'Concert ' || n FROM monitors, generate_series(1, 6) n;
INSERT INTO series (monitor, source, item, currency, unit, schedule, event, section)
    SELECT monitor, 'market', event || ' ' || n, 'USD', 'USD', false, id, 'Section ' || n FROM events, generate_series(1, 4) n;
INSERT INTO price_history (at, observed_at, series, \"offset\", stream, changed, current, price)
    SELECT t, t, s.id, row_number() OVER (), 1, true, true, round((50 + s.id + 20 * random())::numeric, 2)
    FROM series s, generate_series(now() - interval '290 days', now() - interval '5 minutes', interval '10 minutes') t;
ANALYZE price_history";
/// What a person waits for; each answer takes a fraction of it on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_million_rows_are_shown_in_seconds_whatever_the_range_is() {
    let nothing = "sources: [{name: s, file: {path: none.json, format: porssisahko}}]";
    let fleet = prepared("million", nothing, "million_reader");
    fleet.rows(MILLION);
    let rows = fleet.count("price_history");
    assert!(rows > 1_000_000, "{rows}");
    let mut worker = up(&fleet, "million");
    worker.ready();
    let summed = "housekeeping WHERE hours_summed > now() - interval '3 hours'";
    wait::until("hours to be summed up", SUMMED, || fleet.count(summed) == 1).unwrap();
    worker.end();
    assert!(fleet.count("price_hourly") > rows / 7);
    let viewer = Viewer::new("prices.json", "million", "million_reader");
    let viewer = viewer.with("unit", &["USD"]).with("timezone", &["Europe/Helsinki"]);
    for days in [1, 5, 30, 300] {
        let viewer = viewer.between(days * 24 * 60, 0);
        let asked: Vec<String> =
            viewer.panels().into_iter().filter(|title| title.ends_with("($unit)")).collect();
        for title in asked {
            let began = std::time::Instant::now();
            assert!(!viewer.panel(&title).is_empty(), "{title}");
            let took = began.elapsed();
            println!("{days} days, {title}: {took:?}");
            assert!(took < PATIENCE, "{title} of {days} days took {took:?}");
        }
    }
    let of_one = viewer.between(300 * 24 * 60, 0).with("event", &["Concert 3"]);
    figures_are_right(&fleet, &of_one, "USD", "e.event = 'Concert 3'");
}
