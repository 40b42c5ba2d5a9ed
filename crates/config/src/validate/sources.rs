//! Sources.

use std::collections::HashMap;
use std::time::Duration;

use pricemonitor_model::Decimal;
use pricemonitor_model::admission::ValidRange;

use super::{Checks, exactly_one, values, workers};
use crate::settings::{ReaderSettings, SourceKind, SourceSettings};
use crate::spec::{FileSpec, Format, HttpSpec, MAX_SOURCES, Mapping, SimulatorSpec, SourceSpec, ValidSpec};

/// `User-Agent` of requests when the manifest names none.
const USER_AGENT: &str = concat!("PriceMonitor/", env!("CARGO_PKG_VERSION"));
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: (&str, &str) = ("100ms", "5m");

/// The sources, and the prices that each may show.
pub(super) fn settings(
    checks: &mut Checks,
    specs: &[SourceSpec],
) -> (Vec<SourceSettings>, HashMap<String, ValidRange>) {
    checks.names("spec.sources", MAX_SOURCES, specs.iter().map(|spec| spec.name.as_str()));
    if specs.is_empty() {
        checks.tell("spec.sources", "is empty: a monitor needs a source");
    }
    let (mut sources, mut valid) = (Vec::new(), HashMap::new());
    for (n, spec) in specs.iter().enumerate() {
        let path = format!("spec.sources[{n}]");
        let range = range(checks, &path, spec);
        let kind = kind(checks, &path, spec);
        let default = Duration::from_secs(match () {
            () if spec.simulator.is_some() => 5,
            () if spec.http.is_some() => 300,
            () => 10,
        });
        let interval =
            checks.duration(format_args!("{path}.interval"), &spec.interval, default, ("100ms", "7d"));
        if let Some(kind) = kind {
            valid.insert(spec.name.clone(), range);
            sources.push(SourceSettings { name: spec.name.clone(), interval, kind });
        }
    }
    (sources, valid)
}

fn kind(checks: &mut Checks, path: &str, spec: &SourceSpec) -> Option<SourceKind> {
    // Each kind that is there is judged, even where there are too many.
    let simulator =
        spec.simulator.as_ref().and_then(|it| simulator(checks, &format!("{path}.simulator"), it));
    let file = spec.file.as_ref().and_then(|it| file(checks, &format!("{path}.file"), it));
    let http = spec.http.as_ref().and_then(|it| http(checks, &format!("{path}.http"), it));
    let kinds = [
        ("simulator", spec.simulator.is_some()),
        ("file", spec.file.is_some()),
        ("http", spec.http.is_some()),
    ];
    checks.take(path, exactly_one("kind of source", &kinds))?;
    simulator.or(file).or(http)
}

fn simulator(checks: &mut Checks, path: &str, spec: &SimulatorSpec) -> Option<SourceKind> {
    if !(1..=10_000).contains(&spec.events) {
        checks.tell(format_args!("{path}.events"), format!("must be from 1 to 10000, not {}", spec.events));
    }
    let count = &spec.listings_per_event;
    for (end, value) in [("min", count.min), ("max", count.max)] {
        if !(1..=1_000).contains(&value) {
            let message = format!("must be from 1 to 1000, not {value}");
            checks.tell(format_args!("{path}.listingsPerEvent.{end}"), message);
        }
    }
    if count.min > count.max {
        let message = format!("must not be below `min` ({}), is {}", count.min, count.max);
        checks.tell(format_args!("{path}.listingsPerEvent.max"), message);
    }
    checks.take(format_args!("{path}.currency"), values::currency(&spec.currency));
    Some(SourceKind::Simulator(spec.clone()))
}

fn file(checks: &mut Checks, path: &str, spec: &FileSpec) -> Option<SourceKind> {
    let reader = reader(checks, path, spec.format, spec.mapping.as_ref());
    let max_size = checks.size(format_args!("{path}.maxSize"), &spec.max_size);
    if let Some(volume) = &spec.volume {
        workers::volume(checks, &format!("{path}.volume"), volume);
    }
    let file = checks.take(format_args!("{path}.path"), values::input_path(&spec.path));
    Some(SourceKind::File { path: file?, reader: reader?, max_size })
}

fn http(checks: &mut Checks, path: &str, spec: &HttpSpec) -> Option<SourceKind> {
    let reader = reader(checks, path, spec.format, spec.mapping.as_ref());
    let max_size = checks.size(format_args!("{path}.maxSize"), &spec.max_size);
    let timeout = checks.duration(format_args!("{path}.timeout"), &spec.timeout, TIMEOUT, TIMEOUTS);
    let url = checks.take(format_args!("{path}.url"), values::web_address(&spec.url));
    let user_agent = match &spec.user_agent {
        None => Some(USER_AGENT.to_owned()),
        Some(text) => checks.take(format_args!("{path}.userAgent"), user_agent(text)),
    };
    let bearer_token = match &spec.bearer_token {
        None => None,
        Some(value) => checks.secret(format_args!("{path}.bearerToken"), value),
    };
    Some(SourceKind::Http {
        url: url?,
        reader: reader?,
        max_size,
        timeout,
        user_agent: user_agent?,
        bearer_token,
    })
}

/// A header takes visible ASCII and spaces.
fn user_agent(text: &str) -> Result<String, String> {
    let text = values::line(text, 1, 256)?;
    if text.is_ascii() && text.trim() == text {
        return Ok(text);
    }
    Err("must be ASCII without spaces at its ends".to_owned())
}

fn reader(
    checks: &mut Checks,
    path: &str,
    format: Option<Format>,
    mapping: Option<&Mapping>,
) -> Option<ReaderSettings> {
    let mapped = mapping.map(|mapping| mapped(checks, &format!("{path}.mapping"), mapping));
    let given = [("format", format.is_some()), ("mapping", mapping.is_some())];
    checks.take(path, exactly_one("way to read it", &given))?;
    match (format, mapped) {
        (Some(format), _) => Some(ReaderSettings::Format(format)),
        (None, mapped) => mapped.flatten(),
    }
}

fn mapped(checks: &mut Checks, path: &str, spec: &Mapping) -> Option<ReaderSettings> {
    let jq = match spec.jq.trim() {
        "" => Err("is empty: write a jq filter that yields an object for each price".to_owned()),
        _ if spec.jq.len() > 16_384 => Err("must have at most 16384 characters".to_owned()),
        _ => Ok(spec.jq.clone()),
    };
    let jq = checks.take(format_args!("{path}.jq"), jq);
    let mut word = |name: &str, text: &Option<String>, max| match text {
        None => Some(None),
        Some(text) => checks.take(format_args!("{path}.{name}"), values::line(text, 1, max)).map(Some),
    };
    let currency = word("currency", &spec.currency, 16);
    let unit = word("unit", &spec.unit, 64);
    Some(ReaderSettings::Mapping {
        input: spec.input,
        jq: jq?,
        currency: currency?,
        unit: unit?,
        complete: spec.complete,
    })
}

fn range(checks: &mut Checks, path: &str, spec: &SourceSpec) -> ValidRange {
    let none = ValidSpec::default();
    let valid = spec.valid.as_ref().unwrap_or(&none);
    let mut end = |name: &str, text: &Option<_>| {
        text.as_ref().and_then(|text| checks.take(format_args!("{path}.valid.{name}"), values::decimal(text)))
    };
    let (min, max) = (end("min", &valid.min), end("max", &valid.max));
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        checks.tell(format_args!("{path}.valid.max"), format!("must not be below `min` ({min}), is {max}"));
    }
    let format =
        [spec.file.as_ref().and_then(|file| file.format), spec.http.as_ref().and_then(|http| http.format)];
    let energy = format.contains(&Some(Format::Porssisahko));
    let nothing = |bound: Option<Decimal>| bound.is_some_and(|bound| bound <= Decimal::ZERO);
    let positive = valid.positive.unwrap_or(!energy && !nothing(min));
    if positive && nothing(max) {
        let message = "leaves no price that is valid: with `positive: true` it must be above 0";
        checks.tell(format_args!("{path}.valid.max"), message);
    }
    ValidRange { min, max, positive }
}
