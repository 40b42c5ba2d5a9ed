//! One monitor's topics in the file, and where their ends are.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use pricemonitor_model::{Incarnation, MonitorId, Time};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::bell::Bell;
use super::core::{Core, Fault, locked};
use super::group::Groups;
use super::schema;
use crate::layout::TOPICS;
use crate::{Error, Layout, Position, Result, Topic};

/// What the handles and loops of one monitor share.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) core: Arc<Core>,
    pub(super) id: MonitorId,
    pub(super) layout: Layout,
    topics: Vec<TopicInfo>,
    pub(super) streams: Vec<Stream>,
    pub(super) bell: Arc<Bell>,
    pub(super) groups: Groups,
    pub(super) progress: Mutex<Progress>,
    /// Partitions that stop in front of a record, by reader, and why.
    stops: Mutex<BTreeMap<(String, u32), String>>,
    /// Time of the newest record, so that time never runs backwards.
    last_at: AtomicI64,
}

#[derive(Debug)]
pub(super) struct TopicInfo {
    pub(super) name: String,
    pub(super) incarnation: Incarnation,
    pub(super) partitions: u32,
    /// Index of partition 0's stream.
    first: usize,
}

/// One partition of one topic. The atomics change under the writer's lock, after the commit.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: i64,
    pub(super) topic: Topic,
    pub(super) partition: u32,
    /// The oldest offset still there.
    pub(super) first: AtomicU64,
    /// The offset of the next record.
    pub(super) next: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Stream {
    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    pub(super) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }
}

/// Where every group stands, by stream and group.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) of: HashMap<(usize, String), Reached>,
    /// When sinks' positions were last written to the file.
    pub(super) stored_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    pub(super) next: u64,
    /// What the file says; less than `next` for a sink that has just written.
    pub(super) stored: u64,
    /// When it was last heard of, in log time.
    pub(super) seen: Time,
    /// Whether it has worked since this process began.
    pub(super) joined: bool,
}

impl Monitor {
    pub(super) fn open(core: &Arc<Core>, id: &MonitorId, layout: &Layout) -> Result<Monitor> {
        if !(1..=1024).contains(&layout.partitions) {
            return Err(Error::Position(format!(
                "{id}: {} partitions are not possible; 1 to 1024 are",
                layout.partitions
            )));
        }
        if !core.writes() {
            core.look(|conn| exists(conn, id, layout))?
                .map_err(|why| Error::Position(format!("`{}` {why}", core.path.display())))?;
            return core.look(|conn| loaded(conn, core, id, layout));
        }
        let now = (core.options.clock)();
        core.write(|tx| topics(tx, core, id, layout, now), |_| ())?;
        core.look(|conn| loaded(conn, core, id, layout))
    }

    pub(super) fn topic(&self, topic: Topic) -> &TopicInfo {
        &self.topics[topic as usize]
    }

    /// Index of a partition's stream. `partition` must exist.
    pub(super) fn index(&self, topic: Topic, partition: u32) -> usize {
        self.topic(topic).first + partition as usize
    }

    pub(super) fn stream(&self, topic: Topic, partition: u32) -> &Stream {
        &self.streams[self.index(topic, partition)]
    }

    pub(super) fn streams_of(&self, topic: Topic) -> &[Stream] {
        let info = self.topic(topic);
        &self.streams[info.first..info.first + info.partitions as usize]
    }

    /// The log's time now: never before that of the newest record.
    pub(super) fn now(&self) -> Time {
        let last = Time::from_millis(self.last_at.load(Ordering::Acquire));
        (self.core.options.clock)().max(last)
    }

    pub(super) fn reached_time(&self, at: Time) {
        self.last_at.fetch_max(at.millis(), Ordering::AcqRel);
    }

    /// Refuses a position that is not one in this log; nothing is ever reset by itself.
    pub(super) fn check(&self, reader: &str, index: usize, position: Position) -> Result<u64> {
        let stream = &self.streams[index];
        let topic = self.topic(stream.topic);
        let at = position.next_offset;
        let place = format!("`{reader}` on partition {} of `{}`", stream.partition, topic.name);
        if position.incarnation != topic.incarnation {
            return Err(Error::Position(format!(
                "{place} stands in another log (position of {}, the log is {}): put back the log.sqlite that belongs to it, or remove that reader's own data so that it starts anew",
                position.incarnation, topic.incarnation
            )));
        }
        if at > stream.next() {
            return Err(Error::Position(format!(
                "{place} stands at offset {at}, but the log ends at {}: it was replaced by an older copy; put back the newer log.sqlite, or the reader's data of the same time",
                stream.next()
            )));
        }
        if at < stream.first() {
            return Err(Error::Position(format!(
                "{place} stands at offset {at}, but records before {} are deleted (retention): those are lost to it; put back a copy of log.sqlite that has them, or remove that reader's own data so that it starts anew",
                stream.first()
            )));
        }
        Ok(at)
    }
}

/// Makes the topics that do not exist yet and refuses another number of partitions.
fn topics(
    tx: &Transaction<'_>,
    core: &Core,
    id: &MonitorId,
    layout: &Layout,
    now: Time,
) -> std::result::Result<(), Fault> {
    for (topic, part, _) in TOPICS {
        let partitions = layout.partitions(topic);
        let name = layout.name(id, topic);
        let found: Option<(i64, u32)> = tx
            .query_row(
                "SELECT id, partitions FROM topics WHERE monitor = ? AND topic = ?",
                params![id.as_str(), part],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        match found {
            Some((_, stored)) if stored != partitions => {
                return Err(Fault::Refused(Error::Position(format!(
                    "`{name}` has {stored} partitions in `{}`, the manifest says {partitions}: partitions cannot change; set `partitions: {stored}`, or choose another folder with --data-dir",
                    core.path.display()
                ))));
            }
            Some((row, _)) => {
                tx.execute("UPDATE topics SET name = ? WHERE id = ? AND name <> ?1", params![name, row])?;
            }
            None => make(tx, id, part, &name, partitions, now)?,
        }
    }
    Ok(())
}

fn make(
    tx: &Transaction<'_>,
    id: &MonitorId,
    part: &str,
    name: &str,
    partitions: u32,
    now: Time,
) -> std::result::Result<(), Fault> {
    // 53 bits, so that the number survives a program that reads JSON numbers as doubles.
    let topic: i64 = tx.query_row(
        "INSERT INTO topics (monitor, topic, name, partitions, incarnation, created)
         VALUES (?, ?, ?, ?, max(1, random() & 0x1fffffffffffff), ?) RETURNING id",
        params![id.as_str(), part, name, partitions, now.millis()],
        |row| row.get(0),
    )?;
    for partition in 0..partitions {
        tx.execute(
            "INSERT INTO streams (topic, partition, first_offset, next_offset, last_at, bytes)
             VALUES (?, ?, 0, 0, 0, 0)",
            params![topic, partition],
        )?;
    }
    if tx.last_insert_rowid() >= schema::MAX_STREAMS {
        return Err(Fault::Refused(Error::Storage(format!(
            "the data folder has no room for the partitions of `{id}`: choose another with --data-dir"
        ))));
    }
    Ok(())
}

/// Says why the monitor's topics are not as the manifest says.
fn exists(
    conn: &Connection,
    id: &MonitorId,
    layout: &Layout,
) -> rusqlite::Result<std::result::Result<(), String>> {
    for (topic, part, _) in TOPICS {
        let found: Option<u32> = conn
            .query_row(
                "SELECT partitions FROM topics WHERE monitor = ? AND topic = ?",
                params![id.as_str(), part],
                |row| row.get(0),
            )
            .optional()?;
        match (found, layout.partitions(topic)) {
            (None, _) => {
                return Ok(Err(format!(
                    "knows nothing of the monitor {id}: name the folder of its `pricemonitor up` with --data-dir"
                )));
            }
            (Some(found), wanted) if found != wanted => {
                return Ok(Err(format!(
                    "has {found} partitions of `{}`, the manifest says {wanted}: set `partitions: {found}`",
                    layout.name(id, topic)
                )));
            }
            _ => {}
        }
    }
    Ok(Ok(()))
}

fn loaded(conn: &Connection, core: &Arc<Core>, id: &MonitorId, layout: &Layout) -> rusqlite::Result<Monitor> {
    let (mut topics, mut streams, mut last_at) = (Vec::new(), Vec::new(), 0);
    for (topic, part, _) in TOPICS {
        let (row, incarnation): (i64, i64) = conn.query_row(
            "SELECT id, incarnation FROM topics WHERE monitor = ? AND topic = ?",
            params![id.as_str(), part],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        topics.push(TopicInfo {
            name: layout.name(id, topic),
            incarnation: Incarnation(incarnation as u64),
            partitions: layout.partitions(topic),
            first: streams.len(),
        });
        let mut rows = conn.prepare_cached(
            "SELECT id, partition, first_offset, next_offset, bytes, last_at FROM streams
             WHERE topic = ? ORDER BY partition",
        )?;
        let mut rows = rows.query([row])?;
        while let Some(row) = rows.next()? {
            streams.push(Stream {
                id: row.get(0)?,
                topic,
                partition: row.get(1)?,
                first: AtomicU64::new(row.get::<_, i64>(2)? as u64),
                next: AtomicU64::new(row.get::<_, i64>(3)? as u64),
                bytes: AtomicU64::new(row.get::<_, i64>(4)? as u64),
            });
            last_at = last_at.max(row.get(5)?);
        }
    }
    let progress = positions(conn, &streams)?;
    Ok(Monitor {
        core: core.clone(),
        id: id.clone(),
        layout: layout.clone(),
        topics,
        streams,
        bell: Arc::default(),
        groups: Groups::default(),
        progress: Mutex::new(progress),
        stops: Mutex::default(),
        last_at: AtomicI64::new(last_at),
    })
}

fn positions(conn: &Connection, streams: &[Stream]) -> rusqlite::Result<Progress> {
    let mut progress = Progress::default();
    let mut query =
        conn.prepare_cached("SELECT reader, next_offset, seen FROM positions WHERE stream = ?")?;
    for (index, stream) in streams.iter().enumerate() {
        let mut rows = query.query([stream.id])?;
        while let Some(row) = rows.next()? {
            let next = row.get::<_, i64>(1)? as u64;
            let seen = Time::from_millis(row.get(2)?);
            progress.of.insert((index, row.get(0)?), Reached { next, stored: next, seen, joined: false });
        }
    }
    Ok(progress)
}

impl Monitor {
    /// Notes in memory where a group stands; the file follows with a later transaction.
    pub(super) fn reached(&self, index: usize, group: &str, next: u64) {
        let seen = self.now();
        let mut progress = locked(&self.progress);
        let reached = progress.of.entry((index, group.to_owned())).or_insert(Reached {
            next,
            stored: 0,
            seen,
            joined: true,
        });
        (reached.next, reached.seen, reached.joined) = (next, seen, true);
    }

    /// Notes why a reader's partition stops, or that it does not (any more).
    pub(super) fn stops(&self, group: &str, partition: u32, why: Option<&str>) {
        let mut stops = locked(&self.stops);
        let key = (group.to_owned(), partition);
        match why {
            Some(why) => drop(stops.insert(key, why.to_owned())),
            None => drop(stops.remove(&key)),
        }
    }

    /// Why a partition stops, if one does.
    pub(super) fn stopped(&self) -> Option<String> {
        locked(&self.stops).values().next().cloned()
    }

    /// Where a group stands, as far as is known.
    pub(super) fn standing(&self, index: usize, group: &str) -> Option<u64> {
        // A key of owned text is made for the look-up: this is asked a few times a second at most.
        locked(&self.progress).of.get(&(index, group.to_owned())).map(|reached| reached.next)
    }
}
