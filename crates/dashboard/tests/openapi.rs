//! The description and the API agree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod fixture;

use std::collections::BTreeSet;
use std::sync::Arc;

use fixture::{Memory, samples};
use pricemonitor_dashboard::{Notice, OPENAPI, Options, routes};
use pricemonitor_model::Time;
use pricemonitor_store::Database;
use serde_json::Value;

fn description() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Follows a `$ref` inside the document.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => {
            document.pointer(place.trim_start_matches('#')).unwrap_or_else(|| panic!("no {place}"))
        }
        None => value,
    }
}

#[test]
fn every_route_and_parameter_is_described_and_nothing_else() {
    let document = description();
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, routes().iter().map(|route| route.path).collect());
    for route in routes() {
        let operation = &document["paths"][route.path]["get"];
        let parameters = operation["parameters"].as_array().unwrap().iter();
        let names: Vec<&str> = parameters.map(|p| resolve(&document, p)["name"].as_str().unwrap()).collect();
        assert_eq!(names, route.parameters, "{}", route.path);
        assert!(operation["responses"]["200"].is_object() && operation["responses"]["400"].is_object());
    }
}

#[test]
fn every_described_example_of_a_parameter_is_accepted() {
    let document = description();
    let served = common::serve(Arc::new(Memory::default()), Options::default());
    for route in routes().iter().filter(|route| !route.path.ends_with("live")) {
        for parameter in route.parameters {
            let described = &document["components"]["parameters"][parameter];
            let example =
                [&described["example"], &described["schema"]["default"], &described["schema"]["minimum"]]
                    .into_iter()
                    .find(|value| !value.is_null());
            let text = match example {
                Some(Value::String(text)) => text.replace('+', "%2B"),
                Some(other) => other.to_string(),
                None => continue,
            };
            let answer = served.get(&format!("{}?{parameter}={text}", route.path));
            assert_eq!(answer.status, 200, "{} {parameter}={text}", route.path);
        }
    }
}

#[test]
fn the_limits_of_the_description_are_the_limits_of_the_api() {
    let document = description();
    let served = common::serve(Arc::new(Memory::default()), Options::default());
    for route in routes() {
        for parameter in route.parameters {
            let schema = &document["components"]["parameters"][parameter]["schema"];
            if schema["type"] != "integer" {
                continue;
            }
            let (low, high) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap());
            for (number, status) in [(low, 200), (high, 200), (low - 1, 400), (high + 1, 400)] {
                let answer = served.get(&format!("{}?{parameter}={number}", route.path));
                assert_eq!(answer.status, status, "{} {parameter}={number}", route.path);
            }
        }
    }
}

#[test]
fn every_answer_is_as_described() {
    let document = description();
    let now = Time::from_jiff(jiff::Timestamp::now());
    let memory = Arc::new(Memory::default());
    samples::tickets(&memory, now, 2, 30);
    samples::electricity(&memory, now, 3);
    let notices = || vec![Notice { failing: false, monitor: String::new(), text: "a channel is off".into() }];
    let options = Options { notices: Arc::new(notices), ..Options::default() };
    let full = common::serve(memory, options);
    // The real store, as it is on the first day.
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::open_sqlite(&folder.path().join("prices.sqlite"))).unwrap();
    let empty = common::serve(Arc::new(database.clone()), Options::default());
    let mut checked = 0;
    for route in routes() {
        let content = &document["paths"][route.path]["get"]["responses"]["200"]["content"];
        let Some(schema) = content.get("application/json").map(|json| &json["schema"]) else { continue };
        for served in [&full, &empty] {
            let answer = served.get(route.path);
            assert_eq!(answer.status, 200, "{}", route.path);
            fits(&document, schema, &answer.json(), route.path);
            checked += 1;
        }
        let wrong = full.get(&format!("{}?nonsense=1", route.path));
        let failure =
            &document["paths"][route.path]["get"]["responses"]["400"]["content"]["application/json"];
        fits(&document, &failure["schema"], &wrong.json(), route.path);
    }
    drop(empty);
    runtime.block_on(database.close());
    assert!(checked >= 18, "{checked} answers were checked");
    let alerts = full.get("/api/v1/alerts").json();
    assert!(
        alerts.as_array().unwrap().iter().any(|alert| alert["slot"].is_object()),
        "slots were checked too"
    );
}

/// Checks a value against the part of JSON Schema that the description uses; anything else in a
/// schema is a mistake of the description.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolve(document, schema);
    for key in schema.as_object().unwrap().keys() {
        let known = [
            "type",
            "description",
            "format",
            "enum",
            "minimum",
            "maximum",
            "items",
            "properties",
            "required",
            "additionalProperties",
            "anyOf",
        ];
        assert!(known.contains(&key.as_str()), "{place}: the check does not know `{key}`");
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let null = choices.iter().any(|choice| choice["type"] == "null");
        match value {
            Value::Null => assert!(null, "{place} must not be null"),
            _ => {
                fits(document, choices.iter().find(|choice| choice["type"] != "null").unwrap(), value, place)
            }
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => panic!("{place}: a schema without a type"),
    };
    let right = types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
    assert!(right, "{place} is {kind}, not {types:?}");
    if let (Some(choices), true) = (schema["enum"].as_array(), !value.is_null()) {
        assert!(choices.contains(value), "{place}: {value} is none of {choices:?}");
    }
    if let (Some(number), Some(low)) = (value.as_f64(), schema["minimum"].as_f64()) {
        assert!(number >= low, "{place}: {number} is below {low}");
    }
    if let (Some(number), Some(high)) = (value.as_f64(), schema["maximum"].as_f64()) {
        assert!(number <= high, "{place}: {number} is above {high}");
    }
    if let (Some(text), Some("date-time")) = (value.as_str(), schema["format"].as_str()) {
        let at: Time = text.parse().unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(at.to_string(), text, "{place}");
    }
    if let Some(items) = value.as_array() {
        for (at, item) in items.iter().enumerate() {
            fits(document, &schema["items"], item, &format!("{place}[{at}]"));
        }
    }
    if let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{place} has no {name}");
        }
        for (name, member) in members {
            let described = properties.get(name).unwrap_or_else(|| panic!("{place}.{name} is not described"));
            fits(document, described, member, &format!("{place}.{name}"));
        }
    }
}
