//! What is different for single columns of an answer.

use serde_json::{Value, json};

fn column(name: &str, properties: Value) -> Value {
    json!({"matcher": {"id": "byName", "options": name}, "properties": properties})
}

/// A column with a unit of its own.
pub(super) fn unit(name: &str, unit: &str) -> Value {
    column(name, json!([{"id": "unit", "value": unit}]))
}

/// A column of prices.
pub(super) fn decimals(name: &str, digits: u8) -> Value {
    column(name, json!([{"id": "decimals", "value": digits}]))
}

/// A column whose words have colours.
pub(super) fn words(name: &str, colors: &[(&str, &str)]) -> Value {
    let color = |(n, (word, color)): (usize, &(&str, &str))| {
        ((*word).to_owned(), json!({"color": color, "index": n}))
    };
    let options: serde_json::Map<String, Value> = colors.iter().enumerate().map(color).collect();
    column(
        name,
        json!([{"id": "mappings", "value": [{"type": "value", "options": options}]},
               {"id": "custom.cellOptions", "value": {"type": "color-text"}}]),
    )
}

/// A column of numbers that turn yellow and red.
pub(super) fn rising(name: &str, yellow: f64, red: f64) -> Value {
    let steps = json!([{"color": "green", "value": null}, {"color": "yellow", "value": yellow}, {"color": "red", "value": red}]);
    column(
        name,
        json!([{"id": "thresholds", "value": {"mode": "absolute", "steps": steps}},
               {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}}]),
    )
}

/// A column of addresses that lead there. Grafana follows none that is no address of the web.
pub(super) fn address(name: &str) -> Value {
    column(
        name,
        json!([{"id": "links", "value": [{"title": "Open the offer", "url": "${__value.raw}", "targetBlank": true}]}]),
    )
}

/// A column of this width in pixels.
pub(super) fn width(name: &str, pixels: u32) -> Value {
    column(name, json!([{"id": "custom.width", "value": pixels}]))
}
