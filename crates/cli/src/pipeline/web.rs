//! The page, the API, and what Prometheus and probes ask, on one address.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use pricemonitor_config::SecretString;
use pricemonitor_dashboard::{Answers, Bound, Notice, Options};
use prometheus::{Encoder, TextEncoder};
use tokio_util::sync::CancellationToken;

use pricemonitor_store::Database;

use super::Shared;
use crate::args::{PageArgs, PageToken};
use crate::exit::{Failure, Result};

/// Fewest characters of the page's token.
const SHORTEST_TOKEN: usize = 8;

/// Takes the address, before anything else happens.
pub(crate) async fn bind(listen: SocketAddr) -> Result<Bound> {
    pricemonitor_dashboard::bind(listen).await.map_err(Failure::input)
}

/// Who may see the page, and under which names.
pub(crate) struct Access {
    token: Option<SecretString>,
    hosts: Vec<String>,
}

impl Access {
    /// As the command line says; a token that is too short is refused.
    pub(crate) fn of(args: &PageArgs) -> Result<Access> {
        let short = |token: &PageToken| token.0.expose().len() < SHORTEST_TOKEN;
        if args.page_token.as_ref().is_some_and(short) {
            return Err(Failure::input(format!(
                "--page-token: a token has at least {SHORTEST_TOKEN} characters"
            )));
        }
        Ok(Access { token: args.page_token.clone().map(|token| token.0), hosts: args.allow_host.clone() })
    }
}

/// The page with what belongs to it, until `stop`.
pub(crate) async fn page(
    answers: Answers,
    access: Access,
    database: Database,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
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
        token: access.token,
        allowed_hosts: access.hosts,
        ..Options::default()
    };
    answers.page(options, Arc::new(database), probes(shared), stop).await;
}

/// Answers until `stop`.
pub(crate) async fn serve(bound: Bound, stop: CancellationToken) {
    if let Err(error) = bound.serve(stop).await {
        tracing::error!("page, metrics and probes are not served any more: {error}");
    }
}

/// What Prometheus and probes ask.
pub(crate) fn probes(shared: Arc<Shared>) -> Router {
    let (metrics, health) = (shared.metrics.clone(), shared.health.clone());
    let told = health.clone();
    let metrics = move || async move {
        metrics.take(&told);
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
