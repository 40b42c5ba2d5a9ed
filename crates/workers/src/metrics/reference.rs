//! The workers' part of docs/metrics.md is what the registry says. `UPDATE=1` writes it anew.

use std::fs;
use std::path::Path;

use super::{Described, Metrics};

const BEGIN: &str =
    "<!-- workers: generated from the registry by `UPDATE=1 cargo test -p pricemonitor-workers` -->\n";
const END: &str = "<!-- end of workers -->\n";

fn row(metric: &Described) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        metric.name,
        metric.kind,
        labels.join(", "),
        metric.by.join(", "),
        metric.help.replace('|', "\\|")
    )
}

#[test]
fn the_reference_of_metrics_is_what_the_registry_says() {
    let metrics = Metrics::new().unwrap();
    assert!(metrics.described().len() > 25);
    let mut table =
        String::from("\n| metric | type | labels | exported by | what it says |\n|---|---|---|---|---|\n");
    metrics.described().iter().for_each(|metric| table.push_str(&row(metric)));
    table.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert!(found == table, "docs/metrics.md is old: run `UPDATE=1 cargo test -p pricemonitor-workers`");
}
