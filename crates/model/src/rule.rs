//! Rules, as the processor follows them. The manifest's spelling of them lives in `config`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::price::Decimal;
use crate::series::PriceKind;
use crate::time::Millis;

/// One rule: whom it concerns, when it fires, whom it tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Name, unique in the monitor.
    pub name: Arc<str>,
    /// All must hold; none means every series.
    pub matchers: Vec<Matcher>,
    /// When it fires.
    pub condition: Condition,
    /// Which price it looks at.
    pub price: PriceKind,
    /// How many consecutive observations must meet the condition; at least 1.
    pub confirm: u32,
    /// For how long after an alert further hits of the same series are counted only, in record
    /// time.
    pub cooldown: Option<Millis>,
    /// When a level that fired may fire again.
    pub rearm: Rearm,
    /// How much its alerts matter.
    pub severity: Severity,
    /// Names of the channels to tell; `None` means every channel.
    pub channels: Option<Vec<String>>,
}

/// `name` of the observation (a label, or the reserved `source` and `item`) against a glob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Label name, or `source`, or `item`.
    pub name: String,
    /// A pattern in which `*` stands for any text and `?` for one character. A label that is
    /// absent never matches.
    pub glob: String,
}

/// When a rule fires.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The price moved against a baseline.
    Move {
        /// Which moves count.
        movement: Movement,
        /// How far.
        threshold: Threshold,
        /// Against what.
        baseline: Baseline,
    },
    /// The price crossed a level.
    Level {
        /// Which side of the level fires.
        side: Side,
        /// The level; the price must be strictly beyond it.
        level: Decimal,
        /// The price must come back to this or beyond it before the level is clear
        /// (hysteresis). At the level itself when the manifest names none.
        clear: Decimal,
        /// When a run of slots of a schedule fires.
        at: LevelAt,
    },
}

/// Which moves a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Movement {
    /// To a lower price.
    Drop,
    /// To a higher price.
    Rise,
    /// Both.
    Change,
}

/// How far a price must move.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Threshold {
    /// Any move at all.
    Any,
    /// At least so many percent of the baseline; never met when the baseline is zero or negative.
    Percent(Decimal),
    /// At least so much, in the price's own unit.
    Absolute(Decimal),
}

/// What a price is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Baseline {
    /// The observation before.
    Previous,
    /// The price at the last move of at least the threshold in either direction, whether or not
    /// the rule told of it; at first the series' first price.
    LastNotified,
    /// The series' first price.
    First,
}

/// A side of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Prices below the level fire.
    Below,
    /// Prices above it do.
    Above,
}

impl Side {
    /// `below` or `above`: on the wire and in sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Side::Below => "below",
            Side::Above => "above",
        }
    }
}

/// When a schedule's run of slots beyond a level fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LevelAt {
    /// As soon as its price is published.
    #[default]
    Published,
    /// When its first slot starts (judged by ticks and observations).
    Starts,
}

/// When a level that fired may fire again for the same series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rearm {
    /// When the price came back to the clear level.
    #[default]
    WhenCleared,
    /// Never.
    Never,
    /// So long after it fired, even though the price never came back.
    After(Millis),
}

impl Rule {
    /// The rule a monitor has when its manifest names none: every drop of every series.
    pub fn any_drop() -> Rule {
        Rule {
            name: "any-drop".into(),
            matchers: Vec::new(),
            condition: Condition::Move {
                movement: Movement::Drop,
                threshold: Threshold::Any,
                baseline: Baseline::Previous,
            },
            price: PriceKind::Total,
            confirm: 1,
            cooldown: None,
            rearm: Rearm::WhenCleared,
            severity: Severity::Info,
            channels: None,
        }
    }
}

impl Matcher {
    /// Whether the glob matches `text` as a whole.
    pub fn matches(&self, text: &str) -> bool {
        glob(&self.glob, text)
    }
}

/// Linear-space glob: on a mismatch only the last `*` is tried again, which is enough because an
/// earlier `*` can only match less than what the later one already allows.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.chars(), text.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let (mut p_next, mut t_next) = (p.clone(), t.clone());
        match (p_next.next(), t_next.next()) {
            (Some('*'), _) => {
                retry = Some((p_next.clone(), t.clone()));
                p = p_next;
            }
            (None, None) => return true,
            (Some(want), Some(have)) if want == '?' || want == have => (p, t) = (p_next, t_next),
            _ => {
                let Some((star, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                (p, t) = (star.clone(), from.clone());
                retry = Some((star, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("*b*b", "abab", true),
            ("?", "ä", true),
            ("?", "", false),
            ("sec-?", "sec-1", true),
            ("*a*a*a*a*b", &"a".repeat(2000), false),
        ] {
            assert_eq!(glob(pattern, text), want, "{pattern} {text:.20}");
        }
    }
}
