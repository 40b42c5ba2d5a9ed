//! The doors of the event log, the same for both engines.

use std::ops::ControlFlow;
use std::time::Duration;

use pricemonitor_model::{Incarnation, Time};

#[cfg(doc)]
use crate::Error;
use crate::{Out, Result, Stop};

/// A topic of a monitor, by its part in the pipeline. What it is called is the engine's setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Observations and ticks; the same number of partitions as [`Topic::State`].
    Raw,
    /// One event for every observation.
    Processed,
    /// What people are told.
    Alerts,
    /// Where sources stand; compacted.
    Checkpoints,
    /// The processor's keyed state; compacted, partition `n` belongs to partition `n` of raw.
    State,
    /// Raw records that may not be acted on.
    DeadLetters,
}

/// One record as it is read. Borrows from the engine's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Offset in its partition; increases, with gaps.
    pub offset: u64,
    /// When the log took it.
    pub timestamp: Time,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Records of one partition in the order of their offsets, never empty.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Life of the topic.
    pub incarnation: Incarnation,
    /// Partition.
    pub partition: u32,
    /// The records.
    pub records: &'a [Record<'a>],
}

impl Batch<'_> {
    /// The offset behind the last record.
    pub fn next_offset(&self) -> u64 {
        self.records.last().map_or(0, |record| record.offset + 1)
    }
}

/// One record to be written. The key decides the partition (murmur2, as Kafka's Java client)
/// unless one is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// Partition, for topics whose partitions mean something; else `None`.
    pub partition: Option<u32>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The time the log gave the records.
    pub at: Time,
    /// How many records.
    pub records: usize,
}

/// What one source appends.
#[derive(Clone, Copy, Debug)]
pub struct Appending<'a> {
    /// Its name.
    pub source: &'a str,
    /// Its records; see [`Append::append`].
    pub records: &'a [Write],
    /// How far it has been read, when that has changed.
    pub checkpoint: Option<&'a [u8]>,
}

/// Appends with checkpoints: the producer's door.
///
/// A source belongs to the member that owns its key's partition of the checkpoints topic. Call
/// [`Append::poll`] often (at least every second): ownership comes and goes there, and nowhere else.
pub trait Append: Send + 'static {
    /// Waits up to `wait` for a change of ownership. The first call tells what the member owns at
    /// the start, with the checkpoints as committed.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another process has taken this member's place.
    fn poll(&mut self, wait: Duration) -> Result<Option<Ownership>>;

    /// Appends `records` to the raw topic and sets the checkpoint of `source`, in one transaction.
    /// Records without a key or partition go to *every* raw partition (ticks).
    ///
    /// # Errors
    /// When it returns an error, neither happened ([`Error::NotOwned`] after ownership was lost,
    /// [`Error::TooLarge`] for a record that is never taken; their number has no limit), or, after [`Error::Ambiguous`], it is not known: poll again and compare the checkpoint.
    fn append(&mut self, source: &str, records: &[Write], checkpoint: Option<&[u8]>) -> Result<Appended>;

    /// Appends for several sources at once, in as few transactions as the engine can: what a transaction costs does
    /// not grow with them. One answer for each, in their order, as [`Append::append`] gives it; what cannot be appended
    /// for one source (not owned, too large) does not keep the others from it.
    fn append_all(&mut self, all: &[Appending<'_>]) -> Vec<Result<Appended>> {
        all.iter().map(|one| self.append(one.source, one.records, one.checkpoint)).collect()
    }
}

/// A change of what a producer owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// These source keys' partitions are now this member's; the value is the last committed
    /// checkpoint of every source seen on them.
    Gained {
        /// Partitions of the checkpoints topic.
        partitions: Vec<u32>,
        /// Number of partitions of the checkpoints topic, to tell which source falls where.
        of: u32,
        /// Source name and checkpoint.
        checkpoints: Vec<(String, Vec<u8>)>,
    },
    /// These partitions are not this member's any more.
    Lost {
        /// Partitions of the checkpoints topic.
        partitions: Vec<u32>,
    },
}

/// Takes one entry of a state: key and value, or `None` when the key was removed.
pub type Entry<'t> = dyn FnMut(&[u8], Option<&[u8]>) -> Result<()> + 't;

/// The state of a partition as last committed, handed over on assignment.
pub struct Restored<'a> {
    /// Life of the raw topic.
    pub incarnation: Incarnation,
    /// Where the fold goes on.
    pub next_offset: u64,
    /// Calls with every entry of the state; see [`Restored::each`].
    pub entries: &'a mut dyn FnMut(&mut Entry<'_>) -> Result<()>,
}

impl Restored<'_> {
    /// Calls `take` with every entry, straight from the log: a key may come several times, and the last one counts.
    ///
    /// # Errors
    /// The first error of `take` or of the log; the state is then not complete.
    pub fn each(self, mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<()>) -> Result<()> {
        (self.entries)(&mut take)
    }
}

/// Read, change state, write, in one transaction.
///
/// The engine calls, per transaction: `apply` for one or several batches (of different
/// partitions), then `committed`; or, when the transaction could not be committed, `aborted`, after
/// which the same records come again. `revoked` comes between transactions.
pub trait Fold: Send {
    /// `partition` is now this member's. Called before any of its batches.
    fn assigned(&mut self, partition: u32, restored: Restored<'_>) -> Result<()>;

    /// Everything that is this member's at the start has been handed over; it may be nothing. Called
    /// once, before any batch.
    fn settled(&mut self) {}

    /// Folds one batch: changes the state in memory, writes to `out` what must be committed with
    /// it. Must not do I/O.
    ///
    /// # Errors
    /// [`Error::TooNew`]: the transaction is aborted, and the same records come again, of that partition only those
    /// before the one it names. Any other error stops the worker; the transaction is aborted.
    fn apply(&mut self, batch: &Batch<'_>, out: &mut Out) -> Result<()>;

    /// What was applied since the last call is durable: forget how to undo it.
    fn committed(&mut self);

    /// What was applied since the last `committed` did not happen: undo it.
    fn aborted(&mut self);

    /// `partition` is not this member's any more: drop its state.
    fn revoked(&mut self, partition: u32);
}

/// Where a reader stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Life of the topic the offset belongs to.
    pub incarnation: Incarnation,
    /// The next offset to read.
    pub next_offset: u64,
}

/// An effect outside of the log, which stores the position together with the effect.
pub trait Sink: Send {
    /// `partition` is now this member's: where does it stand? `None` means from the start.
    /// A sink that fences takes ownership here.
    ///
    /// # Errors
    /// Stops the worker.
    fn position(&mut self, partition: u32) -> Result<Option<Position>>;

    /// As [`Fold::settled`].
    fn settled(&mut self) {}

    /// Does the effect and stores [`Batch::next_offset`] with it, both or neither.
    ///
    /// # Errors
    /// [`Error::Retry`]: nothing happened, the same batch comes again after a bounded wait. [`Error::TooNew`]: nothing
    /// happened, and the records before the one it names come again; behind them the partition stops. Any other error
    /// stops the worker.
    fn write(&mut self, batch: &Batch<'_>) -> Result<()>;

    /// The batches of several partitions that came together (at least one batch, and one of each), each as by
    /// [`Sink::write`]: one answer for each, in their order. What is wrong with one (fenced, too new) does not keep the
    /// others; what is wrong with the place they go to may keep all.
    fn write_all(&mut self, batches: &[Batch<'_>]) -> Vec<Result<()>> {
        batches.iter().map(|batch| self.write(batch)).collect()
    }

    /// Before `position` there is no record that the sink was not given: stores it. Called at rest alone, where
    /// marks of transactions follow the last record. Who stores nothing looks, once retention has deleted those marks
    /// too, like one that missed records.
    ///
    /// # Errors
    /// As for [`Sink::write`].
    fn advance(&mut self, partition: u32, position: Position) -> Result<()>;

    /// Nothing new came for a while (at most a second): time for housekeeping.
    ///
    /// # Errors
    /// As for [`Sink::write`].
    fn idle(&mut self) -> Result<()> {
        Ok(())
    }

    /// `partition` is not this member's any more.
    fn revoked(&mut self, partition: u32);
}

/// Who is working: one of possibly several members of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Consumer group.
    pub group: String,
    /// Name of this member that stays the same over its restarts (static membership).
    pub instance: String,
}

/// How far a group is behind on one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// Partition.
    pub partition: u32,
    /// Records still to be read.
    pub records: u64,
    /// When the oldest of them was appended; `None` when there is none.
    pub oldest: Option<Time>,
}

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The oldest offset that is still there, if any record is; what lay before was deleted.
    pub first: u64,
    /// The offset behind the newest. Not every offset between the two is a record.
    pub end: u64,
}

/// What the log says of itself, for `/readyz` and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Why the log cannot be used now, for people; `None` when it can.
    pub unavailable: Option<String>,
    /// Bytes on disk, where the engine knows.
    pub bytes: Option<u64>,
}

/// The log of one monitor. Cheap to clone; every clone is the same log.
pub trait EventLog: Clone + Send + Sync + 'static {
    /// The producer's door of this engine.
    type Appender: Append;

    /// Opens the producer's door for `member`.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn appender(&self, member: &Member) -> Result<Self::Appender>;

    /// Folds the raw topic until `stop`. Blocks the calling thread. Partitions are revoked before
    /// it returns, except after [`Error::Fenced`] or an error of the fold itself.
    ///
    /// # Errors
    /// An error that stops the worker; see [`Error`].
    fn fold(&self, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()>;

    /// Feeds `topic` to a sink until `stop`. Blocks the calling thread.
    ///
    /// # Errors
    /// An error that stops the worker; see [`Error`].
    fn sink(&self, member: &Member, topic: Topic, sink: &mut impl Sink, stop: &Stop) -> Result<()>;

    /// How far `group` is behind on `topic`: what a fold committed, or a sink acknowledged by a
    /// successful write.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn lag(&self, group: &str, topic: Topic) -> Result<Vec<PartitionLag>>;

    /// How many partitions `topic` has.
    fn partitions(&self, topic: Topic) -> u32;

    /// The life of `topic`; another one when it was made anew.
    fn incarnation(&self, topic: Topic) -> Incarnation;

    /// Where every partition of `topic` begins and ends now, in their order.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn ends(&self, topic: Topic) -> Result<Vec<Ends>>;

    /// Shows `each` the committed records of a partition from offset `from` (or the oldest there is) to before `to` (or
    /// where the partition ends at the call), in order, until it breaks. Outside of any group; nothing is changed, and no
    /// reader notices. Memory is bounded, whatever there is to read. Not for the checkpoints, which need not be records.
    ///
    /// Tells where a later scan goes on: behind the record at which `each` broke, else at the end of what was
    /// asked for.
    ///
    /// # Errors
    /// When the log cannot be read, [`Error::Retry`] when a transaction that another member has open does not come to
    /// its end, and whatever `each` returns.
    fn scan(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        to: Option<u64>,
        each: &mut dyn FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<u64>;

    /// Writes records as somebody else's client would: in one transaction of its own, outside of any group, without
    /// fencing anybody. Not to the checkpoints or the state, which only workers write.
    ///
    /// # Errors
    /// When it returns an error, nothing was written; after [`Error::Ambiguous`] it is not known.
    fn put(&self, records: &[(Topic, Write)]) -> Result<Appended>;

    /// Where the fold of `group` stands in every raw partition, by the state itself: everything before is folded.
    /// `None` where it has not done anything yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn folded(&self, group: &str) -> Result<Vec<Option<Position>>>;

    /// What the log says of itself.
    fn status(&self) -> LogStatus;
}
