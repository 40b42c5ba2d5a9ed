//! What is acceptable in the raw topic.
//!
//! Both readers of raw records, processor and storage, decide by this one function, so that they
//! never disagree about which observations exist. Only the processor writes the dead letter.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::observation::Observation;
use crate::partition::partition_of;
use crate::price::{Decimal, MAX_MAGNITUDE, MAX_SCALE};
use crate::tick::Tick;
use crate::time::{Millis, Time};
use crate::wire::{self, Raw, WireError};

/// How far `observed_at` may lie ahead of the record's log time.
pub const MAX_AHEAD: Millis = 5 * 60 * 1000;
/// Most labels of an observation.
pub const MAX_LABELS: usize = 32;
/// Most bytes of a source, currency, unit or label name.
pub const MAX_NAME: usize = 253;
/// Most bytes of an item, a label value or a text as written.
pub const MAX_TEXT: usize = 512;
/// Most bytes of a url.
pub const MAX_URL: usize = 2048;

/// What a monitor accepts.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Per source, the prices it may have; a source that is not listed accepts every price.
    pub valid: HashMap<String, ValidRange>,
    /// Number of partitions of the raw topic, to check that keys stand where they belong; `None`
    /// switches the check off (a topic keyed by something else than the item).
    pub partitions: Option<u32>,
}

/// The prices a source may have, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidRange {
    /// Lowest; goods have `0` exclusive by `positive`.
    pub min: Option<Decimal>,
    /// Highest.
    pub max: Option<Decimal>,
    /// Whether zero and negative prices are refused: right for goods, wrong for energy.
    pub positive: bool,
}

/// A record that may be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
// Nearly every record is an observation, and one lives at a time: a box would cost each of them.
#[expect(clippy::large_enum_variant)]
pub enum Admitted<'a> {
    /// A price.
    Observation(Observation<'a>),
    /// A look at a source.
    Tick(Tick<'a>),
    /// Somebody else's record; skip it.
    Foreign,
}

/// Why a record may not be acted on.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// A newer program is writing: stop the partition, this is no dead letter.
    #[error("the record has wire version {0}, this program reads up to {max}: upgrade it", max = wire::VERSION)]
    Newer(u32),
    /// The record belongs into the dead letters.
    #[error("{reason}: {detail}")]
    Dead {
        /// A word for metrics and filters: `malformed`, `out_of_range`, `too_long`, `future`,
        /// `wrong_partition`, `empty`.
        reason: &'static str,
        /// What exactly is wrong, for people.
        detail: String,
    },
}

fn dead(reason: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection::Dead { reason, detail: detail.into() }
}

/// Reads and judges one record of the raw topic.
///
/// `partition` is the one it stands on, `log_time` the time at which the log took it.
///
/// # Errors
/// [`Rejection`]: a dead letter, or a reason to stop.
pub fn admit<'a>(
    rules: &Admission,
    partition: u32,
    key: Option<&[u8]>,
    value: Option<&'a [u8]>,
    log_time: Time,
) -> Result<Admitted<'a>, Rejection> {
    let value = value.ok_or_else(|| dead("empty", "the record has no value"))?;
    match wire::read_raw(value) {
        Ok(Raw::Observation(observation)) => {
            judge(rules, partition, key, &observation, log_time)?;
            Ok(Admitted::Observation(observation))
        }
        Ok(Raw::Tick(tick)) => {
            text("source", &tick.source, 1, MAX_NAME)?;
            Ok(Admitted::Tick(tick))
        }
        Ok(Raw::Other) => Ok(Admitted::Foreign),
        Err(WireError::Newer(v)) => Err(Rejection::Newer(v)),
        Err(WireError::Malformed(error)) => Err(dead("malformed", error.to_string())),
    }
}

fn judge(
    rules: &Admission,
    partition: u32,
    key: Option<&[u8]>,
    o: &Observation<'_>,
    log_time: Time,
) -> Result<(), Rejection> {
    text("source", &o.source, 1, MAX_NAME)?;
    text("item", &o.item, 1, MAX_TEXT)?;
    text("currency", &o.currency, 1, 16)?;
    optional("unit", &o.unit, MAX_NAME)?;
    optional("url", &o.url, MAX_URL)?;
    if o.labels.len() > MAX_LABELS {
        return Err(dead("too_long", format!("{} labels, at most {MAX_LABELS} are allowed", o.labels.len())));
    }
    for (name, value) in o.labels.iter() {
        text("label name", name, 1, MAX_NAME)?;
        text(name, value, 0, MAX_TEXT)?;
    }
    if let Some(written) = &o.as_written {
        text("as_written.price", &written.price, 1, MAX_TEXT)?;
        optional("as_written.start", &written.start, MAX_TEXT)?;
        optional("as_written.end", &written.end, MAX_TEXT)?;
    }
    if let Some(slot) = o.slot
        && slot.end <= slot.start
    {
        return Err(dead(
            "out_of_range",
            format!("the slot ends at {} and starts at {}", slot.end, slot.start),
        ));
    }
    let range = rules.valid.get(&*o.source);
    price("price", o.price, range)?;
    if let Some(base) = o.base {
        price("base", base, range)?;
    }
    if o.observed_at > log_time.plus(MAX_AHEAD) {
        return Err(dead(
            "future",
            format!("observed at {}, but the log took it at {log_time}", o.observed_at),
        ));
    }
    placed(rules.partitions, partition, key)
}

fn price(what: &str, value: Decimal, range: Option<&ValidRange>) -> Result<(), Rejection> {
    if value.abs() > Decimal::from(MAX_MAGNITUDE) || value.scale() > MAX_SCALE {
        return Err(dead(
            "out_of_range",
            format!("{what} {value}: at most 10^12 and {MAX_SCALE} digits after the point"),
        ));
    }
    let Some(range) = range else { return Ok(()) };
    if range.positive && value <= Decimal::ZERO {
        return Err(dead("out_of_range", format!("{what} {value} is not above zero")));
    }
    if range.min.is_some_and(|min| value < min) || range.max.is_some_and(|max| value > max) {
        return Err(dead("out_of_range", format!("{what} {value} is outside the source's valid range")));
    }
    Ok(())
}

fn placed(partitions: Option<u32>, partition: u32, key: Option<&[u8]>) -> Result<(), Rejection> {
    let Some(partitions) = partitions else { return Ok(()) };
    let Some(key) = key else {
        return Err(dead("wrong_partition", "the record has no key; it must be `source/item`"));
    };
    let right = partition_of(key, partitions);
    if right == partition {
        return Ok(());
    }
    Err(dead(
        "wrong_partition",
        format!(
            "the key belongs to partition {right} of {partitions} (murmur2), the record stands on {partition}"
        ),
    ))
}

fn text(what: &str, value: &str, min: usize, max: usize) -> Result<(), Rejection> {
    if value.len() < min {
        return Err(dead("empty", format!("{what} is empty")));
    }
    if value.len() > max {
        return Err(dead("too_long", format!("{what} has {} bytes, at most {max} are allowed", value.len())));
    }
    Ok(())
}

fn optional(what: &str, value: &Option<Cow<'_, str>>, max: usize) -> Result<(), Rejection> {
    value.as_ref().map_or(Ok(()), |value| text(what, value, 0, max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::parse_decimal;

    const NOW: Time = Time::from_seconds(1_700_000_000);

    fn verdict(
        change: impl FnOnce(&mut Observation<'static>),
        rules: &Admission,
    ) -> Result<(), &'static str> {
        let mut o = Observation::new("s", "i", parse_decimal("1.5").unwrap(), "USD", NOW);
        change(&mut o);
        let mut bytes = Vec::new();
        wire::write_observation(&o, &mut bytes);
        match admit(rules, 0, Some(o.key().as_bytes()), Some(&bytes), NOW) {
            Ok(Admitted::Observation(_)) => Ok(()),
            Err(Rejection::Dead { reason, .. }) => Err(reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_limit_is_told_by_its_reason() {
        let any = Admission::default();
        assert_eq!(verdict(|_| (), &any), Ok(()));
        assert_eq!(verdict(|o| o.item = "".into(), &any), Err("empty"));
        assert_eq!(verdict(|o| o.item = "x".repeat(513).into(), &any), Err("too_long"));
        assert_eq!(verdict(|o| o.price = parse_decimal("1000000000001").unwrap(), &any), Err("out_of_range"));
        assert_eq!(verdict(|o| o.price = parse_decimal("0.0000000001").unwrap(), &any), Err("out_of_range"));
        assert_eq!(verdict(|o| o.observed_at = NOW.plus(MAX_AHEAD), &any), Ok(()));
        assert_eq!(verdict(|o| o.observed_at = NOW.plus(MAX_AHEAD + 1), &any), Err("future"));
        let slot = crate::Slot { start: NOW, end: NOW };
        assert_eq!(verdict(|o| o.slot = Some(slot), &any), Err("out_of_range"));
        for n in 0..40 {
            let many = |o: &mut Observation<'static>| (0..n).for_each(|i| o.labels.set(format!("l{i}"), ""));
            assert_eq!(verdict(many, &any).is_ok(), n <= MAX_LABELS);
        }
    }

    #[test]
    fn zero_is_a_price_of_energy_but_not_of_goods() {
        let range = ValidRange { min: None, max: Some(Decimal::from(100)), positive: true };
        let goods = Admission { valid: [("s".to_owned(), range)].into(), partitions: None };
        for (price, goods_ok) in
            [("0", false), ("-1", false), ("0.01", true), ("100", true), ("100.01", false)]
        {
            let set = |o: &mut Observation<'static>| o.price = parse_decimal(price).unwrap();
            assert_eq!(verdict(set, &goods).is_ok(), goods_ok, "{price}");
            assert_eq!(verdict(set, &Admission::default()), Ok(()));
        }
    }

    #[test]
    fn a_key_on_the_wrong_partition_is_refused() {
        let six = Admission { partitions: Some(6), ..Admission::default() };
        let right = partition_of(b"s/i", 6);
        let verdict = verdict(|_| (), &six);
        assert_eq!(verdict.is_ok(), right == 0);
        let mut bytes = Vec::new();
        let o = Observation::new("s", "i", parse_decimal("1.5").unwrap(), "USD", NOW);
        wire::write_observation(&o, &mut bytes);
        assert!(admit(&six, right, Some(b"s/i"), Some(&bytes), NOW).is_ok());
        assert!(admit(&six, right, None, Some(&bytes), NOW).is_err());
        assert!(matches!(admit(&six, right, None, None, NOW), Err(Rejection::Dead { reason: "empty", .. })));
    }
}
