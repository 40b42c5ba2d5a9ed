//! The dashboards agree with themselves, with each other, with Grafana's provisioning and with those who mount them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pricemonitor_operator::grafana;
use serde_json::Value;

const FILES: &str = "charts/pricemonitor-operator/files/dashboards";
const PROVISIONING: &str = "docker/grafana/provisioning";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The dashboards of the chart, by the names of their files.
fn dashboards() -> BTreeMap<String, Value> {
    let entries = fs::read_dir(root().join(FILES)).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap())
    };
    entries.map(read).collect()
}

fn list<'a>(board: &'a Value, place: &str) -> &'a [Value] {
    board.pointer(place).and_then(Value::as_array).unwrap()
}

/// Every value of a key, however deep it lies.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|field| all(field, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

fn every<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    all(value, key, &mut found);
    found
}

/// The lines of a block of YAML below the line `head`, up to the next one that is not further in.
fn block<'a>(yaml: &'a str, head: &str) -> Vec<&'a str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = yaml.lines().skip_while(|line| *line != head);
    let first = lines.next().unwrap_or_else(|| panic!("no line `{head}`"));
    lines.take_while(|line| line.is_empty() || indent(line) > indent(first)).map(str::trim).collect()
}

/// The one value of a key in a block.
fn value<'a>(lines: &[&'a str], key: &str) -> &'a str {
    let prefix = format!("{key}: ");
    let mut found = lines.iter().filter_map(|line| line.strip_prefix(prefix.as_str()));
    let value = found.next().unwrap_or_else(|| panic!("no {key} in {lines:?}"));
    assert_eq!(found.next(), None, "{key} in {lines:?}");
    value
}

/// Variables that a text names, with the braces that we always write, or without.
fn named(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| -> String {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let names = text.split('$').skip(1).map(name);
    // Those of Grafana itself.
    names.filter(|name| !name.is_empty() && !name.starts_with("__")).collect()
}

#[test]
fn every_data_source_is_a_variable_that_takes_what_is_there() {
    for (file, board) in dashboards() {
        let variables = list(&board, "/templating/list");
        let sources: Vec<&Value> = variables.iter().filter(|one| one["type"] == "datasource").collect();
        assert_eq!(sources.len(), 1, "{file}");
        let (name, plugin) = (sources[0]["name"].as_str().unwrap(), &sources[0]["query"]);
        assert_eq!(variables[0]["name"], name, "{file}: the others ask it");
        let used = every(&board, "datasource");
        assert!(used.len() > 10, "{file}");
        for source in used {
            assert_eq!(*source, serde_json::json!({"type": plugin, "uid": format!("${{{name}}}")}), "{file}");
        }
        let of_compose = text(&format!("{PROVISIONING}/datasources/pricemonitor.yaml"));
        let count =
            of_compose.lines().filter(|line| line.trim() == format!("type: {}", plugin.as_str().unwrap()));
        assert_eq!(count.count(), 1, "{file}: {plugin} is provisioned once");
    }
}

#[test]
fn whatever_a_dashboard_names_it_has_and_every_choice_is_used() {
    for (file, board) in dashboards() {
        let known: BTreeSet<String> = list(&board, "/templating/list")
            .iter()
            .map(|variable| variable["name"].as_str().unwrap().to_owned())
            .collect();
        let mut used = named(&board["panels"].to_string());
        used.extend(named(&board["annotations"].to_string()));
        assert_eq!(used, known, "{file}");
        used.extend(named(&board["templating"].to_string()));
        used.extend(named(&board["links"].to_string()));
        assert_eq!(used, known, "{file}");
        for sql in every(&board, "rawSql").into_iter().map(|sql| sql.as_str().unwrap()) {
            let quoted = sql.matches(":sqlstring}").count();
            assert!(quoted > 0 && sql.matches("${").count() == quoted, "{file}: unquoted in {sql}");
        }
    }
}

#[test]
fn dashboards_are_found_by_their_ids_and_lead_to_each_other() {
    let boards = dashboards();
    let ids: BTreeSet<&str> = boards.values().map(|board| board["uid"].as_str().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from([grafana::PRICES, grafana::PIPELINE, grafana::OPERATOR]));
    for (file, board) in &boards {
        assert_eq!(board["uid"], format!("pricemonitor-{}", file.trim_end_matches(".json")));
        let address = |link: &Value| {
            let path = link["url"].as_str().unwrap().strip_prefix("/d/")?;
            Some(path.split('?').next().unwrap().to_owned())
        };
        let mut reached: BTreeSet<String> = list(board, "/links").iter().filter_map(address).collect();
        reached.insert(board["uid"].as_str().unwrap().to_owned());
        assert_eq!(reached, ids.iter().map(|id| (*id).to_owned()).collect(), "{file}");
        let by_tag = list(board, "/links").iter().find(|link| link["type"] == "dashboards").unwrap();
        assert_eq!(by_tag["tags"], board["tags"], "{file}: those of single monitors, too");
    }
}

#[test]
fn every_panel_says_why_and_in_what_unit_and_none_lies_on_another() {
    for (file, board) in dashboards() {
        let (mut cells, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&board, "/panels") {
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(x < 24 && cells.insert((x, y)), "{file}: {}", panel["title"]);
                }
            }
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}");
            if panel["type"] == "row" {
                continue;
            }
            let why = panel["description"].as_str().unwrap();
            assert!(why.len() > 30 && why.ends_with('.'), "{file}: {}: {why}", panel["title"]);
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string(), "{file}: {}", panel["title"]);
            assert!(panel["type"] != "stat" || defaults["thresholds"]["steps"].is_array(), "{file}");
        }
        for mark in list(&board, "/annotations/list") {
            let on: Vec<u64> = list(mark, "/filter/ids").iter().map(|id| id.as_u64().unwrap()).collect();
            let drawn = list(&board, "/panels").iter().filter(|panel| panel["type"] == "timeseries");
            let charts: Vec<u64> = drawn.map(|panel| panel["id"].as_u64().unwrap()).collect();
            assert_eq!(on, charts, "{file}: marks are on the chart of prices");
        }
    }
}

#[test]
fn compose_mounts_what_grafana_is_told_to_read() {
    let compose = text("docker/compose.yaml");
    let service = block(&compose, "  grafana:");
    let provider = text(&format!("{PROVISIONING}/dashboards/pricemonitor.yaml"));
    let path = value(&block(&provider, "  options:"), "path").to_owned();
    let mounts: BTreeMap<&str, &str> = service
        .iter()
        .filter_map(|line| line.strip_prefix("- "))
        .filter_map(|mount| mount.strip_suffix(":ro")?.split_once(':').map(|(from, to)| (to, from)))
        .collect();
    let is_folder = |from: &str, of: &str| {
        root().join("docker").join(from).canonicalize().unwrap() == root().join(of).canonicalize().unwrap()
    };
    assert!(is_folder(mounts[path.as_str()], FILES), "{mounts:?}");
    assert!(is_folder(mounts["/etc/grafana/provisioning"], PROVISIONING), "{mounts:?}");
    let home = value(&service, "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH");
    assert!(dashboards().contains_key(home.strip_prefix(&format!("{path}/")).unwrap()));
}

#[test]
fn the_data_sources_of_compose_are_its_services_and_grafana_logs_in_as_a_reader() {
    let compose = text("docker/compose.yaml");
    let sources = text(&format!("{PROVISIONING}/datasources/pricemonitor.yaml"));
    let service = block(&compose, "  grafana:");
    for name in named(&sources) {
        assert!(
            service.iter().any(|line| line.starts_with(&format!("{name}: "))),
            "Grafana is not given {name}"
        );
    }
    let prometheus = block(&sources, "- name: Prometheus");
    assert_eq!(value(&prometheus, "uid"), "pricemonitor-prometheus");
    assert_eq!(value(&prometheus, "url"), "http://prometheus:9090");
    let port = block(&compose, "  prometheus:")
        .iter()
        .any(|line| line.starts_with("ports:") && line.contains(":9090\"]"));
    assert!(port, "the port of the service prometheus");
    let postgres = block(&sources, "- name: PostgreSQL");
    assert_eq!(value(&postgres, "uid"), "pricemonitor-postgres");
    assert_eq!(value(&postgres, "url"), "${POSTGRES_HOST}:${POSTGRES_PORT}");
    assert_eq!(value(&postgres, "user"), "${GRAFANA_POSTGRES_USER}");
    assert_eq!(value(&postgres, "database"), "${POSTGRES_DB}");
    let role = value(&service, "GRAFANA_POSTGRES_USER");
    assert!(text("docker/postgres/10-grafana.sh").contains(&format!("CREATE ROLE {role} LOGIN PASSWORD")));
    for setup in ["  setup: &setup", "  electricity-setup:"] {
        let command = value(&block(&compose, setup), "command").to_owned();
        assert!(command.contains(&format!("--reader-role, {role}]")), "{command}");
    }
}

#[test]
fn the_chart_gives_grafanas_sidecar_every_dashboard() {
    let template = text("charts/pricemonitor-operator/templates/dashboards.yaml");
    assert!(template.contains(r#".Files.Glob "files/dashboards/*.json""#));
    assert_eq!(
        dashboards().into_keys().collect::<Vec<_>>(),
        ["operator.json", "pipeline.json", "prices.json"]
    );
    for (file, board) in dashboards() {
        // A ConfigMap holds a MiB, and its name is made of the file's.
        assert!(board.to_string().len() < 200_000, "{file}");
        assert!(file.trim_end_matches(".json").chars().all(|c| c.is_ascii_lowercase()), "{file}");
    }
}
