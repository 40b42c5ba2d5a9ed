//! Messages as they came, sorted by what each owned partition has of them.

use std::collections::BTreeMap;

use pricemonitor_model::Time;

use super::native::{Message, Messages};
use crate::Record;

/// A record at which a partition stops, because this program is too old for it.
#[derive(Clone, Debug)]
pub(super) struct Barrier {
    pub(super) offset: u64,
    /// For people.
    pub(super) why: String,
}

/// What came of one partition.
#[derive(Debug)]
pub(super) struct Part<'m> {
    pub(super) partition: u32,
    /// In the order of their offsets; may be empty where only a position moves.
    pub(super) records: Vec<Record<'m>>,
    /// From where on something may still come.
    pub(super) end: u64,
    /// Its barrier was reached: nothing more may be read.
    pub(super) stops: bool,
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Parts<'m> {
    /// Partitions that go on from somewhere else than before.
    pub(super) parts: Vec<Part<'m>>,
    /// Records that lie before the position of their partition.
    pub(super) skipped: u64,
}

impl<'m> Parts<'m> {
    /// Sorts messages. `owned` tells from where each owned partition goes on; of others nothing is taken.
    pub(super) fn of(
        messages: &'m Messages<'_>,
        owned: &BTreeMap<u32, u64>,
        barriers: &BTreeMap<u32, Barrier>,
    ) -> Parts<'m> {
        let mut parts = Parts::default();
        // Messages come in runs of one partition.
        let mut at = usize::MAX;
        for message in messages.iter() {
            let partition = message.partition();
            if parts.parts.get(at).is_none_or(|part| part.partition != partition) {
                let Some(from) = owned.get(&partition) else { continue };
                at = parts.place(partition, *from);
            }
            let Some(part) = parts.parts.get_mut(at) else { continue };
            let offset = message.offset();
            let stops = barriers.get(&partition).filter(|barrier| offset >= barrier.offset);
            match (message.fault(), stops) {
                (Some(_), _) => {}
                (None, _) if offset < part.end => parts.skipped += 1,
                (None, Some(barrier)) => {
                    part.stops = true;
                    part.end = part.end.max(barrier.offset);
                }
                (None, None) => {
                    part.records.push(record(message));
                    part.end = offset + 1;
                }
            }
        }
        parts.parts.retain(|part| part.stops || owned.get(&part.partition) != Some(&part.end));
        parts
    }

    fn place(&mut self, partition: u32, from: u64) -> usize {
        let known = self.parts.iter().position(|part| part.partition == partition);
        known.unwrap_or_else(|| {
            self.parts.push(Part { partition, records: Vec::new(), end: from, stops: false });
            self.parts.len() - 1
        })
    }
}

fn record(message: Message<'_>) -> Record<'_> {
    Record {
        offset: message.offset(),
        timestamp: Time::from_millis(message.millis()),
        key: message.key(),
        value: message.value(),
    }
}
