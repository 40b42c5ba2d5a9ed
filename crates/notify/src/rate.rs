//! How long a server wants to be left alone.

use std::time::Duration;

use pricemonitor_model::Time;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// A longer pause than this is cut to it; the pacer cuts further.
const LONGEST: f64 = 24.0 * 3600.0;

/// A number of seconds, with or without fraction, as a span of at most a day. `None` for what is
/// no such number, is negative or not finite.
pub(crate) fn seconds(value: f64) -> Option<Duration> {
    let sane = value.is_finite() && value >= 0.0;
    sane.then(|| Duration::try_from_secs_f64(value.min(LONGEST)).ok()).flatten()
}

/// The value of a header that holds seconds.
pub(crate) fn seconds_of(headers: &HeaderMap, name: &str) -> Option<Duration> {
    seconds(headers.get(name)?.to_str().ok()?.trim().parse().ok()?)
}

/// `Retry-After`: seconds, or the date of HTTP (a past one is no pause). `at` is the time now.
pub(crate) fn retry_after(headers: &HeaderMap, at: Time) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = Time::from_jiff(until).since(at).max(0);
    seconds(wait as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let at = "1994-11-06T08:49:07Z".parse().unwrap();
        for (text, want) in [
            ("120", Some(120.0)),
            (" 64.57 ", Some(64.57)),
            ("0", Some(0.0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30.0)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0.0)),
            ("1e300", Some(86_400.0)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, at).map(|it| it.as_secs_f64()), want, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), at), None);
    }
}
