//! Values on their way to the server and back.

use std::borrow::Cow;

use pricemonitor_model::Time;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// From 1970 to 2000, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800_000;

/// An instant as `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(pub(super) Time);

/// Microseconds as PostgreSQL counts them. Every [`Time`] fits.
pub(super) const fn micros(at: Time) -> i64 {
    (at.millis() - EPOCH) * 1000
}

impl Type<Postgres> for Stamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for Stamp {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for Stamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&micros(self.0).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Stamp {
    fn decode(value: PgValueRef<'r>) -> Result<Stamp, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("an instant came as text".into());
        }
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        // The ends are PostgreSQL's infinities; whatever lies outside our time is held inside.
        Ok(Stamp(Time::from_millis(micros.div_euclid(1000).saturating_add(EPOCH))))
    }
}

/// Stands for the zero character, which PostgreSQL's text does not hold, and for itself.
const MARK: char = '\u{10fffd}';

/// A text as it is stored.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\0' => out.extend([MARK, '0']),
            MARK => out.extend([MARK, '1']),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// A stored text as it was.
pub(super) fn original(text: String) -> String {
    if !text.contains(MARK) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            MARK => out.push(if chars.next() == Some('0') { '\0' } else { MARK }),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back() {
        for text in ["", "plain", "a\0b\0", "\u{10fffd}", "\u{10fffd}0\0\u{10fffd}1"] {
            let kept = stored(text);
            assert!(!kept.contains('\0'));
            assert_eq!(original(kept.into_owned()), text);
        }
        assert!(matches!(stored("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn time_is_counted_from_2000() {
        assert_eq!(micros(Time::from_millis(946_684_800_001)), 1000);
        assert_eq!(micros(Time::from_millis(0)), -946_684_800_000_000);
    }
}
