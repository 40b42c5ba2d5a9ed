//! What people are told.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::coordinates::Coordinates;
use crate::labels::Labels;
use crate::observation::Slot;
use crate::price::{self, Decimal};
use crate::rule::Side;
use crate::series::{PriceKind, SeriesKey};
use crate::time::Time;

/// Identity of an alert: 32 hexadecimal digits. The same cause always gives the same id, so a
/// repeated alert is recognised wherever it shows up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(String);

impl AlertId {
    /// Hash of everything that makes the alert this one: monitor, rule, series, the raw record that
    /// triggered it and the transition.
    pub fn of(
        monitor: &str,
        rule: &str,
        series: &SeriesKey<'_>,
        at: Coordinates,
        transition: Transition,
    ) -> AlertId {
        let mut hash = Sha256::new();
        // Length-prefixed, so that no two lists of parts give one text.
        for part in [monitor, rule, &series.source, &series.item] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update([series.kind as u8, transition as u8]);
        hash.update(at.incarnation.0.to_le_bytes());
        hash.update(at.partition.to_le_bytes());
        hash.update(at.offset.to_le_bytes());
        let digest = hash.finalize();
        AlertId(digest[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// An id as it was stored beside the alert.
    pub fn stored(text: &str) -> AlertId {
        AlertId(text.to_owned())
    }

    /// An id read back from a store.
    pub fn from_text(text: impl Into<String>) -> AlertId {
        AlertId(text.into())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much an alert matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth looking at.
    Warning,
    /// Worth getting up for.
    Critical,
}

/// Which way a rule went for a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// The condition holds.
    Firing = 0,
    /// A level that fired is cleared.
    Resolved = 1,
}

/// One alert on the topic `price_alerts`, keyed by [`Alert::key`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert<'a> {
    /// Identity.
    pub id: AlertId,
    /// The monitor's id.
    #[serde(borrow)]
    pub monitor: Cow<'a, str>,
    /// The rule's name.
    #[serde(borrow)]
    pub rule: Cow<'a, str>,
    /// Firing or resolved.
    pub transition: Transition,
    /// How much it matters.
    pub severity: Severity,
    /// Names of the channels to tell; absent means every channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// Name of the source.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Key of the item.
    #[serde(borrow)]
    pub item: Cow<'a, str>,
    /// Which of the item's prices.
    #[serde(default)]
    pub price_kind: PriceKind,
    /// The observation's labels.
    #[serde(borrow, default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels<'a>,
    /// The price that triggered it.
    #[serde(with = "price::wire")]
    pub price: Decimal,
    /// What it was compared with: the baseline of a change, the level of a crossing.
    #[serde(with = "price::wire_option", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Decimal>,
    /// The change in percent of `reference` for change rules, one digit.
    #[serde(with = "price::wire_option", default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Decimal>,
    /// For levels, on which side of `reference` they fire; there is no price before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// ISO 4217 code.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
    /// The unit as people write it, where it is not the plain currency.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Cow<'a, str>>,
    /// When the triggering price was seen.
    pub observed_at: Time,
    /// The slot of a schedule, from the first to the last slot of a contiguous run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Where a person can see the offer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
    /// One sentence for people, without markup: what happened.
    #[serde(borrow)]
    pub summary: Cow<'a, str>,
    /// The raw record that triggered it.
    pub coordinates: Coordinates,
}

impl<'a> Alert<'a> {
    /// What firing and resolved have in common: monitor, rule and series.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.monitor, self.rule, self.series())
    }

    /// The series it is about.
    pub fn series(&self) -> SeriesKey<'_> {
        SeriesKey {
            source: Cow::Borrowed(&self.source),
            item: Cow::Borrowed(&self.item),
            kind: self.price_kind,
        }
    }

    /// The unit as people write it: `unit`, else the currency.
    pub fn unit_or_currency(&self) -> &str {
        self.unit.as_deref().unwrap_or(&self.currency)
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Alert<'static> {
        fn own(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        Alert {
            id: self.id,
            monitor: own(self.monitor),
            rule: own(self.rule),
            transition: self.transition,
            severity: self.severity,
            channels: self.channels,
            source: own(self.source),
            item: own(self.item),
            price_kind: self.price_kind,
            labels: self.labels.into_owned(),
            price: self.price,
            reference: self.reference,
            percent: self.percent,
            side: self.side,
            currency: own(self.currency),
            unit: self.unit.map(own),
            observed_at: self.observed_at,
            slot: self.slot,
            url: self.url.map(own),
            summary: own(self.summary),
            coordinates: self.coordinates,
        }
    }
}
