//! Exact prices.
//!
//! A price is a [`Decimal`] that keeps the digits it was written with (`120.00` stays `120.00`).
//! Thresholds in percent are tested by cross-multiplication, so no rounding decides an alert.

use std::borrow::Cow;

pub use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::value::RawValue;

/// Largest magnitude of a price that is admitted: 10^12.
pub const MAX_MAGNITUDE: i64 = 1_000_000_000_000;
/// Most digits after the point of a price that is admitted.
pub const MAX_SCALE: u32 = 9;

/// The text is not a plain decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decimal number such as 120.00")]
pub struct PriceError(pub String);

/// Reads a plain decimal number (`-1.50`, `2879.2`, `1e3`), exactly.
///
/// # Errors
/// Anything else, or more digits than a [`Decimal`] holds (28): nothing is ever rounded.
pub fn parse_decimal(text: &str) -> Result<Decimal, PriceError> {
    let refuse = || PriceError(text.chars().take(64).collect());
    let read = if text.bytes().any(|b| b == b'e' || b == b'E') {
        Decimal::from_scientific(text)
    } else {
        Decimal::from_str_exact(text)
    };
    match read {
        // `1_000` and a leading `+` are not numbers of anybody's wire format.
        Ok(value) if !text.contains('_') && !text.starts_with('+') => Ok(value),
        _ => Err(refuse()),
    }
}

/// Is the move from `from` to `to` at least `percent` percent of `from`, in either direction?
/// `None` when `from` is zero or negative: a percent change is then not defined. Also when the
/// numbers are far beyond [`MAX_MAGNITUDE`] and do not fit.
///
/// `|to - from| * 100 >= percent * from`, without a division.
pub fn moved_by_percent(from: Decimal, to: Decimal, percent: Decimal) -> Option<bool> {
    if from <= Decimal::ZERO {
        return None;
    }
    let moved = to.checked_sub(from)?.abs().checked_mul(Decimal::ONE_HUNDRED)?;
    Some(moved >= percent.checked_mul(from)?)
}

/// The change from `from` to `to` in percent of `from`, for people: rounded to one digit, half
/// away from zero. `None` when `from` is zero or negative.
pub fn percent_change(from: Decimal, to: Decimal) -> Option<Decimal> {
    if from <= Decimal::ZERO {
        return None;
    }
    let percent = to.checked_sub(from)?.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(from)?;
    let mut rounded = percent.round_dp_with_strategy(1, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(1);
    Some(rounded)
}

/// Serde for a price on the wire: written as a JSON string, read from a string or, exactly, from a
/// JSON number. For use with `#[serde(with = "...")]` on borrowed JSON text.
pub mod wire {
    use super::*;

    /// Writes the price as a JSON string.
    pub fn serialize<S: Serializer>(value: &Decimal, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    /// Reads a JSON string or number without going through a float.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Decimal, D::Error> {
        from_raw(<&RawValue>::deserialize(d)?).map_err(serde::de::Error::custom)
    }

    pub(super) fn from_raw(raw: &RawValue) -> Result<Decimal, PriceError> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'"') => {
                let inner: Cow<'_, str> = if text.contains('\\') {
                    Cow::Owned(serde_json::from_str(text).map_err(|_| PriceError(text.to_owned()))?)
                } else {
                    Cow::Borrowed(&text[1..text.len() - 1])
                };
                parse_decimal(&inner)
            }
            Some(b'-' | b'0'..=b'9') => parse_decimal(text),
            _ => Err(PriceError(text.chars().take(64).collect())),
        }
    }
}

/// The same as [`wire`] for a price that may be absent or `null`.
pub mod wire_option {
    use super::*;

    /// Writes the price as a JSON string, or `null`.
    pub fn serialize<S: Serializer>(value: &Option<Decimal>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_none(),
        }
    }

    /// Reads a JSON string, number or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Decimal>, D::Error> {
        // `Option<&RawValue>` would take `null` for `None` before the text is seen: wanted here.
        match <Option<&RawValue>>::deserialize(d)? {
            None => Ok(None),
            Some(raw) if raw.get() == "null" => Ok(None),
            Some(raw) => super::wire::from_raw(raw).map(Some).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        parse_decimal(text).unwrap()
    }

    #[test]
    fn digits_are_kept_as_written() {
        for text in ["120.00", "-0.050", "0", "2879.2", "10.438"] {
            assert_eq!(d(text).to_string(), text);
        }
        assert_eq!(d("1e3"), d("1000"));
    }

    #[test]
    fn what_is_not_a_plain_number_is_refused() {
        for text in
            ["", " 1", "1,50", "1_000", "+1", "NaN", "1.2.3", "12345678901234567890123456789012", "0x1"]
        {
            assert!(parse_decimal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_threshold_is_met_exactly_at_its_edge() {
        assert_eq!(moved_by_percent(d("100"), d("90"), d("10")), Some(true));
        assert_eq!(moved_by_percent(d("100"), d("90.01"), d("10")), Some(false));
        assert_eq!(moved_by_percent(d("3"), d("2"), d("33.4")), Some(false));
        assert_eq!(moved_by_percent(d("0"), d("5"), d("1")), None);
        assert_eq!(moved_by_percent(d("-2"), d("5"), d("1")), None);
    }

    #[test]
    fn a_percent_for_people_has_one_digit() {
        assert_eq!(percent_change(d("120.00"), d("84.00")).unwrap().to_string(), "-30.0");
        assert_eq!(percent_change(d("3"), d("4")).unwrap().to_string(), "33.3");
        assert_eq!(percent_change(d("0"), d("4")), None);
    }
}
