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

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, as times are written.
const FORM: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
const DAY: i64 = 86_400_000;

impl Time {
    /// Appends the text of this instant to `out`. Every record has at least one, so it is worth to be short.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let mut text = *FORM;
        // Years before 0 have no four digits.
        if self.0 >= Self::MIN.0 && text_of(self.0, &mut text) {
            out.extend_from_slice(&text);
        } else {
            out.extend_from_slice(self.to_string().as_bytes());
        }
    }
}

/// Fills in the digits of an instant. `false` for years that do not have four digits.
fn text_of(millis: i64, text: &mut [u8; 24]) -> bool {
    let (days, of_day) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    // Days to a civil date, by Howard Hinnant's algorithm: eras of 400 years that begin on the first of March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        return false;
    }
    let mut put = |at: usize, digits: usize, mut number: i64| {
        for place in (at..at + digits).rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, of_day / 3_600_000);
    put(14, 2, of_day / 60_000 % 60);
    put(17, 2, of_day / 1_000 % 60);
    put(20, 3, of_day % 1_000);
    true
}

/// Reads a text of exactly the form in which times are written; `None` for every other.
fn read_form(text: &str) -> Option<Time> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let mut fits = true;
    for (byte, form) in bytes.iter().zip(FORM) {
        fits &= if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    }
    let number = |at: usize, digits: usize| {
        bytes[at..at + digits]
            .iter()
            .fold(0, |number: i64, digit| number * 10 + i64::from(digit.wrapping_sub(b'0')))
    };
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
    if !fits
        || !(1..=12).contains(&month)
        || !(1..=28).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        // The ends of months are left to the general reader.
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468;
    let of_day = (hour * 60 + minute) * 60_000 + second * 1_000 + number(20, 3);
    Some(Time::from_millis(days * DAY + of_day))
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Time, TimeError> {
        if let Some(time) = read_form(text) {
            return Ok(time);
        }
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
    fn the_short_ways_say_what_the_calendar_says() {
        let edges = [Time::MIN.0, Time::MAX.0, 0, -1, 951_782_400_000, 951_868_799_999, 4_107_542_400_000];
        let steps = (0..20_000).map(|n: i64| Time::MIN.0 + n * 15_778_463_217);
        for millis in steps.chain(edges) {
            let time = Time::from_millis(millis);
            let general = format!("{:.3}", time.to_jiff());
            let mut short = Vec::new();
            time.write(&mut short);
            assert_eq!(String::from_utf8(short).unwrap(), general);
            assert_eq!(general.parse::<Time>().unwrap(), time);
            assert!(read_form(&general).is_none_or(|read| read == time), "{general}");
        }
        let no_times = ["2026-02-30T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-01-01T24:00:00.000Z"];
        for text in no_times.into_iter().chain([
            "2026-01-01T00:60:00.000Z",
            "2026-01-01 00:00:00.000Z",
            "2026-0a-01T00:00:00.000Z",
        ]) {
            assert_eq!(read_form(text), None, "{text}");
            let general = text.parse::<jiff::Timestamp>().map(Time::from_jiff).ok();
            assert_eq!(text.parse::<Time>().ok(), general, "{text}");
        }
        assert!("2026-01-31T00:00:00.000Z".parse::<Time>().is_ok());
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
