//! What the processor says about every observation.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinates;
use crate::labels::Labels;
use crate::observation::Slot;
use crate::price::{self, Decimal};
use crate::time::Time;

/// How an observation stands to the one before it in its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The series' first (also after a change of currency or unit).
    First,
    /// The same price as before.
    Unchanged,
    /// A lower price.
    Drop,
    /// A higher price.
    Rise,
    /// A schedule's slot got another price than published before.
    Revised,
    /// Older than the series' last: stored, but neither `previous` nor a reason to alert.
    Late,
}

impl Direction {
    /// Its word on the wire and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::First => "first",
            Direction::Unchanged => "unchanged",
            Direction::Drop => "drop",
            Direction::Rise => "rise",
            Direction::Revised => "revised",
            Direction::Late => "late",
        }
    }
}

/// One processed event: exactly one for every admitted observation, on the topic
/// `processed_prices`, keyed like the observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceEvent<'a> {
    /// Name of the source.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Key of the item.
    #[serde(borrow)]
    pub item: Cow<'a, str>,
    /// The observation's labels.
    #[serde(borrow, default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels<'a>,
    /// The price seen.
    #[serde(with = "price::wire")]
    pub price: Decimal,
    /// The price seen before, in the same currency and unit.
    #[serde(with = "price::wire_option", default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Decimal>,
    /// `price - previous`.
    #[serde(with = "price::wire_option", default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Decimal>,
    /// The change in percent of `previous`, one digit; absent when `previous <= 0`.
    #[serde(with = "price::wire_option", default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Decimal>,
    /// How it stands to `previous`.
    pub direction: Direction,
    /// ISO 4217 code.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
    /// The unit as people write it, where it is not the plain currency.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Cow<'a, str>>,
    /// When the price was seen.
    pub observed_at: Time,
    /// The slot the price is valid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The raw record.
    pub coordinates: Coordinates,
}
