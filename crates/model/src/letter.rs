//! Raw records that may not be acted on, as they stand on the dead letter topic.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::coordinates::Coordinates;
use crate::time::Time;

/// Most bytes of a key, and of a payload, that a dead letter repeats.
pub const MAX_REPEATED: usize = 64 * 1024;

/// A raw record that could not be acted on, with everything that is needed to see why, and to put it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter<'a> {
    /// A word for metrics and filters; see [`Rejection::Dead`](crate::Rejection::Dead).
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// What exactly is wrong, for people.
    #[serde(borrow)]
    pub detail: Cow<'a, str>,
    /// The raw record.
    pub coordinates: Coordinates,
    /// When the log took the raw record.
    pub log_time: Time,
    /// Its key; absent when it had none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Repeated<'a>>,
    /// Its value; absent when it had none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Repeated<'a>>,
    /// Bytes of its whole value; 0 when it had none.
    pub payload_bytes: u64,
    /// Whether `key` or `payload` is only the beginning: more than [`MAX_REPEATED`] bytes are cut off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
}

// By reference, because serde calls it so.
fn is_false(flag: &bool) -> bool {
    !flag
}

impl<'a> DeadLetter<'a> {
    /// The letter of a record.
    pub fn of(
        reason: &'a str,
        detail: &'a str,
        coordinates: Coordinates,
        log_time: Time,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> DeadLetter<'a> {
        let long = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.len() > MAX_REPEATED);
        DeadLetter {
            reason: reason.into(),
            detail: detail.into(),
            coordinates,
            log_time,
            key: key.map(Repeated::begin),
            payload: value.map(Repeated::begin),
            payload_bytes: value.map_or(0, |value| value.len() as u64),
            truncated: long(key) || long(value),
        }
    }
}

/// Says that a dead letter was put back on the raw topic, so that it is not put back twice by mistake. Stands on
/// the dead letter topic too, written in the same transaction as the record that was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// Partition of the letter on the dead letter topic.
    pub partition: u32,
    /// Offset of the letter on the dead letter topic.
    pub offset: u64,
    /// The raw record that the letter is of.
    pub coordinates: Coordinates,
    /// When it was put back, by the clock of whoever did.
    pub at: Time,
}

/// Bytes of somebody's record: as text where they are UTF-8, else as `{"base64": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated<'a>(Cow<'a, [u8]>);

impl<'a> Repeated<'a> {
    /// At most the first [`MAX_REPEATED`] of `bytes`; text is cut between characters.
    pub fn begin(bytes: &'a [u8]) -> Repeated<'a> {
        let mut cut = &bytes[..bytes.len().min(MAX_REPEATED)];
        if cut.len() < bytes.len()
            && let Err(error) = std::str::from_utf8(cut)
            && error.error_len().is_none()
        {
            cut = &cut[..error.valid_up_to()];
        }
        Repeated(Cow::Borrowed(cut))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Repeated<'static> {
        Repeated(Cow::Owned(self.0.into_owned()))
    }
}

impl Serialize for Repeated<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => s.serialize_str(text),
            None => {
                let mut map = s.serialize_map(Some(1))?;
                map.serialize_entry("base64", &STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Repeated<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Repeated<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or an object with bytes in `base64`")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Repeated(Cow::Borrowed(text.as_bytes())))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Repeated(Cow::Owned(text.as_bytes().to_vec())))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut bytes = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "base64" {
                        let text: String = map.next_value()?;
                        bytes = Some(STANDARD.decode(text).map_err(de::Error::custom)?);
                    } else {
                        map.next_value::<de::IgnoredAny>()?;
                    }
                }
                let bytes = bytes.ok_or_else(|| de::Error::missing_field("base64"))?;
                Ok(Repeated(Cow::Owned(bytes)))
            }
        }
        d.deserialize_any(V)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn letter<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> DeadLetter<'a> {
        DeadLetter::of("malformed", "why", Coordinates::default(), Time::from_seconds(1), key, value)
    }

    #[test]
    fn key_and_payload_are_repeated_to_the_byte() {
        let all: Vec<u8> = (0..=255).collect();
        for (key, value) in [
            (None, None),
            (Some(&b""[..]), Some(&b"{\"a\":\"\\u0000 \x1b[31m\"}"[..])),
            (Some(&b"\xff"[..]), Some(all.as_slice())),
            (Some("käse".as_bytes()), Some(&b"not \xc3"[..])),
        ] {
            let letter = letter(key, value);
            let mut bytes = Vec::new();
            wire::write_dead_letter(&letter, &mut bytes);
            let Ok(wire::OnDeadLetters::Letter(read)) = wire::read_dead_letters(&bytes) else {
                panic!("{}", String::from_utf8_lossy(&bytes));
            };
            assert_eq!(read, letter);
            assert_eq!(read.key.as_ref().map(Repeated::bytes), key);
            assert_eq!(read.payload.as_ref().map(Repeated::bytes), value);
            assert_eq!(read.payload_bytes, value.map_or(0, <[u8]>::len) as u64);
            assert!(!read.truncated);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_says_so() {
        let long = "ä".repeat(MAX_REPEATED);
        // One byte in front, so that the limit falls into a character.
        let text = format!("x{long}");
        for (whole, kept) in [
            (text.as_bytes().to_vec(), MAX_REPEATED - 1),
            (vec![0xff; MAX_REPEATED + 1], MAX_REPEATED),
            (vec![b'x'; MAX_REPEATED], MAX_REPEATED),
        ] {
            let letter = letter(None, Some(&whole));
            assert_eq!(letter.payload.as_ref().unwrap().bytes(), &whole[..kept]);
            assert_eq!(letter.truncated, kept < whole.len());
            assert_eq!(letter.payload_bytes, whole.len() as u64);
        }
        assert!(letter(Some(&[b'k'; MAX_REPEATED + 1]), None).truncated);
    }
}
