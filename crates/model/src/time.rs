//! Instants and spans, in milliseconds.
//!
//! Kafka keeps record times in milliseconds; so do we, everywhere. A [`Time`] is passed in, never
//! read from a clock, by everything below the workers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span in milliseconds.
pub type Millis = i64;

/// A UTC instant: milliseconds since 1970-01-01T00:00:00Z.
///
/// Written as RFC 3339 with three fraction digits and `Z`; read from any RFC 3339 text with an
/// offset (digits beyond the millisecond are cut off).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// The text is not an RFC 3339 instant with an offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as 2026-01-04T22:45:00Z")]
pub struct TimeError(pub String);

impl Time {
    /// The earliest instant that can be written.
    pub const MIN: Time = Time(-62_135_596_800_000);
    /// The latest instant that can be written (the end of the year 9998).
    pub const MAX: Time = Time(253_370_764_799_999);

    /// The instant `ms` milliseconds after the epoch, held inside [`Time::MIN`]..=[`Time::MAX`].
    pub const fn from_millis(ms: i64) -> Time {
        if ms < Self::MIN.0 {
            Self::MIN
        } else if ms > Self::MAX.0 {
            Self::MAX
        } else {
            Time(ms)
        }
    }

    /// The instant `seconds` after the epoch.
    pub const fn from_seconds(seconds: i64) -> Time {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This instant moved by `ms` (which may be negative), held inside the range.
    pub const fn plus(self, ms: Millis) -> Time {
        Self::from_millis(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; negative when it is not earlier.
    pub const fn since(self, earlier: Time) -> Millis {
        self.0 - earlier.0
    }

    /// The same instant for `jiff`.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The instant of a `jiff` timestamp, cut to the millisecond.
    pub fn from_jiff(at: jiff::Timestamp) -> Time {
        // Floor, so that instants before the epoch are cut in the same direction.
        Self::from_millis(at.as_nanosecond().div_euclid(1_000_000) as i64)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Time, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map(Time::from_jiff)
            .map_err(|_| TimeError(text.chars().take(64).collect()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Time, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-01-04T22:45:00Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
        }
        d.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_three_digits_and_read_from_any_offset() {
        let t: Time = "2026-06-26T00:00:00+03:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-06-25T21:00:00.000Z");
        let t: Time = "2025-05-06T11:22:09.2205745Z".parse().unwrap();
        assert_eq!(t.to_string(), "2025-05-06T11:22:09.220Z");
        assert!("2026-06-26T00:00:00".parse::<Time>().is_err());
        assert!("".parse::<Time>().is_err());
    }

    #[test]
    fn the_range_holds_at_both_ends() {
        assert_eq!(Time::from_millis(i64::MIN), Time::MIN);
        assert_eq!(Time::from_millis(i64::MAX), Time::MAX);
        for t in [Time::MIN, Time::MAX] {
            assert_eq!(t.to_string().parse::<Time>().unwrap(), t);
        }
    }
}
