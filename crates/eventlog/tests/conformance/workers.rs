//! Workers that remember what they saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use pricemonitor_eventlog::{
    Batch, Error, EventLog, Fold, Member, Out, Position, Restored, Result, Sink, Stop, Table, Topic, Write,
};
use pricemonitor_model::{Incarnation, Time};

use super::{noise, until};

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub partition: u32,
    pub offset: u64,
    pub at: Time,
    pub key: Option<String>,
    pub value: Option<String>,
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

pub fn seen(batch: &Batch<'_>) -> Vec<Seen> {
    let one = |record: &pricemonitor_eventlog::Record<'_>| Seen {
        partition: batch.partition,
        offset: record.offset,
        at: record.timestamp,
        key: text(record.key),
        value: text(record.value),
    };
    batch.records.iter().map(one).collect()
}

/// Called with every batch before it is applied or written.
pub type Hook = Box<dyn FnMut(&Batch<'_>) -> Result<()> + Send>;

/// Counts records by key: the state of a key is its count, and every record yields
/// `<value>#<count>` on processed. The values `remove`, `dead` and `alert` do what they say.
#[derive(Default)]
pub struct Counter {
    pub tables: BTreeMap<u32, Table<Vec<u8>>>,
    pub log: Arc<Mutex<CounterLog>>,
    pub hook: Option<Hook>,
    /// Called when the member has settled.
    pub settling: Option<Box<dyn FnMut() + Send>>,
    /// Bytes that every processed record is filled up to.
    pub fill: usize,
    /// Bytes that every key's state is filled up to.
    pub weight: usize,
    /// Whether it knows what to do with the value `too new`.
    pub newer: bool,
}

/// What a [`Counter`] went through.
#[derive(Default, Debug)]
pub struct CounterLog {
    pub restored: BTreeMap<u32, (u64, BTreeMap<String, u64>)>,
    pub assigned: BTreeSet<u32>,
    pub commits: usize,
    pub aborts: usize,
    pub revocations: Vec<u32>,
    pub settled: bool,
}

pub fn count(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |count| u64::from_le_bytes(*count))
}

/// The error of a worker that is too old for a record.
pub fn too_new(offset: u64) -> Error {
    Error::TooNew { offset, why: format!("too new at {offset}: upgrade") }
}

impl Fold for Counter {
    fn assigned(&mut self, partition: u32, restored: Restored<'_>) -> Result<()> {
        let mut table = Table::new();
        let mut keys = BTreeMap::new();
        let next_offset = restored.next_offset;
        restored.each(|key, value| {
            table.restore(key, value).map_err(|error| Error::Worker(error.to_string()))?;
            // A key may come several times; the last one counts.
            let key = String::from_utf8(key.to_vec()).unwrap();
            match value {
                Some(value) => drop(keys.insert(key, count(value))),
                None => drop(keys.remove(&key)),
            }
            Ok(())
        })?;
        let mut log = self.log.lock().unwrap();
        log.restored.insert(partition, (next_offset, keys));
        assert!(log.assigned.insert(partition), "partition {partition} was assigned twice");
        self.tables.insert(partition, table);
        Ok(())
    }

    fn apply(&mut self, batch: &Batch<'_>, out: &mut Out) -> Result<()> {
        if let Some(hook) = &mut self.hook {
            hook(batch)?;
        }
        let table = self.tables.get_mut(&batch.partition).expect("a batch before its partition was assigned");
        for record in batch.records {
            let key = record.key.unwrap_or_default();
            let value = record.value.unwrap_or_default();
            if value == b"too new" && !self.newer {
                return Err(too_new(record.offset));
            }
            let state = table.entry(key).unwrap();
            let next = count(state) + 1;
            *state = next.to_le_bytes().to_vec();
            state.resize(self.weight.max(8), 7);
            let topic = match value {
                b"remove" => {
                    table.remove(key);
                    Topic::Processed
                }
                b"dead" => Topic::DeadLetters,
                b"alert" => Topic::Alerts,
                _ => Topic::Processed,
            };
            let mut told = format!("{}#{next}", String::from_utf8_lossy(value));
            if self.fill > 0 {
                told = format!("{told}.{}", noise(next, self.fill));
            }
            out.send(topic, Write { partition: None, key: Some(key.to_vec()), value: Some(told.into()) });
        }
        table.drain_dirty(out);
        Ok(())
    }

    fn committed(&mut self) {
        self.tables.values_mut().for_each(Table::committed);
        self.log.lock().unwrap().commits += 1;
    }

    fn aborted(&mut self) {
        self.tables.values_mut().for_each(Table::aborted);
        self.log.lock().unwrap().aborts += 1;
    }

    fn settled(&mut self) {
        self.log.lock().unwrap().settled = true;
        if let Some(settling) = &mut self.settling {
            settling();
        }
    }

    fn revoked(&mut self, partition: u32) {
        let mut log = self.log.lock().unwrap();
        assert!(log.assigned.remove(&partition), "partition {partition} was revoked without being assigned");
        log.revocations.push(partition);
        self.tables.remove(&partition);
    }
}

impl Counter {
    /// The counts by key in memory.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let entries = self.tables.values().flat_map(|table| table.iter(b"")).map(std::result::Result::unwrap);
        entries.map(|(key, value)| (String::from_utf8(key.to_vec()).unwrap(), count(&value))).collect()
    }
}

/// Runs a fold until `group` has read all of raw, then stops it.
pub fn fold_all(log: &impl EventLog, who: &Member, fold: &mut Counter) {
    fold_until(log, who, fold, "the fold has read everything", || {
        super::lag(log, &who.group, Topic::Raw) == 0
    })
    .unwrap();
}

/// Runs a fold until `done`, then stops it.
pub fn fold_until(
    log: &impl EventLog,
    who: &Member,
    fold: &mut Counter,
    what: &str,
    done: impl FnMut() -> bool,
) -> Result<()> {
    let stop = Stop::new();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| log.fold(who, fold, &stop));
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(what, done)));
        stop.stop();
        let result = running.join().unwrap();
        waited.unwrap();
        result
    })
}

/// The state of every partition as the next owner would get it: next offset and counts.
pub fn restored(log: &impl EventLog, group: &str) -> BTreeMap<u32, (u64, BTreeMap<String, u64>)> {
    let mut counter = Counter::default();
    let seen = counter.log.clone();
    let partitions = log.partitions(Topic::Raw) as usize;
    // The hook refuses, so that looking changes nothing.
    counter.hook = Some(Box::new(|_| Err(Error::Worker("only looking".to_owned()))));
    let _ = fold_until(log, &super::member(group, "one"), &mut counter, "everything is restored", || {
        seen.lock().unwrap().restored.len() == partitions
    });
    seen.lock().unwrap().restored.clone()
}

/// Writes down what it gets.
#[derive(Default)]
pub struct Notes {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub positions: BTreeMap<u32, Position>,
    pub hook: Option<Hook>,
    pub incarnation: Arc<Mutex<Option<Incarnation>>>,
    /// Most batches that came together.
    pub together: Arc<Mutex<usize>>,
    pub idled: Arc<Mutex<usize>>,
    pub revoked: Arc<Mutex<Vec<u32>>>,
}

impl Sink for Notes {
    fn position(&mut self, partition: u32) -> Result<Option<Position>> {
        Ok(self.positions.get(&partition).copied())
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        assert!(!batch.records.is_empty(), "an empty batch");
        if let Some(hook) = &mut self.hook {
            hook(batch)?;
        }
        *self.incarnation.lock().unwrap() = Some(batch.incarnation);
        self.seen.lock().unwrap().extend(seen(batch));
        let next = Position { incarnation: batch.incarnation, next_offset: batch.next_offset() };
        self.positions.insert(batch.partition, next);
        Ok(())
    }

    fn write_all(&mut self, batches: &[Batch<'_>]) -> Vec<Result<()>> {
        let most = batches.len().max(*self.together.lock().unwrap());
        *self.together.lock().unwrap() = most;
        batches.iter().map(|batch| self.write(batch)).collect()
    }

    fn advance(&mut self, partition: u32, position: Position) -> Result<()> {
        let known = self.positions.insert(partition, position);
        assert!(
            known.is_none_or(|known| known.next_offset < position.next_offset),
            "advanced to {position:?}"
        );
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        *self.idled.lock().unwrap() += 1;
        Ok(())
    }

    fn revoked(&mut self, partition: u32) {
        self.revoked.lock().unwrap().push(partition);
    }
}

/// Runs a sink until `done`, then stops it.
pub fn sink_until(
    log: &impl EventLog,
    who: &Member,
    topic: Topic,
    sink: &mut Notes,
    what: &str,
    done: impl FnMut() -> bool,
) -> Result<()> {
    let stop = Stop::new();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| log.sink(who, topic, sink, &stop));
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(what, done)));
        stop.stop();
        let result = running.join().unwrap();
        waited.unwrap();
        result
    })
}

/// Everything on `topic` that is committed, read by a group of its own.
pub fn all(log: &impl EventLog, topic: Topic) -> Vec<Seen> {
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    let who = super::member("reads-all", "one");
    // By what it saw, not by its group's lag: the group may have read all of it before.
    let total = super::lag(log, "a group that never was", topic) as usize;
    sink_until(log, &who, topic, &mut notes, "all is read", || seen.lock().unwrap().len() >= total).unwrap();
    seen.lock().unwrap().clone()
}

/// Values of one key in the order read.
pub fn values<'s>(seen: &'s [Seen], key: &str) -> Vec<&'s str> {
    seen.iter()
        .filter(|seen| seen.key.as_deref() == Some(key))
        .filter_map(|seen| seen.value.as_deref())
        .collect()
}
