//! What happened, in one sentence without markup.

use std::fmt::Write;

use pricemonitor_model::{Condition, Decimal, PriceKind, Rule, Slot, Time, Transition};

use crate::hit::{About, Hit};

/// `A Band · Section B: 120.00 -> 84.00 USD (-30.0 %)` and its like.
pub(crate) fn sentence(hit: &Hit, rule: &Rule, about: &About<'_>, percent: Option<Decimal>) -> String {
    let mut text = String::with_capacity(96);
    subject(about, &mut text);
    let unit = about.unit.as_deref().unwrap_or(&about.currency);
    let kind = match rule.price {
        PriceKind::Total => "",
        PriceKind::Base => " before fees",
    };
    let (price, reference) = (hit.price, hit.reference);
    // Writing into a `String` cannot fail.
    let _ = match (&rule.condition, hit.transition) {
        (Condition::Move { .. }, _) => {
            write!(text, "{reference} -> {price} {unit}{kind}").and_then(|()| match percent {
                Some(tiny) if tiny.is_zero() => text.write_str(" (< 0.1 %)"),
                Some(percent) => write!(text, " ({percent:+} %)"),
                None => Ok(()),
            })
        }
        (Condition::Level { side, level, .. }, Transition::Firing) => {
            write!(text, "{price} {unit}{kind}, {} {level}", side.as_str())
        }
        (Condition::Level { side, level, .. }, Transition::Resolved) => {
            write!(text, "{price} {unit}{kind}, no longer {} {level}", side.as_str())
        }
    };
    if let Some(slot) = hit.slot {
        span(slot, &mut text);
    }
    text
}

/// Event and section where the observation has them, else the item.
fn subject(about: &About<'_>, text: &mut String) {
    match (about.labels.get("event"), about.labels.get("section")) {
        (Some(event), Some(section)) => text.extend([event, " · ", section]),
        (Some(event), None) => text.push_str(event),
        (None, _) => text.push_str(&about.item),
    }
    text.push_str(": ");
}

/// `, 2026-01-04 22:00 to 2026-01-05 01:00 UTC`; the second date only where it is another.
fn span(slot: Slot, text: &mut String) {
    let (start, end) = (minute(slot.start), minute(slot.end));
    let end = end.strip_prefix(&start[..start.len().min(11)]).unwrap_or(&end);
    let _ = write!(text, ", {start} to {end} UTC");
}

fn minute(time: Time) -> String {
    let mut text = time.to_string().replace('T', " ");
    // `2026-01-04 22:00:00.000Z` without seconds.
    text.truncate(text.len().saturating_sub(8));
    text
}
