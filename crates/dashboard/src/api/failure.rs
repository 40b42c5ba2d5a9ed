//! What is said instead of an answer.

use axum::Json;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// `{error, parameter, remedy}` with a status.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Failure {
        Failure { status, error: error.into(), parameter: None, remedy: None }
    }

    /// A parameter that cannot be used.
    pub(super) fn parameter(name: &str, error: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure {
            parameter: Some(name.chars().take(64).collect()),
            ..Failure::new(StatusCode::BAD_REQUEST, error).remedy(remedy)
        }
    }

    pub(crate) fn remedy(self, remedy: impl Into<String>) -> Failure {
        Failure { remedy: Some(remedy.into()), ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = header::HeaderValue::from_static("Bearer realm=\"pricemonitor\"");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// Nothing is there.
pub(crate) async fn unknown(request: Request) -> Failure {
    let path: String = request.uri().path().chars().take(80).collect();
    Failure::new(StatusCode::NOT_FOUND, format!("there is no {path}"))
        .remedy("/api/v1/openapi.json lists what there is")
}

/// The wrong verb.
pub(crate) async fn method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "the API answers questions only").remedy("use GET")
}
