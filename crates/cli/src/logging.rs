//! The log, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, log_filter};

/// What is logged when nobody says otherwise: our own notes, and only trouble from the libraries. librdkafka
/// calls every passing hiccup an error; what matters of them the event log says in its own words.
const DEFAULT: &str = "warn,librdkafka=off,rdkafka=off,pricemonitor=info,pricemonitor_workers=info,pricemonitor_sources=info,\
pricemonitor_eventlog=info,pricemonitor_store=info,pricemonitor_notify=info,pricemonitor_dashboard=info";

/// Starts the log. A second start (in tests) changes nothing.
pub(crate) fn start(format: LogFormat) {
    let filter = log_filter()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It tells them by `eprintln!`, which panics when nobody reads standard error any more.
        .log_internal_errors(false);
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Human => {
            builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).compact().try_init()
        }
    };
}
