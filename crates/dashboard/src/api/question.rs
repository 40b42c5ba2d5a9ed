//! Reading a question's parameters. What is not understood is refused, never guessed.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use pricemonitor_model::Time;
use pricemonitor_store::query::Filter;

use super::failure::Failure;
use super::routes::Known;

/// Most bytes of a text parameter: longer than any monitor id or label.
const MAX_TEXT: usize = 1024;

/// The parameters of a request, each known to its route and there once.
#[derive(Debug)]
pub(super) struct Question(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Question {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Question, Failure> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Failure::parameter("", "the query cannot be read", "percent-encode it as UTF-8"))?;
        let known = parts.extensions.get::<Known>().map_or(&[][..], |known| known.0);
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Failure::parameter(name, "unknown parameter", format!("known here: {list}")));
            }
            if pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(Failure::parameter(name, "given more than once", "give it once"));
            }
        }
        Ok(Question(pairs))
    }
}

impl Question {
    /// A text; an empty one counts as absent, as a form leaves it.
    fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.0.iter().find(|(key, _)| key == name) {
            Some((_, value)) if value.len() > MAX_TEXT => {
                Err(Failure::parameter(name, "too long", format!("give at most {MAX_TEXT} bytes")))
            }
            Some((_, value)) if !value.is_empty() => Ok(Some(value.clone())),
            _ => Ok(None),
        }
    }

    fn time(&self, name: &str) -> Result<Option<Time>, Failure> {
        self.text(name)?
            .map(|text| {
                Time::from_str(&text).map_err(|error| {
                    Failure::parameter(name, error.to_string(), "give an RFC 3339 time with an offset or Z")
                })
            })
            .transpose()
    }

    /// A whole number in the range, or `default`.
    pub(super) fn number(
        &self,
        name: &str,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, Failure> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(Failure::parameter(
                name,
                format!("`{}` cannot be used", text.chars().take(32).collect::<String>()),
                format!("give a whole number from {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// A time zone's IANA name, or UTC.
    pub(super) fn zone(&self, name: &str) -> Result<String, Failure> {
        let zone = self.text(name)?.unwrap_or_else(|| "UTC".to_owned());
        match jiff::tz::TimeZone::get(&zone) {
            Ok(_) => Ok(zone),
            Err(_) => Err(Failure::parameter(
                name,
                format!("`{}` is not a time zone we know", zone.chars().take(64).collect::<String>()),
                "give an IANA name such as Europe/Helsinki or UTC",
            )),
        }
    }

    /// What it is about.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let filter = Filter {
            monitor: self.text("monitor")?,
            event: self.text("event")?,
            section: self.text("section")?,
            from: self.time("from")?,
            to: self.time("to")?,
        };
        match (filter.from, filter.to) {
            (Some(from), Some(to)) if to < from => {
                Err(Failure::parameter("to", format!("{to} is before {from}"), "give a `to` after `from`"))
            }
            _ => Ok(filter),
        }
    }
}
