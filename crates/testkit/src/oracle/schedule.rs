//! Which alerts a level must raise for prices that are published ahead, hour by hour, and revised: worked out by looking
//! along the hours, with no more memory than which of them belong to a run that was told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use pricemonitor_model::Decimal;

/// A level, with where it is clear again. All hours lie ahead: no run is ever over.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// `above: {value, clear}`.
    Above(i64, i64),
    /// `below: {value, clear}`.
    Below(i64, i64),
}

/// One alert of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Place among the prices of the one that triggered it.
    pub at: usize,
    /// Whether it takes an earlier one back.
    pub resolved: bool,
    /// The level.
    pub reference: Decimal,
    /// The hours of the run, as far as it is known then.
    pub hours: RangeInclusive<i64>,
}

impl Level {
    fn value(self) -> Decimal {
        let (Level::Above(value, _) | Level::Below(value, _)) = self;
        Decimal::from(value)
    }

    /// Whether a price begins a run.
    fn is_beyond(self, price: Decimal) -> bool {
        match self {
            Level::Above(..) => price > self.value(),
            Level::Below(..) => price < self.value(),
        }
    }

    /// Whether a price prolongs a run.
    fn is_open(self, price: Decimal) -> bool {
        match self {
            Level::Above(_, clear) => price > Decimal::from(clear),
            Level::Below(_, clear) => price < Decimal::from(clear),
        }
    }
}

/// The last price of each hour.
struct Known {
    level: Level,
    prices: BTreeMap<i64, Decimal>,
}

impl Known {
    fn is_open(&self, hour: i64) -> bool {
        self.prices.get(&hour).is_some_and(|price| self.level.is_open(*price))
    }

    /// The run that an hour belongs to: from the first hour beyond the level to the first one that is clear again.
    fn run(&self, hour: i64) -> Option<RangeInclusive<i64>> {
        if !self.is_open(hour) {
            return None;
        }
        let (mut first, mut last) = (hour, hour);
        while self.is_open(first - 1) {
            first -= 1;
        }
        while self.is_open(last + 1) {
            last += 1;
        }
        let begin = (first..=hour).find(|hour| self.level.is_beyond(self.prices[hour]))?;
        Some(begin..=last)
    }
}

/// What a level makes of prices, each with its hour, in the order in which they are published.
pub fn hits(level: Level, prices: &[(i64, Decimal)]) -> Vec<Hit> {
    let mut known = Known { level, prices: BTreeMap::new() };
    let mut told: BTreeSet<i64> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, (hour, price)) in prices.iter().copied().enumerate() {
        let before = known.run(hour).filter(|_| told.contains(&hour));
        known.prices.insert(hour, price);
        let hit = |resolved, hours| Hit { at, resolved, reference: level.value(), hours };
        match (known.run(hour), before) {
            (Some(run), _) => {
                if !run.clone().any(|hour| told.contains(&hour)) {
                    found.push(hit(false, run.clone()));
                }
                told.extend(run);
            }
            // What is left of the run was told; when nothing is, the alert is taken back.
            (None, Some(before)) => {
                told.retain(|hour| !before.contains(hour) || known.run(*hour).is_some());
                if !before.clone().any(|hour| told.contains(&hour)) {
                    found.push(hit(true, before));
                }
            }
            (None, None) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Place, whether it is taken back, first and last hour.
    fn told(level: Level, list: &[(i64, i64)]) -> Vec<(usize, bool, i64, i64)> {
        let prices: Vec<(i64, Decimal)> =
            list.iter().map(|(hour, price)| (*hour, Decimal::from(*price))).collect();
        let all = hits(level, &prices);
        all.iter().map(|hit| (hit.at, hit.resolved, *hit.hours.start(), *hit.hours.end())).collect()
    }

    #[test]
    fn each_run_is_told_once_and_hours_between_level_and_clear_prolong_it() {
        let day = [(13, 14), (14, 16), (15, 13), (16, 18), (17, 12), (18, 19)];
        assert_eq!(told(Level::Above(15, 12), &day), [(1, false, 14, 14), (5, false, 18, 18)]);
        // Revised from behind: the run begins where a price is beyond the level, and is the same one.
        assert_eq!(told(Level::Above(15, 12), &[(3, 13), (4, 16), (3, 16)]), [(1, false, 4, 4)]);
    }

    #[test]
    fn a_run_that_is_cut_or_joined_is_not_told_anew_and_one_of_which_nothing_is_left_is_taken_back() {
        let revised = [(14, -1), (15, -1), (16, -1), (15, 2), (14, 2), (14, -3), (15, -2), (14, 1), (15, 1)];
        let want = [(0, false, 14, 14), (4, true, 14, 14), (5, false, 14, 14)];
        assert_eq!(told(Level::Below(0, 0), &revised), want);
        // The hour that is left is not clear, but not beyond the level either.
        let tame = [(1, -1), (2, 3), (1, 3)];
        assert_eq!(told(Level::Below(0, 5), &tame), [(0, false, 1, 1), (2, true, 1, 2)]);
    }
}
