//! How far a group is behind.
//!
//! Between records lie marks of transactions, which nobody reads: the difference of two offsets is more than the
//! records between them. So they are looked at, each once: what was seen is remembered until the group has passed it.
//! Behind a long backlog only its begin is looked at, and the rest is told by how dense records lie there.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::asker::ASK;
use super::ear::Ear;
use super::log::Shared;
use super::trouble::explain;
use crate::{Error, PartitionLag, Result, Topic};

/// Offsets that are looked at when a group is asked about for the first time, and later.
const FIRST_LOOK: u64 = 10_000;
const LOOK: u64 = 1_000;
/// Offsets that are looked at to tell how dense records lie.
const SAMPLE: u64 = 500;
/// Longest time for looking at one partition.
const LOOKING: Duration = Duration::from_secs(2);
/// Most clients and partitions that are remembered; beyond, all are forgotten.
const CLIENTS: usize = 16;
const WINDOWS: usize = 4_096;

/// What is remembered from one question to the next.
#[derive(Default)]
pub(super) struct Lags {
    /// Clients by group: a position is told to a client of its group.
    askers: HashMap<String, BaseConsumer<Ear>>,
    reader: Option<BaseConsumer<Ear>>,
    windows: HashMap<(String, Topic, u32), Window>,
}

/// Records that lie before a group.
#[derive(Debug, Default)]
struct Window {
    /// Offsets of records, from and to, and their time.
    runs: VecDeque<(u64, u64, Time)>,
    /// Where the group stood.
    position: u64,
    /// What lies between there and here is known.
    known_to: u64,
    /// Position and end when it was last looked: while neither moves there is nothing new to see, because the end of
    /// a transaction moves the end too.
    looked: Option<(u64, u64)>,
}

impl Window {
    /// Forgets what the group has passed.
    fn pass(&mut self, position: u64) {
        while self.runs.front().is_some_and(|(_, end, _)| *end <= position) {
            self.runs.pop_front();
        }
        if let Some(first) = self.runs.front_mut() {
            first.0 = first.0.max(position);
        }
        self.known_to = self.known_to.max(position);
        self.position = position;
    }

    fn add(&mut self, offset: u64, time: Time) {
        match self.runs.back_mut() {
            Some((_, end, of)) if *end == offset && *of == time => *end += 1,
            _ => self.runs.push_back((offset, offset + 1, time)),
        }
        self.known_to = offset + 1;
    }

    fn records(&self) -> u64 {
        self.runs.iter().map(|(start, end, _)| end - start).sum()
    }

    /// Records that may be expected among so many offsets behind what is known.
    fn expected(&self, position: u64, offsets: u64) -> u64 {
        let span = self.known_to.saturating_sub(position).max(1);
        (u128::from(offsets) * u128::from(self.records()) / u128::from(span)) as u64
    }
}

pub(super) fn lag(log: &Shared, group: &str, topic: Topic) -> Result<Vec<PartitionLag>> {
    let mut lags = log.lags();
    if lags.windows.len() > WINDOWS {
        lags.windows.clear();
    }
    let committed = lags.committed(log, group, topic)?;
    let mut lag = Vec::with_capacity(committed.len());
    for (partition, position) in (0..).zip(committed) {
        let (first, end) = log.ends(topic, partition)?;
        let from = position.unwrap_or(first).max(first);
        lag.push(lags.of(log, group, topic, partition, from, end)?);
    }
    Ok(lag)
}

impl Lags {
    /// Where the group stands in every partition.
    fn committed(&mut self, log: &Shared, group: &str, topic: Topic) -> Result<Vec<Option<u64>>> {
        let doing = format!("cannot ask where `{group}` stands");
        let group = log.group(group);
        if !self.askers.contains_key(&group) {
            if self.askers.len() >= CLIENTS {
                self.askers.clear();
            }
            let mut config = log.connection.admin();
            config.set("group.id", &group);
            let asker =
                config.create_with_context(Ear::default()).map_err(|error| explain(&doing, &error))?;
            self.askers.insert(group.clone(), asker);
        }
        let Some(asker) = self.askers.get(&group) else { return Ok(Vec::new()) };
        let mut list = TopicPartitionList::new();
        list.add_partition_range(log.name(topic), 0, log.partitions(topic) as i32 - 1);
        let found = asker.committed_offsets(list, ASK);
        // The reasons wait in the client's queue; nobody else empties it.
        while asker.poll(Duration::ZERO).is_some() {}
        let found = found.map_err(|error| asker.context().explain(&doing, &error))?;
        let position = |offset| match offset {
            Offset::Offset(offset) => Some(offset.max(0) as u64),
            _ => None,
        };
        Ok(found.elements().iter().map(|element| position(element.offset())).collect())
    }

    fn of(
        &mut self,
        log: &Shared,
        group: &str,
        topic: Topic,
        partition: u32,
        from: u64,
        end: u64,
    ) -> Result<PartitionLag> {
        let key = (group.to_owned(), topic, partition);
        let (mut window, most) = match self.windows.remove(&key) {
            // A group that was put back stands before what is remembered.
            Some(window) if window.position <= from => (window, LOOK),
            _ => (Window::default(), FIRST_LOOK),
        };
        window.pass(from);
        let unknown = end.saturating_sub(window.known_to);
        let moved = window.looked.replace((from, end)) != Some((from, end));
        if moved && unknown > 0 && (unknown <= most || window.known_to < from + SAMPLE) {
            let count = if unknown <= most { unknown } else { SAMPLE };
            self.look(log, topic, partition, window.known_to + count, &mut window)?;
        }
        let mut records = window.records();
        if unknown > most {
            records += window.expected(from, end.saturating_sub(window.known_to));
        }
        let oldest = window.runs.front().map(|(_, _, time)| *time);
        self.windows.insert(key, window);
        Ok(PartitionLag { partition, records, oldest })
    }

    /// Looks at records behind what the window knows, up to an offset.
    fn look(
        &mut self,
        log: &Shared,
        topic: Topic,
        partition: u32,
        end: u64,
        window: &mut Window,
    ) -> Result<()> {
        let doing = format!("cannot look at `{}`", log.name(topic));
        if self.reader.is_none() {
            let mut config = log.connection.reader(&log.id);
            // A little at a time: most of what is there is of no interest.
            config.set("queued.max.messages.kbytes", "256").set("fetch.message.max.bytes", "131072");
            let reader =
                config.create_with_context(Ear::default()).map_err(|error| explain(&doing, &error))?;
            self.reader = Some(reader);
        }
        let Some(reader) = &self.reader else { return Ok(()) };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(log.name(topic), partition as i32, Offset::Offset(window.known_to as i64))
            .and_then(|()| reader.assign(&list))
            .map_err(|error| explain(&doing, &error))?;
        let deadline = Instant::now() + LOOKING;
        while window.known_to < end && Instant::now() < deadline {
            match reader.poll(Duration::from_millis(50)) {
                Some(Ok(message)) if (message.offset() as u64) < end => {
                    let time = Time::from_millis(message.timestamp().to_millis().unwrap_or_default());
                    window.add(message.offset() as u64, time);
                }
                Some(Ok(_)) => window.known_to = end,
                // Behind the last record there may be marks of transactions, or one that is open.
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => match reader.context().explain(&doing, &error) {
                    Error::Retry(why) => tracing::debug!("{why}"),
                    other => return Err(other),
                },
                None => {}
            }
        }
        reader.unassign().map_err(|error| explain(&doing, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_records_and_forgets_what_was_passed() {
        let (early, late) = (Time::from_millis(1), Time::from_millis(2));
        let mut window = Window::default();
        window.pass(10);
        // Two transactions of three records with a mark behind each.
        [10, 11, 12].into_iter().for_each(|offset| window.add(offset, early));
        [14, 15, 16].into_iter().for_each(|offset| window.add(offset, late));
        assert_eq!((window.records(), window.known_to, window.runs.len()), (6, 17, 2));
        assert_eq!(window.expected(10, 700), 600);
        window.pass(12);
        assert_eq!((window.records(), window.runs.front().copied()), (4, Some((12, 13, early))));
        window.pass(13);
        assert_eq!((window.records(), window.runs.front().copied()), (3, Some((14, 17, late))));
        window.pass(17);
        assert_eq!((window.records(), window.runs.front()), (0, None));
        window.pass(100);
        assert_eq!(window.known_to, 100);
    }
}
