//! The line that a price draws over time.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Which of an observation's prices a series or a rule follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PriceKind {
    /// The price to pay, with fees.
    #[default]
    Total,
    /// The price before fees.
    Base,
}

/// A series within its monitor: source, item and price kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey<'a> {
    /// Name of the source.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Key of the item.
    #[serde(borrow)]
    pub item: Cow<'a, str>,
    /// Which price.
    pub kind: PriceKind,
}

impl fmt::Display for PriceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PriceKind::Total => "total",
            PriceKind::Base => "base",
        })
    }
}

impl fmt::Display for SeriesKey<'_> {
    /// `source/item` for the total price, `source/item#base` for the base price.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.item)?;
        match self.kind {
            PriceKind::Total => Ok(()),
            PriceKind::Base => f.write_str("#base"),
        }
    }
}
