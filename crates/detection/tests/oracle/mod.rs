//! The rules once more, naively: each answer is worked out from the whole history by looking back
//! and ahead, with none of the state that the fold keeps.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use pricemonitor_model::{
    Baseline, Condition, Decimal, Movement, Rearm, Rule, Side, Threshold, Time, Transition,
};

/// (place in the history, transition, price, reference)
pub type Said = (usize, Transition, Decimal, Decimal);

/// What `rule` says of a quote's prices, and how many hits a cooldown kept back.
pub fn quote(rule: &Rule, seen: &[(Time, Decimal)]) -> (Vec<Said>, u64) {
    let mut history = History { rule, seen, alerts: Vec::new(), suppressed: 0 };
    let mut said = match &rule.condition {
        Condition::Move { baseline: Baseline::Previous, .. } => history.previous(),
        Condition::Move { baseline: Baseline::First, .. } => history.first(),
        Condition::Move { baseline: Baseline::LastNotified, .. } => history.last_notified(),
        Condition::Level { .. } => history.level(),
    };
    said.sort_by_key(|said| said.0);
    (said, history.suppressed)
}

struct History<'h> {
    rule: &'h Rule,
    seen: &'h [(Time, Decimal)],
    alerts: Vec<usize>,
    suppressed: u64,
}

impl History<'_> {
    fn price(&self, at: usize) -> Decimal {
        self.seen[at].1
    }

    fn confirm(&self) -> usize {
        self.rule.confirm as usize
    }

    /// A hit at `at`: told, unless the alert before was too short ago.
    fn hit(&mut self, at: usize) -> bool {
        let last = self.alerts.last().map(|last| self.seen[*last].0.millis());
        let now = self.seen[at].0.millis();
        let told = match (last, self.rule.cooldown) {
            (Some(last), Some(cooldown)) => now >= last + cooldown,
            _ => true,
        };
        if told {
            self.alerts.push(at);
        } else {
            self.suppressed += 1;
        }
        told
    }

    fn far(&self, from: Decimal, to: Decimal) -> bool {
        let Condition::Move { threshold, .. } = &self.rule.condition else { return false };
        match threshold {
            Threshold::Any => from != to,
            Threshold::Percent(percent) => {
                from > Decimal::ZERO && from != to && (from - to).abs() * Decimal::from(100) >= from * percent
            }
            Threshold::Absolute(by) => from != to && (from - to).abs() >= *by,
        }
    }

    fn right_way(&self, from: Decimal, to: Decimal) -> bool {
        let Condition::Move { movement, .. } = &self.rule.condition else { return false };
        match movement {
            Movement::Drop => to < from,
            Movement::Rise => to > from,
            Movement::Change => true,
        }
    }

    fn met(&self, from: Decimal, to: Decimal) -> bool {
        self.far(from, to) && self.right_way(from, to)
    }

    fn previous(&mut self) -> Vec<Said> {
        let (mut said, mut at) = (Vec::new(), 1);
        while at < self.seen.len() {
            let base = self.price(at - 1);
            let end = at + self.confirm();
            let broken = (at..end.min(self.seen.len())).find(|i| !self.met(base, self.price(*i)));
            match broken {
                Some(i) if i == at => at += 1,
                Some(i) => at = i,
                None if end > self.seen.len() => break,
                None => {
                    if self.hit(end - 1) {
                        said.push((end - 1, Transition::Firing, self.price(end - 1), base));
                    }
                    at = end;
                }
            }
        }
        said
    }

    fn first(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        let first = self.price(0);
        let mut at = 1;
        while at < self.seen.len() {
            let end =
                (at..self.seen.len()).find(|i| !self.met(first, self.price(*i))).unwrap_or(self.seen.len());
            for i in at + self.confirm() - 1..end {
                if self.hit(i) {
                    said.push((i, Transition::Firing, self.price(i), first));
                    break;
                }
            }
            at = end + 1;
        }
        said
    }

    fn last_notified(&mut self) -> Vec<Said> {
        let Condition::Move { movement, threshold, .. } = &self.rule.condition else { return Vec::new() };
        let (mut said, mut base, mut at) = (Vec::new(), self.price(0), 1);
        'moves: while at < self.seen.len() {
            let price = self.price(at);
            if matches!(threshold, Threshold::Percent(_)) && base <= Decimal::ZERO {
                base = price;
                at += 1;
                continue;
            }
            if !self.far(base, price) {
                at += 1;
                continue;
            }
            let same = |to: Decimal| *movement == Movement::Change || (to > base) == (price > base);
            let end = (at..self.seen.len())
                .find(|i| !self.far(base, self.price(*i)) || !same(self.price(*i)))
                .unwrap_or(self.seen.len());
            for i in at + self.confirm() - 1..end {
                let to = self.price(i);
                let tells = self.right_way(base, to);
                if tells && !self.hit(i) {
                    continue;
                }
                if tells {
                    said.push((i, Transition::Firing, to, base));
                }
                (base, at) = (to, i + 1);
                continue 'moves;
            }
            at = end;
        }
        said
    }

    fn level(&mut self) -> Vec<Said> {
        let Condition::Level { side, level, clear, .. } = self.rule.condition else { return Vec::new() };
        let sign = if side == Side::Below { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
        let beyond = |price: Decimal| price * sign < level * sign;
        let cleared = |price: Decimal| price * sign >= clear * sign;
        let mut said = Vec::new();
        for at in 0..self.seen.len() {
            let (now, price) = self.seen[at];
            let last = self.alerts.last().copied();
            let open = last.is_some_and(|last| (last + 1..at).all(|i| !cleared(self.price(i))));
            if open && cleared(price) {
                said.push((at, Transition::Resolved, price, level));
                continue;
            }
            let confirmed =
                at + 1 >= self.confirm() && (at + 1 - self.confirm()..=at).all(|i| beyond(self.price(i)));
            let armed = match self.rule.rearm {
                Rearm::WhenCleared => !open,
                Rearm::Never => last.is_none(),
                Rearm::After(wait) => !open || now.millis() >= self.seen[last.unwrap()].0.millis() + wait,
            };
            if confirmed && armed && self.hit(at) {
                said.push((at, Transition::Firing, price, level));
            }
        }
        said
    }
}

/// One observation of an hour: when, which hour, what price.
pub type Hour = (Time, i64, Decimal);

/// What a published level without cooldown says of hours: (place, transition, first hour, end hour).
/// Keeps a set of the hours that belong to a run that was told.
pub fn hours(rule: &Rule, start: Time, seen: &[Hour]) -> Vec<(usize, Transition, i64, i64)> {
    let Condition::Level { side, level, clear, .. } = rule.condition else { return Vec::new() };
    let below = side == Side::Below;
    let beyond = |price: Decimal| if below { price < level } else { price > level };
    let cleared = |price: Decimal| if below { price >= clear } else { price <= clear };
    let runs = |prices: &BTreeMap<i64, Decimal>| -> Vec<Vec<i64>> {
        let mut runs: Vec<Vec<i64>> = Vec::new();
        for (hour, price) in prices {
            let open = runs.last_mut().filter(|run| run.last() == Some(&(hour - 1)));
            match open {
                Some(run) if !cleared(*price) => run.push(*hour),
                _ if beyond(*price) => runs.push(vec![*hour]),
                _ => {}
            }
        }
        runs
    };
    let ends = |hour: i64| start.plus((hour + 1) * 3_600_000);
    let (mut prices, mut told, mut said) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for (at, (now, hour, price)) in seen.iter().enumerate() {
        let before = runs(&prices).into_iter().find(|run| run.contains(hour));
        prices.insert(*hour, *price);
        let now_runs = runs(&prices);
        let was_told = before.filter(|run| run.iter().any(|hour| told.contains(hour)));
        told.retain(|hour| now_runs.iter().flatten().any(|in_run| in_run == hour));
        for run in &now_runs {
            if run.iter().any(|hour| told.contains(hour)) {
                told.extend(run.iter().copied());
            }
        }
        let mine = now_runs.iter().find(|run| run.contains(hour));
        match (mine, was_told) {
            (Some(run), _) if told.contains(hour) => assert!(run.iter().all(|hour| told.contains(hour))),
            (Some(run), _) => {
                let live = run.iter().any(|hour| beyond(prices[hour]) && ends(*hour) > *now);
                let mut streak = 0;
                let confirmed = run.iter().any(|hour| {
                    streak = if beyond(prices[hour]) { streak + 1 } else { 0 };
                    streak >= rule.confirm
                });
                if live && confirmed {
                    said.push((at, Transition::Firing, run[0], run[run.len() - 1] + 1));
                    told.extend(run.iter().copied());
                }
            }
            (None, Some(run)) if !now_runs.iter().flatten().any(|hour| run.contains(hour)) => {
                let last = run[run.len() - 1];
                if ends(last) > *now {
                    said.push((at, Transition::Resolved, run[0], last + 1));
                }
            }
            _ => {}
        }
    }
    said
}
