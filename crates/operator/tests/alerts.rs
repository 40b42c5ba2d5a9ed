//! The rules agree with the metrics, the runbooks, the dashboards and their own tests. `UPDATE=1` writes what docs/metrics.md
//! says of them anew. What promtool says of them is in `prometheus_alerts.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pricemonitor_operator::metrics::Metrics;
use serde_json::Value;

const FILES: &str = "charts/pricemonitor-operator/files";
const REFERENCE: &str = "docs/metrics.md";

/// Metrics that nothing watches, and why they are there.
const FOR_QUESTIONS: [(&str, &str); 3] = [
    (
        "pricemonitor_state_entries",
        "how many items the processor knows: what its memory grows with; how many are right, only the sources know",
    ),
    (
        "pricemonitor_batch_records",
        "how large transactions and batches are: it says why a worker is slow, not that it is",
    ),
    (
        "pricemonitor_records_skipped_total",
        "records that came again after a restart or a rebalance: some are well, and none is wrong",
    ),
];

/// One rule of a file.
#[derive(Debug)]
struct Rule {
    alert: bool,
    name: String,
    expression: String,
    /// As it is written.
    whole: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
    };
    entries.map(read).collect()
}

/// All rules; promtool has judged the YAML, so that its lines may be taken by their indentation.
fn rules() -> Vec<Rule> {
    let mut found = Vec::new();
    for text in files(&format!("{FILES}/alerts")).values() {
        for whole in text.split("\n  - ").skip(1) {
            let (head, rest) = whole.split_once('\n').unwrap();
            let (kind, name) = head.split_once(": ").unwrap();
            assert!(["alert", "record"].contains(&kind), "{head}");
            let rest = rest.strip_prefix("    expr:").unwrap();
            let (inline, below) = rest.split_once('\n').unwrap_or((rest, ""));
            let expression = match inline.trim() {
                "|" => {
                    below.lines().take_while(|line| line.starts_with("      ")).collect::<Vec<_>>().join("\n")
                }
                inline => inline.to_owned(),
            };
            assert!(!expression.is_empty(), "{whole}");
            let (alert, name, whole) = (kind == "alert", name.to_owned(), whole.to_owned());
            found.push(Rule { alert, name, expression, whole });
        }
    }
    found
}

/// The metrics of the reference, which other tests compare with the registries: name to labels.
fn reference() -> BTreeMap<String, BTreeSet<String>> {
    let text = text(REFERENCE);
    let rows = text.lines().filter(|line| line.starts_with("| `pricemonitor_"));
    let spans = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        // What is said of those for questions has two columns.
        (cells.len() > 5).then(|| (spans(cells[1]).remove(0), spans(cells[3]).into_iter().collect()))
    })
    .collect()
}

/// The names of an expression that are ours, each with the labels that its selector names.
fn named(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(of_name) {
        let end = rest[at..].find(|c| !of_name(c)).map_or(rest.len(), |length| at + length);
        let name = &rest[at..end];
        rest = &rest[end..];
        let selector = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(inner, _)| inner);
        if name.starts_with("pricemonitor_") || name.contains(":pricemonitor_") {
            let matchers = selector.unwrap_or_default().split(',');
            let labels = matchers.filter_map(|one| Some(one.split_once(['=', '!'])?.0.trim().to_owned()));
            found.push((name.to_owned(), labels.collect()));
        }
        // What stands in a selector is no name of a metric.
        rest = selector.map_or(rest, |inner| &rest[inner.len() + 2..]);
    }
    found
}

/// Every query of the dashboards to Prometheus, with the file.
fn panels() -> Vec<(String, String)> {
    fn queries(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, field)| match field.as_str() {
                Some(text) if key == "expr" || text.starts_with("label_values(") => {
                    found.push(text.to_owned())
                }
                _ => queries(field, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for (file, text) in files(&format!("{FILES}/dashboards")) {
        let mut found = Vec::new();
        queries(&serde_json::from_str(&text).unwrap(), &mut found);
        all.extend(found.into_iter().map(|query| (file.clone(), query)));
    }
    all
}

/// Without what a histogram's series have behind its name.
fn family<'n>(name: &'n str, known: &BTreeMap<String, BTreeSet<String>>) -> &'n str {
    let ends = ["_bucket", "_sum", "_count"].iter().filter_map(|end| name.strip_suffix(end));
    ends.into_iter().find(|short| known.contains_key(*short)).unwrap_or(name)
}

#[test]
fn every_metric_of_a_rule_or_panel_exists_and_every_metric_is_watched_or_said_why_not() {
    let (known, rules) = (reference(), rules());
    assert!(known.len() > 35, "{known:?}");
    let recorded: BTreeSet<&str> =
        rules.iter().filter(|rule| !rule.alert).map(|rule| rule.name.as_str()).collect();
    // Prometheus adds these itself.
    let added = ["job", "instance", "namespace", "pod", "le"];
    let mut watched = BTreeSet::new();
    let of_rules = rules.iter().map(|rule| (rule.name.clone(), rule.expression.clone()));
    for (place, expression) in of_rules.chain(panels()) {
        for (name, labels) in named(&expression) {
            if name.contains(':') {
                assert!(recorded.contains(name.as_str()), "{place}: nothing records {name}");
                continue;
            }
            let name = family(&name, &known);
            let has = known.get(name).unwrap_or_else(|| panic!("{place}: there is no metric {name}"));
            let strange: Vec<_> = labels
                .iter()
                .filter(|label| !has.contains(*label) && !added.contains(&label.as_str()))
                .collect();
            assert!(strange.is_empty(), "{place}: {name} has no label {strange:?}");
            watched.insert(name.to_owned());
        }
    }
    let questions: BTreeSet<String> = FOR_QUESTIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let all: BTreeSet<String> = known.into_keys().collect();
    assert_eq!(&all - &watched, questions, "watched by nothing, and said to be so");
}

#[test]
fn every_alert_says_what_is_wrong_how_bad_it_is_and_where_its_runbook_is() {
    let runbooks = text("docs/runbooks.md");
    let entries: BTreeSet<&str> =
        runbooks.lines().filter_map(|line| line.strip_prefix("## PriceMonitor")).collect();
    let mut alerts = BTreeSet::new();
    let all = rules();
    for rule in all.iter().filter(|rule| rule.alert) {
        let Rule { name, whole, .. } = rule;
        alerts.insert(
            name.strip_prefix("PriceMonitor").unwrap_or_else(|| panic!("{name}: begin with the product")),
        );
        let severity = ["warning", "critical"].map(|word| format!("labels: {{severity: {word}}}"));
        assert!(severity.iter().any(|line| whole.contains(line)), "{name} has no severity");
        let anchor = format!("runbook_url: docs/runbooks.md#{}", name.to_lowercase());
        assert!(whole.lines().any(|line| line.trim() == anchor), "{name}: {anchor}");
        for field in ["summary", "description"] {
            let line = whole.lines().find_map(|line| line.trim().strip_prefix(&format!("{field}: ")));
            let line = line.unwrap_or_else(|| panic!("{name} has no {field}"));
            assert!(line.trim_end_matches('\'').ends_with('.'), "{name}: {field} is no sentence: {line}");
        }
    }
    assert!(alerts.len() > 20);
    assert_eq!(alerts, entries, "alerts, and the entries of docs/runbooks.md");
    for entry in runbooks.split("\n## ").skip(1) {
        for part in ["**It means**", "**Look first**", "**Do**"] {
            assert!(entry.contains(part), "{part} is missing: {entry}");
        }
    }
}

#[test]
fn every_alert_has_a_test_in_which_it_is_silent_before_and_after_it_fires() {
    let mut seen: BTreeMap<String, bool> = BTreeMap::new();
    for text in files("crates/operator/tests/alerts").values() {
        for test in text.split("\n- name: ").skip(1) {
            let mut tried: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
            for check in test.split("    alertname: ").skip(1) {
                let (name, rest) = check.split_once('\n').unwrap();
                tried.entry(name).or_default().push(!rest.starts_with("    exp_alerts: []"));
            }
            for (name, fires) in tried {
                let whole = fires.windows(3).any(|three| three == [false, true, false]);
                *seen.entry(name.to_owned()).or_default() |= whole;
            }
        }
    }
    let half: Vec<_> = seen.iter().filter(|(_, whole)| !**whole).collect();
    assert!(half.is_empty(), "without a test from silence to silence: {half:?}");
    let alerts: BTreeSet<String> =
        rules().into_iter().filter(|rule| rule.alert).map(|rule| rule.name).collect();
    assert_eq!(alerts, seen.into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn what_the_reference_says_of_operator_and_rules_is_what_they_are() {
    let mut doc = text(REFERENCE);
    let parts =
        [("operator", of_the_operator()), ("recorded", of_the_rules()), ("questions", of_questions())];
    for (name, table) in &parts {
        let (before, rest) = doc.split_once(&format!("<!-- {name}: generated")).unwrap();
        let (head, rest) = rest.split_once("-->\n").unwrap();
        let end = format!("<!-- end of {name} -->\n");
        let (_, after) = rest.split_once(&end).unwrap();
        doc = format!("{before}<!-- {name}: generated{head}-->\n\n{table}\n{end}{after}");
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join(REFERENCE), &doc).unwrap();
    }
    assert!(text(REFERENCE) == doc, "{REFERENCE} is old: run `UPDATE=1 cargo test -p pricemonitor-operator`");
}

/// As the registry has them, once each was used.
fn of_the_operator() -> String {
    let metrics = Metrics::new().unwrap();
    metrics.queued(0);
    metrics.lead(true);
    metrics.begun();
    metrics.reconciled("ok", Duration::ZERO);
    metrics.called("get", "leases", "ok");
    metrics.conditions(&BTreeMap::from([(("Ready".to_owned(), "True".to_owned()), 1)]));
    let text = metrics.text().unwrap();
    let mut out =
        String::from("| metric | type | labels | exported by | what it says |\n|---|---|---|---|---|\n");
    let mut count = 0;
    for help in text.split("# HELP ").skip(1) {
        let mut lines = help.lines();
        let (name, why) = lines.next().unwrap().split_once(' ').unwrap();
        let kind = lines.next().unwrap().rsplit(' ').next().unwrap();
        let sample = lines.next().unwrap();
        let inner =
            sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inner, _)| inner);
        let labels = inner.split(',').filter_map(|one| one.split_once('=')).map(|(label, _)| label);
        let labels: Vec<String> =
            labels.filter(|label| *label != "le").map(|label| format!("`{label}`")).collect();
        out.push_str(&format!("| `{name}` | {kind} | {} | operator | {why} |\n", labels.join(", ")));
        count += 1;
    }
    let code = include_str!("../src/metrics.rs");
    assert_eq!(count, code.matches("metrics.registry.register(").count(), "a metric that no call here uses");
    out
}

fn of_the_rules() -> String {
    let mut out = String::from("| series | of |\n|---|---|\n");
    for Rule { name, expression, .. } in rules().iter().filter(|rule| !rule.alert) {
        let of: BTreeSet<String> =
            named(expression).into_iter().map(|(name, _)| format!("`{name}`")).collect();
        let of: Vec<String> = of.into_iter().collect();
        out.push_str(&format!("| `{name}` | {} |\n", of.join(", ")));
    }
    out
}

fn of_questions() -> String {
    let rows = FOR_QUESTIONS.map(|(name, why)| format!("| `{name}` | {why} |\n")).concat();
    format!("| metric | why it is there |\n|---|---|\n{rows}")
}
