//! The wire format: JSON, `"v":1`, additive, unknown members ignored.
//!
//! Every record names its `kind`; readers skip kinds that are not theirs, so one topic can carry
//! observations and ticks. A higher `v` than [`VERSION`] is not an error of the record: it means
//! that a newer program is writing, and the reader must stop there rather than guess.

use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::event::PriceEvent;
use crate::fast;
use crate::letter::{DeadLetter, Retried};
use crate::observation::Observation;
use crate::tick::Tick;

/// The version this program writes and the highest it reads.
pub const VERSION: u32 = 1;

/// A record of the raw topic.
#[derive(Clone, Debug, PartialEq, Eq)]
// Nearly every record is an observation, and one lives at a time: a box would cost each of them.
#[expect(clippy::large_enum_variant)]
pub enum Raw<'a> {
    /// A price.
    Observation(Observation<'a>),
    /// A look at a source.
    Tick(Tick<'a>),
    /// Some other kind; to be skipped.
    Other,
}

/// A record of the dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnDeadLetters<'a> {
    /// A raw record that could not be acted on.
    Letter(DeadLetter<'a>),
    /// A letter was put back.
    Retried(Retried),
    /// Some other kind; to be skipped.
    Other,
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Written by a newer program: stop, do not skip.
    #[error("the record has wire version {0}, this program reads up to {VERSION}: upgrade it")]
    Newer(u32),
    /// Not what its kind promises.
    #[error("not a valid record: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Tagged<'t, T> {
    v: u32,
    kind: &'static str,
    #[serde(flatten)]
    body: &'t T,
}

#[derive(Deserialize)]
struct Head<'a> {
    v: u32,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
}

/// A type that is written with `v` and `kind` in front.
trait Kind: Serialize {
    const KIND: &'static str;
}
impl Kind for Observation<'_> {
    const KIND: &'static str = "observation";
}
impl Kind for Tick<'_> {
    const KIND: &'static str = "tick";
}
impl Kind for PriceEvent<'_> {
    const KIND: &'static str = "price_event";
}
impl Kind for Alert<'_> {
    const KIND: &'static str = "alert";
}
impl Kind for DeadLetter<'_> {
    const KIND: &'static str = "dead_letter";
}
impl Kind for Retried {
    const KIND: &'static str = "retried";
}

fn write<T: Kind>(body: &T, out: &mut Vec<u8>) {
    // A `Vec` cannot refuse a write, and every map key here is text.
    let done = serde_json::to_writer(&mut *out, &Tagged { v: VERSION, kind: T::KIND, body });
    debug_assert!(done.is_ok());
}

/// Appends an observation to `out`.
pub fn write_observation(observation: &Observation<'_>, out: &mut Vec<u8>) {
    write(observation, out);
}

/// Appends a tick to `out`.
pub fn write_tick(tick: &Tick<'_>, out: &mut Vec<u8>) {
    write(tick, out);
}

/// Appends a processed event to `out`.
pub fn write_event(event: &PriceEvent<'_>, out: &mut Vec<u8>) {
    if !fast::write_event(event, out) {
        write(event, out);
    }
}

/// Appends an event as every other record is written.
#[cfg(test)]
pub(crate) fn write_generally(event: &PriceEvent<'_>, out: &mut Vec<u8>) {
    write(event, out);
}

/// Appends an alert to `out`.
pub fn write_alert(alert: &Alert<'_>, out: &mut Vec<u8>) {
    write(alert, out);
}

/// Appends a dead letter to `out`.
pub fn write_dead_letter(letter: &DeadLetter<'_>, out: &mut Vec<u8>) {
    write(letter, out);
}

/// Appends the mark of a letter that was put back to `out`.
pub fn write_retried(retried: &Retried, out: &mut Vec<u8>) {
    write(retried, out);
}

fn head(value: &[u8]) -> Result<Head<'_>, WireError> {
    let head: Head<'_> = serde_json::from_slice(value)?;
    if head.v > VERSION { Err(WireError::Newer(head.v)) } else { Ok(head) }
}

/// Reads a record of the raw topic.
///
/// # Errors
/// [`WireError`]; never a panic, whatever the bytes.
pub fn read_raw(value: &[u8]) -> Result<Raw<'_>, WireError> {
    if let Some(observation) = fast::read_observation(value) {
        return Ok(Raw::Observation(observation));
    }
    match &*head(value)?.kind {
        "observation" => Ok(Raw::Observation(serde_json::from_slice(value)?)),
        "tick" => Ok(Raw::Tick(serde_json::from_slice(value)?)),
        _ => Ok(Raw::Other),
    }
}

/// Reads a record of the processed topic; `None` for other kinds.
///
/// # Errors
/// [`WireError`].
pub fn read_event(value: &[u8]) -> Result<Option<PriceEvent<'_>>, WireError> {
    match &*head(value)?.kind {
        PriceEvent::KIND => Ok(Some(serde_json::from_slice(value)?)),
        _ => Ok(None),
    }
}

/// Reads a record of the alerts topic; `None` for other kinds.
///
/// # Errors
/// [`WireError`].
pub fn read_alert(value: &[u8]) -> Result<Option<Alert<'_>>, WireError> {
    match &*head(value)?.kind {
        Alert::KIND => Ok(Some(serde_json::from_slice(value)?)),
        _ => Ok(None),
    }
}

/// Reads a record of the dead letter topic.
///
/// # Errors
/// [`WireError`].
pub fn read_dead_letters(value: &[u8]) -> Result<OnDeadLetters<'_>, WireError> {
    match &*head(value)?.kind {
        DeadLetter::KIND => Ok(OnDeadLetters::Letter(serde_json::from_slice(value)?)),
        Retried::KIND => Ok(OnDeadLetters::Retried(serde_json::from_slice(value)?)),
        _ => Ok(OnDeadLetters::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::parse_decimal;
    use crate::time::Time;

    fn sample() -> Observation<'static> {
        let mut o = Observation::new(
            "marketplace",
            "e1/A/1",
            parse_decimal("120.00").unwrap(),
            "USD",
            Time::from_seconds(1_700_000_000),
        );
        o.labels = o.labels.with("event", "A \"Band\"").with("section", "A");
        o
    }

    #[test]
    fn an_observation_survives_the_wire() {
        let mut bytes = Vec::new();
        write_observation(&sample(), &mut bytes);
        assert_eq!(
            std::str::from_utf8(&bytes).unwrap(),
            r#"{"v":1,"kind":"observation","source":"marketplace","item":"e1/A/1","labels":{"event":"A \"Band\"","section":"A"},"price":"120.00","currency":"USD","observed_at":"2023-11-14T22:13:20.000Z"}"#
        );
        assert_eq!(read_raw(&bytes).unwrap(), Raw::Observation(sample()));
    }

    #[test]
    fn a_number_is_read_exactly_and_unknown_members_are_ignored() {
        let json = br#"{"v":1,"kind":"observation","source":"s","item":"i","price":0.1000000000000000055,"currency":"EUR","observed_at":"2026-01-01T00:00:00Z","new":{"deep":[1]}}"#;
        let Raw::Observation(o) = read_raw(json).unwrap() else { panic!("not an observation") };
        assert_eq!(o.price.to_string(), "0.1000000000000000055");
    }

    #[test]
    fn a_newer_version_is_told_apart_from_a_broken_record() {
        assert!(matches!(read_raw(br#"{"v":2,"kind":"observation"}"#), Err(WireError::Newer(2))));
        assert!(matches!(read_raw(br#"{"v":1,"kind":"else"}"#), Ok(Raw::Other)));
        for broken in
            [&b""[..], b"{", b"[]", b"null", b"\xff", br#"{"v":1,"kind":"tick"}"#, br#"{"kind":"tick"}"#]
        {
            assert!(matches!(read_raw(broken), Err(WireError::Malformed(_))));
        }
    }
}
