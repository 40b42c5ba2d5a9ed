//! The JSON API under `/api/v1`.

mod answers;
mod download;
mod failure;
mod question;
mod routes;

pub(crate) use failure::Failure;
pub use routes::{Route, routes};

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::options::{Notice, Options};
use crate::prices::{Prices, QueryError};

/// The description of the API, as it is served.
pub const OPENAPI: &str = include_str!("../../../../docs/api/openapi.json");

/// No question is worked on longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every answer is made from.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) prices: Arc<dyn Prices>,
    pub(crate) live: Live,
    pub(crate) notices: Arc<dyn Fn() -> Vec<Notice> + Send + Sync>,
    pub(crate) title: Arc<str>,
    pub(crate) version: &'static str,
    pub(crate) stop: CancellationToken,
}

impl Context {
    /// The store's answer, or what to say instead.
    async fn ask<T>(&self, answer: impl Future<Output = Result<T, QueryError>>) -> Result<T, Failure> {
        let stop = self.stop.cancelled();
        let asked = tokio::select! {
            asked = tokio::time::timeout(PATIENCE, answer) => asked,
            () = stop => return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the program is ending")),
        };
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::warn!("the store could not answer the page: {error}");
                Err(Failure::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("the store could not answer: {error}"),
                )
                .remedy("try again; if it stays so, the program's log tells more"))
            }
            Err(_) => Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the store did not answer within {} s", PATIENCE.as_secs()),
            )
            .remedy("try again, or ask for a shorter time range")),
        }
    }
}

/// Everything under `/api`.
pub(crate) fn router(
    options: &Options,
    prices: Arc<dyn Prices>,
    live: Live,
    stop: CancellationToken,
) -> Router {
    let context = Context {
        prices,
        live,
        notices: options.notices.clone(),
        title: options.title.as_str().into(),
        version: options.version,
        stop,
    };
    let mut router = Router::new();
    for route in routes::all() {
        router = router.route(route.route.path, route.handler);
    }
    router
        .route("/api", axum::routing::any(failure::unknown))
        .route("/api/{*rest}", axum::routing::any(failure::unknown))
        .method_not_allowed_fallback(failure::method)
        .layer(middleware::from_fn(fresh))
        .with_state(context)
}

/// Answers of the API are as old as the question: nobody keeps them.
async fn fresh(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let value = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().entry(axum::http::header::CACHE_CONTROL).or_insert(value);
    response
}
