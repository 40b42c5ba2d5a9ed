//! One exchange with the Kubernetes API: what was answered, and for how long it wants to be left alone.

use std::time::Duration;

use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::{Request, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;

/// The rest that an API wants which is asked too much and does not say for how long.
const REST: Duration = Duration::from_secs(1);
/// Longest rest that is believed.
const LONGEST: Duration = Duration::from_secs(600);

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The API has answered that it does not.
    Said {
        /// Status of HTTP.
        code: u16,
        /// Why, in its words.
        message: String,
        /// For how long it wants not to be asked again.
        rest: Option<Duration>,
    },
    /// There was no answer, or none that can be read.
    Silent(String),
}

impl Trouble {
    fn silent(error: impl std::fmt::Display) -> Trouble {
        Trouble::Silent(error.to_string())
    }
}

/// Asks.
///
/// # Errors
/// As [`Trouble`] says.
pub(crate) async fn ask<T: DeserializeOwned>(
    client: &Client,
    request: Result<Request<Vec<u8>>, impl std::fmt::Display + Send>,
) -> Result<T, Trouble> {
    let request = request.map_err(Trouble::silent)?;
    let answer = client.send(request.map(Body::from)).await.map_err(Trouble::silent)?;
    let (status, rest) = (answer.status(), rest(answer.status(), answer.headers()));
    let body = answer.into_body().collect_bytes().await.map_err(Trouble::silent)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(Trouble::silent);
    }
    // What stands before an API server, or its guard against too many requests, answers with a plain text.
    let told = serde_json::from_slice::<Status>(&body).map(|status| status.message).unwrap_or_default();
    let plain = String::from_utf8_lossy(&body);
    let message = [told.as_str(), plain.trim(), status.as_str()].into_iter().find(|text| !text.is_empty());
    Err(Trouble::Said { code: status.as_u16(), message: message.unwrap_or_default().to_owned(), rest })
}

/// For how long an API that cannot answer now wants not to be asked.
fn rest(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let busy = status == StatusCode::TOO_MANY_REQUESTS;
    if !busy && !status.is_server_error() {
        return None;
    }
    let told = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    told.map(|seconds| Duration::from_secs(seconds).clamp(REST, LONGEST)).or(busy.then_some(REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_answer_says_for_how_long_and_who_refuses_does_not() {
        let told = |code: u16, header: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert(RETRY_AFTER, value.parse().unwrap());
            }
            rest(StatusCode::from_u16(code).unwrap(), &headers).map(|rest| rest.as_secs())
        };
        assert_eq!(told(429, Some("7")), Some(7));
        assert_eq!(told(503, Some("2")), Some(2));
        assert_eq!(told(500, None), None);
        assert_eq!((told(429, None), told(429, Some("soon"))), (Some(1), Some(1)));
        assert_eq!(told(429, Some("99999999")), Some(600));
        assert_eq!(told(409, Some("7")), None);
    }
}
