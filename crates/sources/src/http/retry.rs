//! What a server asks for when it refuses.

use std::time::Duration;

use pricemonitor_model::Time;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::source::SourceError;

/// The error of an answer that is not a document.
pub(super) fn refusal(place: &str, status: StatusCode, headers: &HeaderMap, at: Time) -> SourceError {
    let retry_after = headers.get(RETRY_AFTER).and_then(|text| text.to_str().ok());
    let retry_after = retry_after.and_then(|text| wait(text, at));
    let (reason, hint) = match status.as_u16() {
        429 => ("rate_limited", "it is asked too often: raise `interval`"),
        503 => ("rate_limited", "it is not available now"),
        401 | 403 => ("status", "it wants a valid `bearerToken`"),
        404 | 410 => ("status", "there is nothing at this address now"),
        500..=599 => ("status", "the fault is on its side"),
        _ => ("status", "only 200 and 304 are answers with prices"),
    };
    let message = format!("{place} answered {}: {hint}", status.as_u16());
    SourceError { reason, message, retry_after }
}

/// `Retry-After`: seconds, or a date of HTTP. A date that has passed is no wait.
fn wait(text: &str, at: Time) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds is longer than anybody will wait.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = Time::from_jiff(until).since(at);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let at: Time = "1994-11-06T08:49:07Z".parse().unwrap();
        let s = Duration::from_secs;
        for (text, want) in [
            ("120", Some(s(120))),
            (" 0 ", Some(s(0))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(s(30))),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(s(0))),
            ("99999999999999999999999", Some(s(u64::from(u32::MAX)))),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(wait(text, at), want, "{text}");
        }
    }
}
