//! The state as bytes: format 1.
//!
//! Times, counts and digits are written in as many bytes as they need, and what has its usual
//! value is left out under a flag. Every value has one encoding.

use pricemonitor_model::persist::{Persist, PersistError};
use pricemonitor_model::{Labels, Slot};

use crate::bytes::{Reader, broken, put_decimal, put_number, put_signed, put_text, put_time};
use crate::state::{
    Cached, ItemState, Prices, Progress, Quote, RuleState, Schedule, SlotRule, SlotState, Told,
};

/// The format that is written, and the highest that is read.
const FORMAT: u8 = 1;

const QUOTE: u8 = 1;
const SCHEDULE: u8 = 2;

const MOVED: u8 = 1;

const ARMED: u8 = 1;
const TOLD: u8 = 2;
const RISING: u8 = 4;
const HITS: u8 = 8;
const REFERENCE: u8 = 16;
const LAST_ALERT: u8 = 32;
const SUPPRESSED: u8 = 64;

const BASE: u8 = 1;
const MOVES: u8 = 2;

impl Persist for ItemState {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.push(flag(self.quote.is_some(), QUOTE) | flag(self.schedule.is_some(), SCHEDULE));
        if let Some(quote) = &self.quote {
            put_quote(quote, out);
        }
        if let Some(schedule) = &self.schedule {
            put_schedule(schedule, out);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, PersistError> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            FORMAT => {}
            0 => return Err(broken("format 0 was never written")),
            newer => {
                return Err(broken(format!(
                    "it has format {newer}, this program reads up to {FORMAT}: upgrade it"
                )));
            }
        }
        let flags = reader.flags(QUOTE | SCHEDULE)?;
        let quote = if flags & QUOTE != 0 { Some(quote(&mut reader)?) } else { None };
        let schedule = if flags & SCHEDULE != 0 { Some(Box::new(schedule(&mut reader)?)) } else { None };
        reader.end()?;
        Ok(ItemState { quote, schedule })
    }
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn put_quote(quote: &Quote, out: &mut Vec<u8>) {
    out.push(flag(quote.base.is_some(), BASE));
    put_time(quote.observed_at, out);
    out.extend_from_slice(&quote.unit.to_le_bytes());
    put_prices(quote.total, out);
    if let Some(base) = &quote.base {
        put_prices(**base, out);
    }
    put_number(quote.rules.len() as u128, out);
    quote.rules.iter().for_each(|rule| put_rule(rule, out));
}

fn quote(reader: &mut Reader<'_>) -> Result<Quote, PersistError> {
    let flags = reader.flags(BASE)?;
    Ok(Quote {
        observed_at: reader.time()?,
        unit: reader.id()?,
        total: prices(reader)?,
        base: base(flags, reader)?,
        rules: many(reader, rule)?.into_boxed_slice(),
        bound: Cached(0),
    })
}

fn put_prices(prices: Prices, out: &mut Vec<u8>) {
    // Digit for digit: `120.0` and `120.00` are equal, but not the same.
    let moved = prices.last.serialize() != prices.first.serialize();
    out.push(flag(moved, MOVED));
    put_decimal(prices.last, out);
    if moved {
        put_decimal(prices.first, out);
    }
}

fn prices(reader: &mut Reader<'_>) -> Result<Prices, PersistError> {
    let moved = reader.flags(MOVED)? != 0;
    let last = reader.decimal()?;
    Ok(Prices { last, first: if moved { reader.decimal()? } else { last } })
}

fn base(flags: u8, reader: &mut Reader<'_>) -> Result<Option<Box<Prices>>, PersistError> {
    if flags & BASE == 0 { Ok(None) } else { prices(reader).map(|base| Some(Box::new(base))) }
}

fn put_rule(rule: &RuleState, out: &mut Vec<u8>) {
    out.extend_from_slice(&rule.id.to_le_bytes());
    let own = flag(rule.armed, ARMED)
        | flag(rule.last_alert.is_some(), LAST_ALERT)
        | flag(rule.suppressed > 0, SUPPRESSED);
    put_progress(&rule.progress, own, out);
    if let Some(at) = rule.last_alert {
        put_time(at, out);
    }
    if rule.suppressed > 0 {
        put_number(u128::from(rule.suppressed), out);
    }
}

fn rule(reader: &mut Reader<'_>) -> Result<RuleState, PersistError> {
    let id = reader.id()?;
    let (own, progress) = progress(reader, ARMED | LAST_ALERT | SUPPRESSED)?;
    Ok(RuleState {
        id,
        index: Cached(0),
        armed: own & ARMED != 0,
        progress,
        last_alert: if own & LAST_ALERT != 0 { Some(reader.time()?) } else { None },
        suppressed: if own & SUPPRESSED != 0 { reader.number_u32()? } else { 0 },
    })
}

/// Writes the flags `own` of the caller together with those of the progress.
fn put_progress(progress: &Progress, own: u8, out: &mut Vec<u8>) {
    let reference = !(progress.reference.is_zero() && progress.reference.scale() == 0);
    out.push(
        own | flag(progress.told, TOLD)
            | flag(progress.rising, RISING)
            | flag(progress.hits > 0, HITS)
            | flag(reference, REFERENCE),
    );
    if progress.hits > 0 {
        put_number(u128::from(progress.hits), out);
    }
    if reference {
        put_decimal(progress.reference, out);
    }
}

fn progress(reader: &mut Reader<'_>, own: u8) -> Result<(u8, Progress), PersistError> {
    let flags = reader.flags(own | TOLD | RISING | HITS | REFERENCE)?;
    let progress = Progress {
        told: flags & TOLD != 0,
        rising: flags & RISING != 0,
        hits: if flags & HITS != 0 { reader.number_u32()? } else { 0 },
        reference: if flags & REFERENCE != 0 { reader.decimal()? } else { Default::default() },
    };
    Ok((flags, progress))
}

fn put_schedule(schedule: &Schedule, out: &mut Vec<u8>) {
    put_time(schedule.newest, out);
    put_text(&schedule.currency, out);
    out.push(flag(schedule.unit.is_some(), 1));
    if let Some(unit) = &schedule.unit {
        put_text(unit, out);
    }
    put_number(schedule.labels.len() as u128, out);
    for (name, value) in schedule.labels.iter() {
        put_text(name, out);
        put_text(value, out);
    }
    put_number(schedule.slots.len() as u128, out);
    schedule.slots.iter().for_each(|slot| put_slot(slot, out));
    put_number(schedule.rules.len() as u128, out);
    for rule in &schedule.rules {
        put_rule(&rule.state, out);
        put_number(rule.told.len() as u128, out);
        for told in &rule.told {
            put_span(told.span, out);
            out.push(flag(told.alerted, 1));
        }
    }
}

fn schedule(reader: &mut Reader<'_>) -> Result<Schedule, PersistError> {
    let newest = reader.time()?;
    let currency = reader.text()?.into();
    let unit = if reader.flags(1)? != 0 { Some(reader.text()?.into()) } else { None };
    let mut labels = Labels::new();
    for _ in 0..reader.count()? {
        labels.set(reader.text()?.to_owned(), reader.text()?.to_owned());
    }
    let slots = many(reader, slot)?;
    if !slots.is_sorted_by(|a, b| a.slot < b.slot) {
        return Err(broken("its slots are not in order"));
    }
    let rules = many(reader, |reader| Ok(SlotRule { state: rule(reader)?, told: many(reader, told)? }))?;
    Ok(Schedule { newest, currency, unit, labels, slots, rules: rules.into_boxed_slice(), bound: Cached(0) })
}

fn put_slot(slot: &SlotState, out: &mut Vec<u8>) {
    out.push(flag(slot.base.is_some(), BASE) | flag(!slot.moves.is_empty(), MOVES));
    put_span(slot.slot, out);
    put_time(slot.observed_at, out);
    put_prices(slot.total, out);
    if let Some(base) = &slot.base {
        put_prices(**base, out);
    }
    if !slot.moves.is_empty() {
        put_number(slot.moves.len() as u128, out);
        for (id, progress) in &slot.moves {
            out.extend_from_slice(&id.to_le_bytes());
            put_progress(progress, 0, out);
        }
    }
}

fn slot(reader: &mut Reader<'_>) -> Result<SlotState, PersistError> {
    let flags = reader.flags(BASE | MOVES)?;
    let one = |reader: &mut Reader<'_>| Ok((reader.id()?, progress(reader, 0)?.1));
    Ok(SlotState {
        slot: span(reader)?,
        observed_at: reader.time()?,
        total: prices(reader)?,
        base: base(flags, reader)?,
        moves: if flags & MOVES != 0 { many(reader, one)? } else { Vec::new() },
    })
}

fn told(reader: &mut Reader<'_>) -> Result<Told, PersistError> {
    Ok(Told { span: span(reader)?, alerted: reader.flags(1)? != 0 })
}

/// Start and length.
fn put_span(slot: Slot, out: &mut Vec<u8>) {
    put_time(slot.start, out);
    put_signed(slot.end.since(slot.start), out);
}

fn span(reader: &mut Reader<'_>) -> Result<Slot, PersistError> {
    let start = reader.time()?;
    Ok(Slot { start, end: start.plus(reader.signed()?) })
}

fn many<'a, T>(
    reader: &mut Reader<'a>,
    mut one: impl FnMut(&mut Reader<'a>) -> Result<T, PersistError>,
) -> Result<Vec<T>, PersistError> {
    let count = reader.count()?;
    // `count` is at most as large as the bytes that are left; a thing may be larger in memory.
    let mut all = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        all.push(one(reader)?);
    }
    Ok(all)
}
