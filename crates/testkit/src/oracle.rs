//! Which alerts a sequence of prices must raise, worked out apart from the detection crate and in
//! the plainest way: one pass, one rule, no state that could be saved.

pub mod schedule;

use std::collections::HashMap;

use pricemonitor_model::Decimal;

/// One price of an item, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Name of the source.
    pub source: String,
    /// Key of the item.
    pub item: String,
    /// The price.
    pub price: Decimal,
}

/// One alert that must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    /// Name of the rule.
    pub rule: String,
    /// Name of the source.
    pub source: String,
    /// Key of the item.
    pub item: String,
    /// The price that triggered it.
    pub price: Decimal,
    /// What it was compared with.
    pub reference: Decimal,
}

fn expected(rule: &str, seen: &Seen, reference: Decimal) -> Expected {
    Expected {
        rule: rule.to_owned(),
        source: seen.source.clone(),
        item: seen.item.clone(),
        price: seen.price,
        reference,
    }
}

/// `drop: {percent}` with the baseline `previous`; 0 percent stands for any drop.
pub fn drops(rule: &str, percent: i64, prices: &[Seen]) -> Vec<Expected> {
    let mut previous: HashMap<(&str, &str), Decimal> = HashMap::new();
    let mut alerts = Vec::new();
    for seen in prices {
        let before = previous.insert((&seen.source, &seen.item), seen.price);
        let Some(before) = before else { continue };
        let far = (before - seen.price) * Decimal::from(100) >= before * Decimal::from(percent);
        // A percent of a price of zero or below means nothing.
        let defined = percent == 0 || before > Decimal::ZERO;
        if seen.price < before && far && defined {
            alerts.push(expected(rule, seen, before));
        }
    }
    alerts
}

/// `below: {value, clear}`: fires when the price gets under `level`, and not again before it has come
/// back to `clear`. Only the firing alerts, not the resolved ones.
pub fn below(rule: &str, level: Decimal, clear: Decimal, prices: &[Seen]) -> Vec<Expected> {
    let mut fired: HashMap<(&str, &str), bool> = HashMap::new();
    let mut alerts = Vec::new();
    for seen in prices {
        let fired = fired.entry((&seen.source, &seen.item)).or_default();
        if !*fired && seen.price < level {
            *fired = true;
            alerts.push(expected(rule, seen, level));
        } else if *fired && seen.price >= clear {
            *fired = false;
        }
    }
    alerts
}

/// A rule of one series, for [`hits`].
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// `drop: {percent}` with the baseline `previous`; 0 percent stands for any drop.
    Drop(i64),
    /// `drop: {percent, baseline: lastNotified}`: compared with the price of the last move of at least so many
    /// percent in either direction, at first with the first price. One of zero or below is no baseline: the next price is.
    DropSinceTheLastMove(i64),
    /// `below: {value, clear}`: fires under the first, is resolved at or above the second.
    Below(i64, i64),
}

/// One alert of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Place among the prices of the one that triggered it.
    pub at: usize,
    /// Whether it says that an earlier one is over.
    pub resolved: bool,
    /// What the price was compared with.
    pub reference: Decimal,
}

/// What a rule makes of the prices of one series, in their order.
pub fn hits(rule: Rule, prices: &[Decimal]) -> Vec<Hit> {
    let hit = |at, reference| Hit { at, resolved: false, reference };
    let percent = |of: Decimal, part: i64| of * Decimal::from(part);
    let mut found = Vec::new();
    let mut base = None;
    let mut fired = false;
    for (at, price) in prices.iter().copied().enumerate() {
        match (rule, base) {
            (Rule::Drop(part), Some(before)) => {
                let far = percent(before - price, 100) >= percent(before, part);
                if price < before && far && (part == 0 || before > Decimal::ZERO) {
                    found.push(hit(at, before));
                }
                base = Some(price);
            }
            (Rule::DropSinceTheLastMove(part), Some(before)) => {
                let far = percent((before - price).abs(), 100) >= percent(before, part);
                let defined = before > Decimal::ZERO;
                if defined && far && price < before {
                    found.push(hit(at, before));
                }
                if far || !defined {
                    base = Some(price);
                }
            }
            (Rule::Drop(_) | Rule::DropSinceTheLastMove(_), None) => base = Some(price),
            (Rule::Below(level, _), _) if !fired && price < Decimal::from(level) => {
                fired = true;
                found.push(hit(at, Decimal::from(level)));
            }
            (Rule::Below(level, clear), _) if fired && price >= Decimal::from(clear) => {
                fired = false;
                found.push(Hit { resolved: true, ..hit(at, Decimal::from(level)) });
            }
            (Rule::Below(..), _) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(list: &[i64]) -> Vec<Seen> {
        list.iter()
            .map(|price| Seen { source: "s".into(), item: "i".into(), price: Decimal::from(*price) })
            .collect()
    }

    fn fired(alerts: &[Expected]) -> Vec<(i64, i64)> {
        let whole = |price: Decimal| i64::try_from(price).unwrap();
        alerts.iter().map(|alert| (whole(alert.reference), whole(alert.price))).collect()
    }

    #[test]
    fn drops_are_counted_against_the_price_before() {
        let prices = prices(&[100, 95, 95, 110, 99, 98, 49]);
        assert_eq!(fired(&drops("r", 0, &prices)), [(100, 95), (110, 99), (99, 98), (98, 49)]);
        assert_eq!(fired(&drops("r", 10, &prices)), [(110, 99), (98, 49)]);
        assert_eq!(fired(&drops("r", 10, &self::prices(&[0, -5, -50]))), []);
    }

    #[test]
    fn a_level_fires_once_until_it_is_clear() {
        let prices = prices(&[40, 60, 45, 52, 48, 55, 49, 10]);
        let level = |value: i64| Decimal::from(value);
        assert_eq!(fired(&below("r", level(50), level(55), &prices)), [(50, 40), (50, 45), (50, 49)]);
    }

    fn told(rule: Rule, list: &[i64]) -> Vec<(usize, bool, i64)> {
        let prices: Vec<Decimal> = list.iter().copied().map(Decimal::from).collect();
        let whole = |hit: &Hit| (hit.at, hit.resolved, i64::try_from(hit.reference).unwrap());
        hits(rule, &prices).iter().map(whole).collect()
    }

    #[test]
    fn hits_have_their_places() {
        let (fires, ends) = (false, true);
        assert_eq!(told(Rule::Drop(0), &[100, 95, 95, 110, 99]), [(1, fires, 100), (4, fires, 110)]);
        assert_eq!(told(Rule::Drop(10), &[100, 95, 95, 110, 99]), [(4, fires, 110)]);
        assert_eq!(told(Rule::Drop(10), &[0, -5, -50]), []);
        let creep = [100, 95, 91, 90, 200, 150, 185, 184, 135];
        let fell = [(3, fires, 100), (5, fires, 200), (8, fires, 185)];
        assert_eq!(told(Rule::DropSinceTheLastMove(10), &creep), fell);
        let below_zero = [-5, -50, 20, 19, 17];
        assert_eq!(told(Rule::DropSinceTheLastMove(10), &below_zero), [(4, fires, 20)]);
        let level = [40, 60, 61, 45, 52, 48, 55];
        assert_eq!(
            told(Rule::Below(50, 55), &level),
            [(0, fires, 50), (1, ends, 50), (3, fires, 50), (6, ends, 50)]
        );
    }
}
