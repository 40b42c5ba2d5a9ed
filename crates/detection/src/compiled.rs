//! Rules, made ready: what can be worked out once is not worked out for every price.

use std::hash::{BuildHasher, Hasher};

use pricemonitor_model::{Baseline, Condition, Decimal, LevelAt, Rule, Side, Threshold, Time};

use crate::state::{RuleState, SlotRule};

/// A rule and the number that stands for its name and meaning.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    pub(crate) id: u64,
}

/// A level condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) side: Side,
    pub(crate) level: Decimal,
    pub(crate) clear: Decimal,
}

/// All rules of a monitor.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet {
    pub(crate) rules: Vec<Compiled>,
    /// Stands for the whole list.
    stamp: u64,
    /// Labels that some matcher looks at.
    labels: Vec<String>,
    hash: ahash::RandomState,
}

/// What a rule remembers, in either shape of a series.
pub(crate) trait Remembered: Clone {
    fn new(id: u64, index: u32) -> Self;
    fn state(&self) -> &RuleState;
    fn state_mut(&mut self) -> &mut RuleState;
}

impl Remembered for RuleState {
    fn new(id: u64, index: u32) -> Self {
        RuleState::new(id, index)
    }
    fn state(&self) -> &RuleState {
        self
    }
    fn state_mut(&mut self) -> &mut RuleState {
        self
    }
}

impl Remembered for SlotRule {
    fn new(id: u64, index: u32) -> Self {
        SlotRule { state: RuleState::new(id, index), told: Vec::new() }
    }
    fn state(&self) -> &RuleState {
        &self.state
    }
    fn state_mut(&mut self) -> &mut RuleState {
        &mut self.state
    }
}

impl RuleSet {
    /// Of two rules with the same name the first counts.
    pub(crate) fn new(rules: Vec<Rule>) -> RuleSet {
        let mut compiled: Vec<Compiled> = Vec::with_capacity(rules.len());
        let mut labels: Vec<String> = Vec::new();
        for rule in rules {
            if compiled.iter().any(|known| known.rule.name == rule.name) {
                continue;
            }
            for matcher in &rule.matchers {
                let reserved = matcher.name == "source" || matcher.name == "item";
                if !reserved && !labels.contains(&matcher.name) {
                    labels.push(matcher.name.clone());
                }
            }
            compiled.push(Compiled { id: fingerprint(&rule), rule });
        }
        let mut stamp = Fnv::default();
        compiled.iter().for_each(|rule| stamp.write_u64(rule.id));
        // Fixed seeds: the numbers never leave the process, but all detectors in it must agree.
        let hash = ahash::RandomState::with_seeds(1, 2, 3, 4);
        RuleSet { rules: compiled, stamp: stamp.finish(), labels, hash }
    }

    /// Makes `remembered` hold exactly the rules that match, in their order, each with what it
    /// already remembered. Globs are only tried when the rules or the labels they look at changed.
    pub(crate) fn bind<'l, T: Remembered>(
        &self,
        remembered: &mut Box<[T]>,
        bound: &mut u64,
        source: &str,
        item: &str,
        label: impl Fn(&str) -> Option<&'l str>,
    ) {
        let stamp = self.stamp_of(&label);
        if *bound == stamp {
            return;
        }
        *bound = stamp;
        let matching = |compiled: &Compiled| {
            compiled.rule.matchers.iter().all(|matcher| match matcher.name.as_str() {
                "source" => matcher.matches(source),
                "item" => matcher.matches(item),
                name => label(name).is_some_and(|value| matcher.matches(value)),
            })
        };
        let matching = || (0u32..).zip(&self.rules).filter(|(_, compiled)| matching(compiled));
        // As it was left, most often: it was only read from its bytes.
        let mut left = remembered.iter_mut();
        let same = |(index, compiled): (u32, &Compiled)| {
            let own = left.next().map(Remembered::state_mut).filter(|own| own.id == compiled.id);
            own.map(|own| own.index.0 = index).is_some()
        };
        if matching().all(same) && left.next().is_none() {
            return;
        }
        let mut next = Vec::new();
        for (index, compiled) in matching() {
            let known = remembered.iter().find(|known| known.state().id == compiled.id);
            let mut own = known.map_or_else(|| T::new(compiled.id, 0), T::clone);
            own.state_mut().index.0 = index;
            next.push(own);
        }
        *remembered = next.into_boxed_slice();
    }

    fn stamp_of<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> u64 {
        if self.labels.is_empty() {
            return self.stamp | 1;
        }
        let mut hash = self.hash.build_hasher();
        hash.write_u64(self.stamp);
        for name in &self.labels {
            match label(name) {
                Some(value) => {
                    hash.write_usize(value.len());
                    hash.write(value.as_bytes());
                }
                None => hash.write_usize(usize::MAX),
            }
        }
        // 0 is what nothing is bound to.
        hash.finish() | 1
    }
}

impl Compiled {
    /// The level, when the rule is one.
    pub(crate) fn level(&self) -> Option<(Level, LevelAt)> {
        match self.rule.condition {
            Condition::Level { side, level, clear, at } => Some((Level::new(side, level, clear), at)),
            Condition::Move { .. } => None,
        }
    }

    /// Whether an alert now would fall into the cooldown of the one before.
    pub(crate) fn cooling(&self, last_alert: Option<Time>, now: Time) -> bool {
        match (self.rule.cooldown, last_alert) {
            (Some(cooldown), Some(last)) => now.since(last) < cooldown,
            _ => false,
        }
    }

    /// Whether its alerts depend on time alone.
    pub(crate) fn starts(&self) -> bool {
        matches!(self.rule.condition, Condition::Level { at: LevelAt::Starts, .. })
    }
}

impl Level {
    fn new(side: Side, level: Decimal, clear: Decimal) -> Level {
        // A clear level on the wrong side would fire and clear at the same price.
        let clear = match side {
            Side::Below => clear.max(level),
            Side::Above => clear.min(level),
        };
        Level { side, level, clear }
    }

    /// Strictly beyond the level.
    pub(crate) fn beyond(&self, price: Decimal) -> bool {
        match self.side {
            Side::Below => price < self.level,
            Side::Above => price > self.level,
        }
    }

    /// Back at the clear level or beyond it.
    pub(crate) fn cleared(&self, price: Decimal) -> bool {
        match self.side {
            Side::Below => price >= self.clear,
            Side::Above => price <= self.clear,
        }
    }
}

/// Name and meaning of a rule: matchers, condition, kind of price and confirmation. What is only
/// about telling (severity, channels, cooldown, re-arming) is not in it.
fn fingerprint(rule: &Rule) -> u64 {
    let mut hash = Fnv::default();
    hash.text(&rule.name);
    let mut matchers: Vec<_> = rule.matchers.iter().collect();
    matchers.sort_by(|a, b| (&a.name, &a.glob).cmp(&(&b.name, &b.glob)));
    hash.write_u64(matchers.len() as u64);
    for matcher in matchers {
        hash.text(&matcher.name);
        hash.text(&matcher.glob);
    }
    match &rule.condition {
        Condition::Move { movement, threshold, baseline } => {
            hash.write(&[1, *movement as u8, baseline_number(*baseline)]);
            match threshold {
                Threshold::Any => hash.write(&[0]),
                Threshold::Percent(percent) => hash.decimal(1, *percent),
                Threshold::Absolute(by) => hash.decimal(2, *by),
            }
        }
        Condition::Level { side, level, clear, at } => {
            hash.write(&[2, *side as u8, *at as u8]);
            hash.decimal(0, *level);
            hash.decimal(0, *clear);
        }
    }
    hash.write(&[rule.price as u8]);
    hash.write(&rule.confirm.to_le_bytes());
    hash.finish()
}

/// Written into states, so it must not follow the order in which the enum is declared.
fn baseline_number(baseline: Baseline) -> u8 {
    match baseline {
        Baseline::Previous => 0,
        Baseline::LastNotified => 1,
        Baseline::First => 2,
    }
}

/// FNV-1a, 64 bits: stands in states, so it must stay the same for ever and on every machine.
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// A text with an end, so that no two lists of texts are one.
    pub(crate) fn text(&mut self, text: &str) {
        self.write(text.as_bytes());
        self.write(&[0xff]);
    }

    fn decimal(&mut self, tag: u8, value: Decimal) {
        // 10 and 10.0 mean the same.
        self.write(&[tag]);
        self.write(&value.normalize().serialize());
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0
    }
}
