//! What of a document is new.
//!
//! The checkpoint of a document source holds the hash of the last document that was appended, what
//! the web server said about it, and each time slot that can still change: those of the last
//! document, and those that ended less than 48 hours ago even if a later document left them out. A
//! slot is sent when it is not there or stands there with another price, end or unit. Prices
//! without a slot are all sent with every changed document: that they were seen again is news.

use std::collections::BTreeMap;

use pricemonitor_model::{Millis, Observation, Time};
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::source::{Snapshot, SourceError};

/// How long after its end a slot that no document shows any more is remembered.
const REMEMBERED: Millis = 48 * 3600 * 1000;

const KIND: &str = "document";
const VERSION: u32 = 1;

/// What a look at a document hands to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    v: u32,
    kind: String,
    /// Hash of the document together with how it was read.
    pub(crate) hash: String,
    /// What the web server said, and to whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) web: Option<Web>,
    /// Item -> its slots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    items: BTreeMap<String, Item>,
}

/// How a web server lets itself be asked for what changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Web {
    /// Hash of address and reader: for another one the rest means nothing.
    pub(crate) of: String,
    /// `ETag`, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// `Last-Modified`, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modified: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Item {
    /// Currency and unit of all its slots.
    unit: String,
    /// Start, milliseconds to the end, price (and base price, if any) as digits; by start.
    slots: BTreeMap<i64, (i64, String)>,
}

impl Checkpoint {
    /// Reads what an earlier look left; nothing for a checkpoint of another kind or version, which
    /// means that every slot is sent again.
    pub(crate) fn read(bytes: Option<&[u8]>, source: &str) -> Option<Checkpoint> {
        let bytes = bytes?;
        match serde_json::from_slice::<Checkpoint>(bytes) {
            Ok(known) if known.v == VERSION && known.kind == KIND => Some(known),
            _ => {
                tracing::warn!(source, "the checkpoint is not a document's: everything counts as new");
                None
            }
        }
    }
}

/// Makes the snapshot that takes the checkpoint from `before` to this document.
///
/// # Errors
/// None that is known; a checkpoint that cannot be written is told as `malformed`.
pub(crate) fn snapshot(
    document: Document,
    hash: String,
    web: Option<Web>,
    before: Option<&Checkpoint>,
    at: Time,
) -> Result<Snapshot, SourceError> {
    let mut items = BTreeMap::<String, Item>::new();
    let scheduled = document.observations.iter().any(|o| o.slot.is_some());
    let mut observations = document.observations;
    observations.retain(|o| o.slot.is_none() || remember(&mut items, before, o));
    if let Some(before) = before {
        keep(&mut items, before, at);
    }
    let next = Checkpoint { v: VERSION, kind: KIND.to_owned(), hash, web, items };
    let checkpoint = serde_json::to_vec(&next)
        .map_err(|error| SourceError::malformed(format!("the checkpoint cannot be written: {error}")))?;
    // Of a schedule only what changed is sent, so it is never all that the source has.
    Ok(Snapshot { observations, complete: document.complete && !scheduled, checkpoint })
}

/// Notes the slot of `o`; says whether it is news.
fn remember(items: &mut BTreeMap<String, Item>, before: Option<&Checkpoint>, o: &Observation<'_>) -> bool {
    let Some(slot) = o.slot else { return true };
    let unit = match &o.unit {
        Some(unit) => format!("{} {unit}", o.currency),
        None => o.currency.clone().into_owned(),
    };
    // Without trailing zeros: `10.0` after `10.00` is no revision.
    let mut price = o.price.normalize().to_string();
    if let Some(base) = o.base {
        price.push(' ');
        price.push_str(&base.normalize().to_string());
    }
    let value = (slot.end.since(slot.start), price);
    let start = slot.start.millis();
    let old = before.and_then(|before| before.items.get(&*o.item));
    let known = old.is_some_and(|old| old.unit == unit && old.slots.get(&start) == Some(&value));
    let item = items.entry(o.item.clone().into_owned()).or_default();
    item.unit = unit;
    item.slots.insert(start, value);
    !known
}

/// Carries over what this document does not show but which is not long past.
fn keep(items: &mut BTreeMap<String, Item>, before: &Checkpoint, at: Time) {
    for (name, old) in &before.items {
        let recent = old.slots.iter().filter(|(start, (length, _))| {
            at.since(Time::from_millis(start.saturating_add(*length))) <= REMEMBERED
        });
        let recent: Vec<_> = recent.collect();
        if recent.is_empty() {
            continue;
        }
        let item =
            items.entry(name.clone()).or_insert_with(|| Item { unit: old.unit.clone(), ..Item::default() });
        if item.unit != old.unit {
            continue;
        }
        for (start, value) in recent {
            item.slots.entry(*start).or_insert_with(|| value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pricemonitor_model::{Slot, price::parse_decimal};

    const HOUR: Millis = 3_600_000;
    const AT: Time = Time::from_seconds(1_700_000_000);

    fn slot(item: &'static str, hour: i64, price: &str) -> Observation<'static> {
        let mut o = Observation::new("spot", item, parse_decimal(price).unwrap(), "EUR", AT);
        let start = AT.plus(hour * HOUR);
        o.slot = Some(Slot { start, end: start.plus(HOUR) });
        o
    }

    fn look(slots: &[Observation<'static>], before: Option<&[u8]>, at: Time) -> (Vec<String>, Vec<u8>) {
        let before = Checkpoint::read(before, "spot");
        let document = Document { observations: slots.to_vec(), complete: true };
        let snapshot = snapshot(document, "h".into(), None, before.as_ref(), at).unwrap();
        assert!(!snapshot.complete);
        let sent = snapshot.observations.iter();
        let sent =
            sent.map(|o| format!("{}{:+}={}", o.item, o.slot.unwrap().start.since(AT) / HOUR, o.price));
        (sent.collect(), snapshot.checkpoint)
    }

    #[test]
    fn only_new_and_revised_slots_are_sent() {
        let (sent, c) = look(&[slot("FI", 0, "1.0"), slot("FI", 1, "2"), slot("SE", 0, "3")], None, AT);
        assert_eq!(sent, ["FI+0=1.0", "FI+1=2", "SE+0=3"]);
        let (sent, c) =
            look(&[slot("FI", 0, "1.00"), slot("FI", 1, "2.5"), slot("FI", 2, "4")], Some(&c), AT);
        assert_eq!(sent, ["FI+1=2.5", "FI+2=4"]);
        // A document that leaves slots out does not forget those that can still change.
        let (sent, c) = look(&[slot("FI", 2, "4")], Some(&c), AT);
        assert!(sent.is_empty());
        let (sent, _) = look(&[slot("FI", 1, "2.5"), slot("SE", 0, "3.1")], Some(&c), AT);
        assert_eq!(sent, ["SE+0=3.1"]);
    }

    #[test]
    fn another_length_or_unit_is_a_revision() {
        let (_, c) = look(&[slot("FI", 0, "1")], None, AT);
        let mut quarter = slot("FI", 0, "1");
        quarter.slot = quarter.slot.map(|s| Slot { end: s.start.plus(HOUR / 4), ..s });
        assert_eq!(look(&[quarter], Some(&c), AT).0.len(), 1);
        let mut unit = slot("FI", 0, "1");
        unit.unit = Some("EUR/MWh".into());
        assert_eq!(look(&[unit], Some(&c), AT).0.len(), 1);
    }

    #[test]
    fn old_slots_leave_the_checkpoint_once_the_document_leaves_them_out() {
        let old = [slot("FI", -100, "1"), slot("FI", -49, "2"), slot("FI", -48, "3"), slot("FI", 5, "4")];
        let (sent, c) = look(&old, None, AT);
        assert_eq!(sent.len(), 4);
        // Still in the document, so still known.
        let (sent, c) = look(&old, Some(&c), AT.plus(1000 * HOUR));
        assert!(sent.is_empty());
        let (_, c) = look(&[slot("FI", 6, "5")], Some(&c), AT);
        let text = String::from_utf8(c).unwrap();
        for (price, kept) in [("1", false), ("2", true), ("3", true), ("4", true), ("5", true)] {
            assert_eq!(text.contains(&format!("[3600000,\"{price}\"]")), kept, "{text}");
        }
    }

    #[test]
    fn an_unreadable_checkpoint_sends_everything_again() {
        for odd in [&b""[..], b"[]", b"{\"v\":2}", br#"{"v":1,"kind":"simulator","step":3}"#] {
            assert_eq!(look(&[slot("FI", 0, "1")], Some(odd), AT).0.len(), 1);
        }
    }
}
