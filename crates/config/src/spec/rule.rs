//! When to tell.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DecimalText, patterns};

/// One rule; exactly one of the conditions `drop`, `rise`, `change`, `below`, `above`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.drop), has(self.rise), has(self.change), has(self.below), has(self.above)].filter(x, x).size() == 1",
    "message": "exactly one of `drop`, `rise`, `change`, `below` and `above`"
}]))]
pub struct RuleSpec {
    /// Name, unique in the monitor: a DNS label.
    #[schemars(regex(pattern = patterns::NAME), length(min = 1, max = 63))]
    pub name: String,
    /// Label name to glob (`*` any text, `?` one character); all must hold, at most 32. `source`
    /// and `item` are reserved names. None matches everything.
    #[schemars(extend("maxProperties" = 32))]
    #[serde(rename = "match", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matchers: BTreeMap<String, String>,
    /// Fires when the price falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<MoveSpec>,
    /// Fires when the price rises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rise: Option<MoveSpec>,
    /// Fires when the price moves either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<MoveSpec>,
    /// Fires when the price crosses a level downwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<LevelSpec>,
    /// Fires when the price crosses a level upwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<LevelSpec>,
    /// Which price: `total`, or `base`, before fees.
    #[serde(default)]
    pub price: PriceSpec,
    /// How many consecutive observations must meet the condition. 1 to 100. Default `1`.
    #[schemars(range(min = 1, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u32>,
    /// How long after an alert further hits of the same series are counted but not told, such as
    /// `1h`; 1ms to 3650d. Default none.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<String>,
    /// When a level (`below`, `above`) may fire again: `whenCleared`, `never` or so long after it
    /// fired, such as `6h`. Default `whenCleared`.
    #[schemars(regex(pattern = "^(whenCleared|never|([0-9]+(ms|s|m|h|d|w))+)$"), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rearm: Option<String>,
    /// How much its alerts matter.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// Names of the channels to tell; `[]` tells nobody, the alert is kept and shown. Default every
    /// channel.
    #[schemars(length(max = 32), inner(length(max = 63)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Vec<String>>,
}

impl RuleSpec {
    /// The members that are conditions.
    pub const KINDS: &'static [&'static str] = &["drop", "rise", "change", "below", "above"];
}

/// How far a price must move, and against what. At most one of `percent` and `absolute`; `{}`
/// means any move.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.percent) && has(self.absolute))", "message": "at most one of `percent` and `absolute`"
}]))]
pub struct MoveSpec {
    /// At least so many percent of the baseline; above 0, for a drop at most 100. Never met while
    /// the baseline is zero or negative. At most one of `percent` and `absolute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<DecimalText>,
    /// At least so much, in the price's own unit; above 0. At most one of `percent` and `absolute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<DecimalText>,
    /// What the price is compared with.
    #[serde(default)]
    pub baseline: BaselineSpec,
}

/// A level, and where it is clear again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LevelSpec {
    /// The level; the price must be beyond it.
    pub value: DecimalText,
    /// The price must come back to this before the rule may fire again: above `value` for `below`,
    /// below it for `above`. Default the level itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<DecimalText>,
    /// For prices with a time slot: when a run of slots fires.
    #[serde(default)]
    pub at: AtSpec,
}

/// What a price is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BaselineSpec {
    /// The observation before.
    #[default]
    Previous,
    /// The price at the last move of at least the threshold in either direction, so that a slow
    /// creep does not escape.
    LastNotified,
    /// The series' first price.
    First,
}

/// When a run of slots fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AtSpec {
    /// As soon as its price is known.
    #[default]
    Published,
    /// When its first slot starts.
    Starts,
}

/// Which price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PriceSpec {
    /// With fees.
    #[default]
    Total,
    /// Before fees.
    Base,
}

/// How much an alert matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SeveritySpec {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth looking at.
    Warning,
    /// Worth getting up for.
    Critical,
}
