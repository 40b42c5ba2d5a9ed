//! What probes and Prometheus ask: `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Metrics;

/// Connections at once; more wait.
const CONNECTIONS: usize = 64;
/// How long a connection may take over a request's head, and stay idle.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes an address.
///
/// # Errors
/// When it cannot be had.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Answers until `stop`.
pub async fn serve(listener: TcpListener, health: Health, metrics: Metrics, stop: CancellationToken) {
    let app = router(health, metrics);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let app = app.clone();
                connections.spawn(async move {
                    connection(stream, app).await;
                    drop(permit);
                });
            }
            // The peer's own failures, and a passing lack of descriptors.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, app: Router) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    // How a peer ends is its own affair.
    let _ = served.await;
}

fn router(health: Health, metrics: Metrics) -> Router {
    let (live, ready) = (health.clone(), health);
    Router::new()
        .route("/livez", get(async move || answer(live.alive())))
        .route("/readyz", get(async move || answer(ready.ready())))
        .route("/metrics", get(async move || exposition(&metrics)))
}

fn answer(state: Result<(), &'static str>) -> (StatusCode, &'static str) {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

fn exposition(metrics: &Metrics) -> axum::response::Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
