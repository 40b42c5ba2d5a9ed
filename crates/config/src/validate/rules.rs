//! Rules.

use pricemonitor_model::{
    Baseline, Condition, Decimal, LevelAt, Matcher, Movement, PriceKind, Rearm, Rule, Severity, Side,
    Threshold,
};

use super::{Checks, exactly_one, values};
use crate::nearest::{listed, nearest, shown};
use crate::spec::{
    AtSpec, BaselineSpec, LevelSpec, MAX_RULES, MoveSpec, PriceMonitorSpec, PriceSpec, RuleSpec, SeveritySpec,
};

/// Longest cooldown and re-arm.
const LONGEST: &str = "3650d";
/// Most matchers of a rule.
const MAX_MATCHERS: usize = 32;

/// The rules; the default rule when the manifest has none.
pub(super) fn settings(checks: &mut Checks, spec: &PriceMonitorSpec) -> Vec<Rule> {
    if spec.rules.is_empty() {
        return vec![Rule::any_drop()];
    }
    checks.names("spec.rules", MAX_RULES, spec.rules.iter().map(|rule| rule.name.as_str()));
    let each = spec.rules.iter().enumerate();
    each.filter_map(|(n, rule)| settings_of(checks, &format!("spec.rules[{n}]"), rule, spec)).collect()
}

fn settings_of(checks: &mut Checks, path: &str, rule: &RuleSpec, spec: &PriceMonitorSpec) -> Option<Rule> {
    let matchers = matchers(checks, path, rule, spec);
    let condition = condition(checks, path, rule);
    let channels = rule.notify.as_ref().map(|names| notify(checks, path, names, spec));
    let confirm = rule.confirm.unwrap_or(1);
    if !(1..=100).contains(&confirm) {
        checks.tell(format_args!("{path}.confirm"), format!("must be from 1 to 100, not {confirm}"));
    }
    let cooldown = rule
        .cooldown
        .as_ref()
        .and_then(|text| checks.take(format_args!("{path}.cooldown"), values::millis(text, "1ms", LONGEST)));
    let rearm = rearm(checks, path, rule);
    Some(Rule {
        name: rule.name.as_str().into(),
        matchers,
        condition: condition?,
        price: match rule.price {
            PriceSpec::Total => PriceKind::Total,
            PriceSpec::Base => PriceKind::Base,
        },
        confirm,
        cooldown,
        rearm,
        severity: match rule.severity {
            SeveritySpec::Info => Severity::Info,
            SeveritySpec::Warning => Severity::Warning,
            SeveritySpec::Critical => Severity::Critical,
        },
        channels,
    })
}

fn matchers(checks: &mut Checks, path: &str, rule: &RuleSpec, spec: &PriceMonitorSpec) -> Vec<Matcher> {
    if rule.matchers.len() > MAX_MATCHERS {
        let message = format!("has {} entries, at most {MAX_MATCHERS} are allowed", rule.matchers.len());
        checks.tell(format_args!("{path}.match"), message);
    }
    let mut matchers = Vec::new();
    for (name, glob) in &rule.matchers {
        let at = format!("{path}.match.{}", shown(name));
        checks.take(&at, values::line(name, 1, 253).map_err(|error| format!("the label's name {error}")));
        checks.take(&at, values::line(glob, 0, 512));
        let matcher = Matcher { name: name.clone(), glob: glob.clone() };
        if name == "source" && !spec.sources.iter().any(|source| matcher.matches(&source.name)) {
            let known = || spec.sources.iter().map(|source| source.name.as_str());
            checks.tell(&at, format!("`{}` matches no source{}", shown(glob), hint(glob, known)));
        }
        matchers.push(matcher);
    }
    matchers
}

/// ", did you mean `x`?" or what there is.
fn hint<'a, I: Iterator<Item = &'a str>>(word: &str, known: impl Fn() -> I) -> String {
    match nearest(word, known()) {
        Some(near) => format!(", did you mean `{near}`?"),
        None => format!("; there are: {}", listed(known())),
    }
}

fn notify(checks: &mut Checks, path: &str, names: &[String], spec: &PriceMonitorSpec) -> Vec<String> {
    let known = || spec.channels.iter().map(|channel| channel.name.as_str());
    for (n, name) in names.iter().enumerate() {
        let at = format!("{path}.notify[{n}]");
        if !known().any(|known| known == name) {
            checks.tell(&at, format!("there is no channel `{}`{}", shown(name), hint(name, known)));
        } else if names.iter().take(n).any(|earlier| earlier == name) {
            checks.tell(&at, format!("`{}` is named twice", shown(name)));
        }
    }
    names.to_vec()
}

fn condition(checks: &mut Checks, path: &str, rule: &RuleSpec) -> Option<Condition> {
    let moves = [
        ("drop", Movement::Drop, &rule.drop),
        ("rise", Movement::Rise, &rule.rise),
        ("change", Movement::Change, &rule.change),
    ];
    let levels = [("below", Side::Below, &rule.below), ("above", Side::Above, &rule.above)];
    let mut found = None;
    for (name, movement, spec) in moves {
        if let Some(spec) = spec {
            found = found.or(moved(checks, &format!("{path}.{name}"), movement, spec));
        }
    }
    for (name, side, spec) in levels {
        if let Some(spec) = spec {
            found = found.or(level(checks, &format!("{path}.{name}"), side, spec));
        }
    }
    let moves = moves.map(|(name, _, spec)| (name, spec.is_some()));
    let levels = levels.map(|(name, _, spec)| (name, spec.is_some()));
    checks.take(path, exactly_one("condition", &[&moves[..], &levels[..]].concat()))?;
    found
}

fn moved(checks: &mut Checks, path: &str, movement: Movement, spec: &MoveSpec) -> Option<Condition> {
    // More than this is a slip of the hand; a drop of more than 100 % cannot be.
    let most = Decimal::from(if movement == Movement::Drop { 100 } else { 1_000_000 });
    let percent = spec.percent.as_ref().map(|text| {
        let value = values::decimal(text).and_then(|value| match value {
            value if value <= Decimal::ZERO => Err(format!("must be above 0, not {value}")),
            value if value > most => Err(format!("must be at most {most}, not {value}")),
            value => Ok(value),
        });
        checks.take(format_args!("{path}.percent"), value)
    });
    let absolute = spec.absolute.as_ref().map(|text| {
        let value = values::decimal(text).and_then(|value| match value {
            value if value <= Decimal::ZERO => Err(format!("must be above 0, not {value}")),
            value => Ok(value),
        });
        checks.take(format_args!("{path}.absolute"), value)
    });
    let threshold = match (percent, absolute) {
        (None, None) => Some(Threshold::Any),
        (Some(percent), None) => percent.map(Threshold::Percent),
        (None, Some(absolute)) => absolute.map(Threshold::Absolute),
        (Some(_), Some(_)) => {
            checks.tell(path, "has both `percent` and `absolute`: keep one, or write two rules");
            None
        }
    };
    let baseline = match spec.baseline {
        BaselineSpec::Previous => Baseline::Previous,
        BaselineSpec::LastNotified => Baseline::LastNotified,
        BaselineSpec::First => Baseline::First,
    };
    Some(Condition::Move { movement, threshold: threshold?, baseline })
}

fn level(checks: &mut Checks, path: &str, side: Side, spec: &LevelSpec) -> Option<Condition> {
    let level = checks.take(format_args!("{path}.value"), values::decimal(&spec.value));
    let clear = match &spec.clear {
        None => level,
        Some(text) => checks.take(format_args!("{path}.clear"), values::decimal(text)),
    };
    let (level, clear) = (level?, clear?);
    let (wrong, word, fires) = match side {
        Side::Below => (clear < level, "below", "below"),
        Side::Above => (clear > level, "above", "above"),
    };
    if wrong {
        let message = format!(
            "must not be {word} `value` ({level}), is {clear}: the rule fires {fires} the level and is clear on the other side"
        );
        checks.tell(format_args!("{path}.clear"), message);
    }
    let at = match spec.at {
        AtSpec::Published => LevelAt::Published,
        AtSpec::Starts => LevelAt::Starts,
    };
    Some(Condition::Level { side, level, clear, at })
}

fn rearm(checks: &mut Checks, path: &str, rule: &RuleSpec) -> Rearm {
    let Some(text) = rule.rearm.as_deref() else { return Rearm::WhenCleared };
    let at = format!("{path}.rearm");
    if rule.below.is_none() && rule.above.is_none() {
        checks.tell(&at, "is for `below` and `above`; for a move use `cooldown`");
        return Rearm::WhenCleared;
    }
    match text {
        "whenCleared" => Rearm::WhenCleared,
        "never" => Rearm::Never,
        text => {
            let told = |error| format!("{error}; or write `whenCleared` or `never`");
            let after = checks.take(at, values::millis(text, "1ms", LONGEST).map_err(told));
            after.map_or(Rearm::WhenCleared, Rearm::After)
        }
    }
}
