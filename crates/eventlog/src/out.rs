//! What a fold writes in its transaction.

use crate::{Topic, Write};

/// What a fold writes in the running transaction. Everything lies in one buffer, which is kept from batch to batch, so
/// that a record costs no memory of its own.
#[derive(Debug, Default)]
pub struct Out {
    bytes: Vec<u8>,
    records: Vec<Place>,
    state: Vec<Place>,
}

/// Where a record lies in the buffer: its key, and behind it its value.
#[derive(Clone, Copy, Debug)]
struct Place {
    topic: Topic,
    partition: Option<u32>,
    start: usize,
    /// End of the key; `None` without one.
    key: Option<usize>,
    /// End of the value; `None` for a tombstone.
    value: Option<usize>,
}

/// A record that is to be written. Borrows from [`Out`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<'o> {
    /// Topic.
    pub topic: Topic,
    /// Partition, for topics whose partitions mean something; else the key decides.
    pub partition: Option<u32>,
    /// Key.
    pub key: Option<&'o [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'o [u8]>,
}

impl<'o> Sent<'o> {
    /// The record `write` for `topic`.
    pub(crate) fn of(topic: Topic, write: &'o Write) -> Sent<'o> {
        let Write { partition, key, value } = write;
        Sent { topic, partition: *partition, key: key.as_deref(), value: value.as_deref() }
    }
}

impl Out {
    /// Writes a record to `topic`.
    pub fn send(&mut self, topic: Topic, write: Write) {
        self.record(topic, write.partition, write.key.as_deref(), write.value.as_deref());
    }

    /// Writes a record to `topic`. Without a partition the key decides.
    pub fn record(&mut self, topic: Topic, partition: Option<u32>, key: Option<&[u8]>, value: Option<&[u8]>) {
        let place = self.put(
            topic,
            partition,
            key,
            value.map(|value| move |bytes: &mut Vec<u8>| bytes.extend(value)),
        );
        self.records.push(place);
    }

    /// Writes a record to `topic` whose value `encode` appends to the buffer that it is given.
    pub fn encode(&mut self, topic: Topic, key: Option<&[u8]>, encode: impl FnOnce(&mut Vec<u8>)) {
        let place = self.put(topic, None, key, Some(encode));
        self.records.push(place);
    }

    /// Sets or removes a key of the partition's state.
    pub fn state(&mut self, key: &[u8], value: Option<impl FnOnce(&mut Vec<u8>)>) {
        let place = self.put(Topic::State, None, Some(key), value);
        self.state.push(place);
    }

    /// Records for other topics, in the order written.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Sent<'_>> {
        self.records.iter().map(|place| self.sent(place))
    }

    /// Changed state of the batch's partition: key and new value, `None` removes it.
    pub fn states(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.state.iter().map(|place| {
            let sent = self.sent(place);
            (sent.key.unwrap_or_default(), sent.value)
        })
    }

    /// Forgets everything, keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.state.clear();
    }

    fn put(
        &mut self,
        topic: Topic,
        partition: Option<u32>,
        key: Option<&[u8]>,
        value: Option<impl FnOnce(&mut Vec<u8>)>,
    ) -> Place {
        let start = self.bytes.len();
        let key = key.map(|key| {
            self.bytes.extend_from_slice(key);
            self.bytes.len()
        });
        let value = value.map(|encode| {
            encode(&mut self.bytes);
            self.bytes.len()
        });
        Place { topic, partition, start, key, value }
    }

    fn sent(&self, place: &Place) -> Sent<'_> {
        let behind = place.key.unwrap_or(place.start);
        Sent {
            topic: place.topic,
            partition: place.partition,
            key: place.key.map(|end| &self.bytes[place.start..end]),
            value: place.value.map(|end| &self.bytes[behind..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_written() {
        let mut out = Out::default();
        for _ in 0..2 {
            out.clear();
            out.record(Topic::Processed, Some(3), Some(b"k"), Some(b"v"));
            out.record(Topic::Alerts, None, None, Some(b""));
            out.encode(Topic::DeadLetters, Some(b""), |bytes| bytes.extend(b"encoded"));
            out.state(b"a", Some(|bytes: &mut Vec<u8>| bytes.extend(b"1")));
            out.state(b"b", None::<fn(&mut Vec<u8>)>);
        }
        let sent = |topic, partition, key, value| Sent { topic, partition, key, value };
        assert_eq!(
            out.records().collect::<Vec<_>>(),
            [
                sent(Topic::Processed, Some(3), Some(&b"k"[..]), Some(&b"v"[..])),
                sent(Topic::Alerts, None, None, Some(b"")),
                sent(Topic::DeadLetters, None, Some(b""), Some(b"encoded")),
            ]
        );
        assert_eq!(out.states().collect::<Vec<_>>(), [(&b"a"[..], Some(&b"1"[..])), (b"b", None)]);
    }
}
