//! Exact decimals in a manifest.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::patterns;

/// An exact decimal in a manifest: a number (`10`, `-0.5`) or a text (`"10.00"`), kept as it was
/// written. [`crate::read`] hands over the written digits, so no float ever stands between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DecimalText(pub String);

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = DecimalText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number such as 10 or \"10.00\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<DecimalText, E> {
                Ok(DecimalText(text.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<DecimalText, E> {
                Ok(DecimalText(number.to_string()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<DecimalText, E> {
                Ok(DecimalText(number.to_string()))
            }
            // Only where somebody else (an API server's JSON) already made a float of it: the
            // shortest text that means this float is what had been written, up to 15 digits.
            fn visit_f64<E: Error>(self, number: f64) -> Result<DecimalText, E> {
                Ok(DecimalText(number.to_string()))
            }
        }
        d.deserialize_any(V)
    }
}

impl JsonSchema for DecimalText {
    fn schema_name() -> Cow<'static, str> {
        "DecimalText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An exact decimal: a number (`10`, `-0.5`) or a text (`\"10.00\"`).",
            "type": ["number", "string"],
            "pattern": patterns::DECIMAL,
            "maxLength": 40,
        })
    }
}
