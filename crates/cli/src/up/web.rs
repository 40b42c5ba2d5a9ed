//! The page, the API, and what Prometheus and probes ask, on one address.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use pricemonitor_config::SecretString;
use pricemonitor_dashboard::{Bound, Notice, Options};
use prometheus::{Encoder, TextEncoder};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::args::{PageToken, UpArgs};
use crate::exit::{Failure, Result};

/// Fewest characters of the page's token.
const SHORTEST_TOKEN: usize = 8;

/// Takes the address, before anything else happens.
pub(super) async fn bind(args: &UpArgs) -> Result<Bound> {
    let short = |token: &PageToken| token.0.expose().len() < SHORTEST_TOKEN;
    if args.page_token.as_ref().is_some_and(short) {
        return Err(Failure::input(format!(
            "--page-token: a token has at least {SHORTEST_TOKEN} characters"
        )));
    }
    pricemonitor_dashboard::bind(args.listen).await.map_err(Failure::input)
}

/// Who may see the page, and under which names.
pub(super) struct Access {
    token: Option<SecretString>,
    hosts: Vec<String>,
}

impl Access {
    /// As the command line says.
    pub(super) fn of(args: &UpArgs) -> Access {
        Access { token: args.page_token.clone().map(|token| token.0), hosts: args.allow_host.clone() }
    }
}

/// Serves until `stop`.
pub(super) async fn serve(bound: Bound, args: Access, shared: Arc<Shared>, stop: CancellationToken) {
    let health = shared.health.clone();
    let notices = move || {
        let notice = |notice: pricemonitor_workers::Notice| Notice {
            failing: notice.failing,
            monitor: notice.part.monitor,
            text: format!("{} {}: {}", notice.part.kind, notice.part.name, notice.text),
        };
        health.notices().into_iter().map(notice).collect()
    };
    let options = Options {
        version: env!("CARGO_PKG_VERSION"),
        notices: Arc::new(notices),
        token: args.token,
        allowed_hosts: args.hosts,
        ..Options::default()
    };
    let prices = Arc::new(shared.database.clone());
    if let Err(error) = bound.serve(options, prices, probes(shared), stop).await {
        tracing::error!("the page ended: {error}");
    }
}

fn probes(shared: Arc<Shared>) -> Router {
    let (metrics, health) = (shared.metrics.clone(), shared.health.clone());
    let metrics = move || async move {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&metrics.registry().gather(), &mut text) {
            Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    let ready = move || async move {
        match health.ready() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n"),
        }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/readyz", get(ready))
        .route("/livez", get(|| async { "alive\n" }))
}
