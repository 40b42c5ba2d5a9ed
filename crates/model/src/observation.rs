//! One price, seen at one place and time.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::labels::Labels;
use crate::price::{self, Decimal};
use crate::time::Time;

/// One price that a source showed.
///
/// Borrows from the record it was read from; [`Observation::into_owned`] cuts it loose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation<'a> {
    /// Name of the source in the manifest; a DNS label.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// What is priced: a key that stays the same from poll to poll. 1 to 512 bytes.
    #[serde(borrow)]
    pub item: Cow<'a, str>,
    /// What the item belongs to: `event`, `section`, `area` ... At most 32.
    #[serde(borrow, default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels<'a>,
    /// The price to pay (with fees).
    #[serde(with = "price::wire")]
    pub price: Decimal,
    /// The price before fees, where the source tells.
    #[serde(with = "price::wire_option", default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Decimal>,
    /// ISO 4217 code.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
    /// The unit as people write it where it is not the plain currency: `c/kWh`, `EUR/MWh`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Cow<'a, str>>,
    /// When the price was seen. Never runs backwards within a source.
    pub observed_at: Time,
    /// The time the price is valid for, for prices published ahead (a *schedule*).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Whether the item can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// How many can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// Where a person can see the offer; http or https.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
    /// Price and times as the source wrote them, digit for digit.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub as_written: Option<AsWritten<'a>>,
}

/// A half-open span of time `[start, end)` that has a price of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// First instant of the slot.
    pub start: Time,
    /// First instant after the slot.
    pub end: Time,
}

/// What the source wrote, for sinks that must repeat it to the byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsWritten<'a> {
    /// The price's digits.
    #[serde(borrow)]
    pub price: Cow<'a, str>,
    /// The slot's start.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Cow<'a, str>>,
    /// The slot's end.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Cow<'a, str>>,
}

/// Whether an item can be had; the names of schema.org's `ItemAvailability`, shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It can be bought now.
    InStock,
    /// It cannot.
    OutOfStock,
    /// It can be ordered before it is released.
    PreOrder,
}

impl<'a> Observation<'a> {
    /// An observation with the members that every one has.
    pub fn new(
        source: impl Into<Cow<'a, str>>,
        item: impl Into<Cow<'a, str>>,
        price: Decimal,
        currency: impl Into<Cow<'a, str>>,
        observed_at: Time,
    ) -> Self {
        Observation {
            source: source.into(),
            item: item.into(),
            labels: Labels::new(),
            price,
            base: None,
            currency: currency.into(),
            unit: None,
            observed_at,
            slot: None,
            availability: None,
            quantity: None,
            url: None,
            as_written: None,
        }
    }

    /// The unit as people write it: `unit`, else the currency.
    pub fn unit_or_currency(&self) -> &str {
        self.unit.as_deref().unwrap_or(&self.currency)
    }

    /// The key of the record in the raw topic: `source/item`, so that one series stays on one
    /// partition in order.
    pub fn key(&self) -> String {
        let mut key = String::with_capacity(self.source.len() + 1 + self.item.len());
        key.push_str(&self.source);
        key.push('/');
        key.push_str(&self.item);
        key
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Observation<'static> {
        fn own(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        Observation {
            source: own(self.source),
            item: own(self.item),
            labels: self.labels.into_owned(),
            price: self.price,
            base: self.base,
            currency: own(self.currency),
            unit: self.unit.map(own),
            observed_at: self.observed_at,
            slot: self.slot,
            availability: self.availability,
            quantity: self.quantity,
            url: self.url.map(own),
            as_written: self.as_written.map(|w| AsWritten {
                price: own(w.price),
                start: w.start.map(own),
                end: w.end.map(own),
            }),
        }
    }
}
