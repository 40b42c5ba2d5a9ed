//! Looking through dead letters, and putting them back.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use pricemonitor_eventlog::{EventLog, Record, Result, Topic, Write};
use pricemonitor_model::wire::{self, OnDeadLetters};
use pricemonitor_model::{Coordinates, Repeated, Retried, Time};

/// Letters that are put back in one transaction.
const AT_ONCE: usize = 500;
/// Bytes after which a transaction ends early.
const BYTES_AT_ONCE: usize = 4 << 20;

/// Where a letter stands on the dead letter topic; written `partition:offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// Partition of the dead letter topic.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: u64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<LetterId, String> {
        let parts = text.split_once(':').and_then(|(partition, offset)| {
            Some(LetterId { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        });
        parts.ok_or_else(|| format!("`{text}` is no letter: its id is partition:offset, such as 0:17"))
    }
}

/// A dead letter as it stands on the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its place.
    pub id: LetterId,
    /// When the processor wrote it.
    pub at: Time,
    /// A word for filters: `malformed`, `future` ...
    pub reason: String,
    /// What exactly is wrong, for people.
    pub detail: String,
    /// The raw record.
    pub coordinates: Coordinates,
    /// When the log took the raw record.
    pub log_time: Time,
    /// The raw record's key.
    pub key: Option<Repeated<'static>>,
    /// The raw record's value.
    pub payload: Option<Repeated<'static>>,
    /// Bytes of the whole value.
    pub payload_bytes: u64,
    /// Whether key or payload is only the beginning.
    pub truncated: bool,
    /// When it was put back last; `None`: never.
    pub retried: Option<Time>,
}

/// Which letters.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Only with this reason.
    pub reason: Option<String>,
    /// Only those that the processor wrote then or later.
    pub since: Option<Time>,
    /// Only these. An empty list means all.
    pub ids: Vec<LetterId>,
}

impl Select {
    fn takes(&self, letter: &Letter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
            && self.since.is_none_or(|since| letter.at >= since)
            && (self.ids.is_empty() || self.ids.contains(&letter.id))
    }
}

/// What a look through the topic found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The newest that were asked for, oldest first.
    pub letters: Vec<Letter>,
    /// How many there are that were asked for.
    pub total: u64,
    /// Records on the topic that are no dead letters of a version that this program knows.
    pub unreadable: u64,
}

/// Finds letters. Keeps no more than `limit` in memory, the newest of each partition.
///
/// # Errors
/// When the log cannot be read.
pub fn list(log: &impl EventLog, select: &Select, limit: usize) -> Result<Listed> {
    let mut listed = Listed::default();
    for partition in 0..log.partitions(Topic::DeadLetters) {
        let mut kept: VecDeque<Letter> = VecDeque::new();
        scan(log, partition, &mut |on| {
            match on {
                On::Letter(letter) if select.takes(&letter) => {
                    listed.total += 1;
                    if kept.len() >= limit {
                        kept.pop_front();
                    }
                    if limit > 0 {
                        kept.push_back(letter);
                    }
                }
                On::Letter(_) => {}
                On::Retried(mark) => {
                    let marked = kept.binary_search_by_key(&mark.offset, |letter| letter.id.offset);
                    if let Some(letter) = marked.ok().and_then(|at| kept.get_mut(at)) {
                        letter.retried = Some(mark.at);
                    }
                }
                On::Unreadable => listed.unreadable += 1,
            }
            Ok(())
        })?;
        listed.letters.extend(kept);
    }
    let too_many = listed.letters.len().saturating_sub(limit);
    if too_many > 0 {
        listed.letters.sort_by_key(|letter| (letter.at, letter.id));
        listed.letters.drain(..too_many);
    }
    Ok(listed)
}

/// How to put letters back.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// Which.
    pub select: Select,
    /// Also those that were put back before.
    pub again: bool,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What came of putting letters back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Put back on the raw topic (or, in a dry run, what would be). At most a thousand ids are named.
    pub done: Vec<LetterId>,
    /// How many those are.
    pub count: u64,
    /// Left alone: put back before.
    pub before: u64,
    /// Left alone: key or payload is not whole.
    pub cut: Vec<LetterId>,
    /// Asked for by id, but not there.
    pub missing: Vec<LetterId>,
}

/// Most ids that an answer names.
const NAMED: usize = 1000;

/// Puts letters back on the raw topic, each with its key and a mark on the dead letter topic, in one
/// transaction. A letter that is not whole is left alone, as is one that was put back before.
///
/// # Guarantees
/// Record and mark are written together or not at all. Two retries of the same letter at the same moment may both
/// put it back.
///
/// # Errors
/// When the log cannot be read or written. What was put back until then is marked.
pub fn retry(log: &impl EventLog, how: &Retry, at: Time) -> Result<PutBack> {
    let mut told = PutBack { missing: how.select.ids.clone(), ..PutBack::default() };
    for partition in 0..log.partitions(Topic::DeadLetters) {
        let before = if how.again { HashSet::new() } else { marks(log, partition)? };
        let mut writes = Writes::default();
        scan(log, partition, &mut |on| {
            let On::Letter(letter) = on else { return Ok(()) };
            if !how.select.takes(&letter) {
                return Ok(());
            }
            told.missing.retain(|id| *id != letter.id);
            if before.contains(&letter.id.offset) {
                told.before += 1;
            } else if letter.truncated {
                named(&mut told.cut, letter.id);
            } else {
                named(&mut told.done, letter.id);
                told.count += 1;
                writes.add(letter, at);
            }
            if writes.is_full() { writes.put(log, how.dry_run) } else { Ok(()) }
        })?;
        writes.put(log, how.dry_run)?;
    }
    Ok(told)
}

fn named(ids: &mut Vec<LetterId>, id: LetterId) {
    if ids.len() < NAMED {
        ids.push(id);
    }
}

/// A transaction that is being put together.
#[derive(Default)]
struct Writes {
    records: Vec<(Topic, Write)>,
    bytes: usize,
}

impl Writes {
    fn add(&mut self, letter: Letter, at: Time) {
        let bytes = |part: Option<Repeated<'_>>| part.map(|part| part.bytes().to_vec());
        let mark = Retried {
            partition: letter.id.partition,
            offset: letter.id.offset,
            coordinates: letter.coordinates,
            at,
        };
        let mut value = Vec::new();
        wire::write_retried(&mark, &mut value);
        let (key, payload) = (bytes(letter.key), bytes(letter.payload));
        self.bytes += value.len() + key.as_ref().map_or(0, Vec::len) + payload.as_ref().map_or(0, Vec::len);
        self.records.push((Topic::Raw, Write { partition: None, key, value: payload }));
        let place = Some(letter.id.partition);
        self.records.push((Topic::DeadLetters, Write { partition: place, key: None, value: Some(value) }));
    }

    fn is_full(&self) -> bool {
        self.records.len() >= 2 * AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }

    fn put(&mut self, log: &impl EventLog, dry_run: bool) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        self.bytes = 0;
        if records.is_empty() || dry_run {
            return Ok(());
        }
        log.put(&records).map(drop)
    }
}

/// What is read of the topic.
enum On {
    Letter(Letter),
    Retried(Retried),
    Unreadable,
}

/// Offsets of letters that were put back.
fn marks(log: &impl EventLog, partition: u32) -> Result<HashSet<u64>> {
    let mut marks = HashSet::new();
    scan(log, partition, &mut |on| {
        if let On::Retried(mark) = on {
            marks.insert(mark.offset);
        }
        Ok(())
    })?;
    Ok(marks)
}

/// Shows everything on a partition of the topic.
fn scan(log: &impl EventLog, partition: u32, each: &mut dyn FnMut(On) -> Result<()>) -> Result<()> {
    let end = log.scan(Topic::DeadLetters, partition, 0, None, &mut |record| {
        if let Some(on) = read(partition, record) {
            each(on)?;
        }
        Ok(ControlFlow::Continue(()))
    });
    end.map(drop)
}

/// `None`: somebody else's.
fn read(partition: u32, record: &Record<'_>) -> Option<On> {
    let letter = match wire::read_dead_letters(record.value.unwrap_or_default()) {
        Ok(OnDeadLetters::Letter(letter)) => letter,
        Ok(OnDeadLetters::Retried(retried)) => return Some(On::Retried(retried)),
        Ok(OnDeadLetters::Other) => return None,
        Err(_) => return Some(On::Unreadable),
    };
    Some(On::Letter(Letter {
        id: LetterId { partition, offset: record.offset },
        at: record.timestamp,
        reason: letter.reason.into_owned(),
        detail: letter.detail.into_owned(),
        coordinates: letter.coordinates,
        log_time: letter.log_time,
        key: letter.key.map(Repeated::into_owned),
        payload: letter.payload.map(Repeated::into_owned),
        payload_bytes: letter.payload_bytes,
        truncated: letter.truncated,
        retried: None,
    }))
}
