//! The list of what can be asked, from which the router is built.

use axum::Extension;
use axum::routing::{MethodRouter, get};

use super::{Context, answers, download};

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its path.
    pub path: &'static str,
    /// The parameters it understands; every other one is refused.
    pub parameters: &'static [&'static str],
}

/// The parameters of the route that a request took.
#[derive(Clone, Copy)]
pub(super) struct Known(pub(super) &'static [&'static str]);

pub(super) struct Handled {
    pub(super) route: Route,
    pub(super) handler: MethodRouter<Context>,
}

const NONE: &[&str] = &[];
const FILTER: &[&str] = &["monitor", "event", "section", "from", "to"];
const HISTORY: &[&str] = &["monitor", "event", "section", "from", "to", "lines", "points"];
const DISTRIBUTION: &[&str] = &["monitor", "event", "section", "from", "to", "bars"];
const HOURS: &[&str] = &["monitor", "event", "section", "from", "to", "zone"];
const ALERTS: &[&str] = &["monitor", "event", "section", "from", "to", "limit"];

/// Every route of the API, in the order of the description.
pub fn routes() -> Vec<Route> {
    all().into_iter().map(|handled| handled.route).collect()
}

pub(super) fn all() -> Vec<Handled> {
    let one = |path, parameters, handler: MethodRouter<Context>| Handled {
        route: Route { path, parameters },
        handler: handler.layer(Extension(Known(parameters))),
    };
    vec![
        one("/api/v1/about", NONE, get(answers::about)),
        one("/api/v1/facets", NONE, get(answers::facets)),
        one("/api/v1/statistics", FILTER, get(answers::statistics)),
        one("/api/v1/history", HISTORY, get(answers::history)),
        one("/api/v1/distribution", DISTRIBUTION, get(answers::distribution)),
        one("/api/v1/hours", HOURS, get(answers::hours)),
        one("/api/v1/alerts", ALERTS, get(answers::alerts)),
        one("/api/v1/notices", NONE, get(answers::notices)),
        one("/api/v1/prices.csv", FILTER, get(download::prices)),
        one("/api/v1/live", NONE, get(answers::live)),
        one("/api/v1/openapi.json", NONE, get(answers::openapi)),
    ]
}
