//! Which alerts a sequence of prices must raise, worked out apart from the detection crate and in
//! the plainest way: one pass, one rule, no state that could be saved.

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
}
