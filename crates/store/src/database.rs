//! The door of the database, the same for every engine.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use futures::stream::BoxStream;
use pricemonitor_model::{Millis, MonitorId, Time};

use crate::ask;
use crate::claim::{Claim, Maintained, MonitorKey, Removed};
use crate::error::Result;
use crate::outbox::{DeliveryEnd, Due, PendingCount};
use crate::postgres::{self, Postgres, Settings};
use crate::query::{AlertRow, Bar, Cursor, ExportRow, Facets, Filter, History, HourCell, Statistics};
use crate::sqlite::Sqlite;

/// The database of one or several monitors. Cheap to clone; every clone is the same database.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// The same call to whichever engine it is. A server on a network may never answer: calls that are `short`,
/// `long` or a `chore` have an end there.
macro_rules! on {
    ($self:ident, $db:ident => $call:expr) => {
        match &$self.engine {
            Engine::Sqlite($db) => $call,
            Engine::Postgres($db) => $call,
        }
    };
    ($self:ident, $bound:ident, $db:ident => $call:expr) => {
        match &$self.engine {
            Engine::Sqlite($db) => $call.await,
            Engine::Postgres($db) => postgres::$bound($call).await,
        }
    };
}

mod audit;
mod write;

pub use audit::Position;

impl Database {
    /// Opens the SQLite database at `path`, and makes it and its folder when there is none.
    ///
    /// # Guarantees
    /// What a call has written when it returns `Ok` survives a power cut (write-ahead log,
    /// `synchronous=FULL`). The tables are those of this program's version: older ones are migrated.
    ///
    /// # Errors
    /// [`Error::Newer`](crate::Error::Newer) when a newer program wrote it; a sentence when it cannot be
    /// opened.
    pub async fn open_sqlite(path: &Path) -> Result<Database> {
        Ok(Database { engine: Engine::Sqlite(Sqlite::open(path).await?) })
    }

    /// Connects to a PostgreSQL database that [`postgres::migrate`](crate::postgres::migrate) has prepared.
    ///
    /// # Guarantees
    /// Waits for at most 10 seconds. Changes nothing: a role that may read and write rows is enough. What a
    /// call has written when it returns `Ok` is committed (`synchronous_commit` as the server has it).
    ///
    /// # Errors
    /// [`Error::Unprepared`](crate::Error::Unprepared) when the tables are missing or too old,
    /// [`Error::Newer`](crate::Error::Newer) when they belong to a program that does without this one,
    /// [`Error::Refused`](crate::Error::Refused) when the server says no; a transient one while it is away.
    pub async fn open_postgres(settings: &Settings) -> Result<Database> {
        Ok(Database { engine: Engine::Postgres(Postgres::open(settings).await?) })
    }

    /// Makes a monitor known, or renews its retention. The same monitor always gets the same key.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn register(&self, monitor: &MonitorId, retention: Duration, now: Time) -> Result<MonitorKey> {
        on!(self, short, db => db.register(monitor, retention, now))
    }

    /// Deletes everything of a monitor, in small transactions; a monitor that is not known is no error. Its
    /// workers must have ended: a claim of theirs is fenced.
    ///
    /// # Errors
    /// When the database cannot be written. What was deleted is deleted; the next call goes on.
    pub async fn remove(&self, monitor: &MonitorId) -> Result<Removed> {
        on!(self, chore, db => db.remove(monitor))
    }

    /// Waits for what is under way and closes. Every clone is closed with it.
    pub async fn close(&self) {
        on!(self, db => db.close().await);
    }

    /// Takes ownership of a partition's position. `sink` is `history` or `alerts`.
    ///
    /// # Guarantees
    /// Every earlier [`Claim`] of the same position is fenced from now on.
    ///
    /// # Errors
    /// When the monitor was never registered or the database cannot be written.
    pub async fn claim(&self, monitor: &MonitorId, sink: &str, partition: u32) -> Result<Claim> {
        on!(self, short, db => db.claim(monitor, sink, partition))
    }

    /// What `channel` has to tell now, in the order of acceptance, at most `limit`. What would have to
    /// wait for longer than any back-off is due as well.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due(&self, monitor: &MonitorId, channel: &str, now: Time, limit: usize) -> Result<Due> {
        on!(self, short, db => db.due(monitor, channel, now, limit))
    }

    /// Notes that these alerts are about to be sent: counts the attempt, so that a crash between
    /// sending and writing down shows as [`Pending::maybe_sent`](crate::Pending::maybe_sent). Tells how many of them
    /// still have to be told; for others nothing is noted.
    ///
    /// `numbers` are those of [`Pending`](crate::Pending): what is written for each message is found without a look at the
    /// alerts themselves.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn attempting(&self, channel: &str, numbers: &[i64], now: Time) -> Result<u64> {
        on!(self, short, db => db.attempting(channel, numbers, now))
    }

    /// Notes that these alerts, by their [numbers](crate::Pending::number), arrived, with the channel's id of the message
    /// where it gave one, and in the same step that those of the `next` message, perhaps none, are about to be sent; tells
    /// how many of those still have to be told, as [`Database::attempting`] does. Of arrived ones that were not attempted
    /// nothing is noted.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delivered(
        &self,
        channel: &str,
        numbers: &[i64],
        message_id: Option<&str>,
        next: &[i64],
        now: Time,
    ) -> Result<u64> {
        on!(self, short, db => db.delivered(channel, numbers, message_id, next, now))
    }

    /// Notes that an attempt with these alerts, by their [numbers](crate::Pending::number), failed and when the next one is
    /// due. `ambiguous`: it may have arrived.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn failed(
        &self,
        channel: &str,
        numbers: &[i64],
        reason: &str,
        next_attempt: Time,
        ambiguous: bool,
    ) -> Result<()> {
        on!(self, short, db => db.failed(channel, numbers, reason, next_attempt, ambiguous))
    }

    /// Notes that these alerts, by their [numbers](crate::Pending::number), will not be told any more. They stay on the
    /// page. Of those that were not [attempted](Database::attempting) nothing is noted, unless they are
    /// [stale](DeliveryEnd::Stale).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn finish(
        &self,
        channel: &str,
        numbers: &[i64],
        end: DeliveryEnd,
        reason: &str,
        now: Time,
    ) -> Result<()> {
        on!(self, short, db => db.finish(channel, numbers, end, reason, now))
    }

    /// Takes or renews the right to send on a channel for `ttl` milliseconds from now. `false`: another owner
    /// has it.
    ///
    /// How long that is, one clock says for all who ask: PostgreSQL's own, because the clocks of several machines
    /// differ; for SQLite, which is on one machine, that machine's, which tells `now`.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn lease(
        &self,
        monitor: &MonitorId,
        channel: &str,
        owner: &str,
        now: Time,
        ttl: Millis,
    ) -> Result<bool> {
        match &self.engine {
            Engine::Sqlite(db) => db.lease(monitor, channel, owner, now, ttl).await,
            Engine::Postgres(db) => postgres::short(db.lease(monitor, channel, owner, ttl)).await,
        }
    }

    /// What waits in the outbox, per channel in the order of names; channels with nothing are absent.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_counts(&self, monitor: &MonitorId) -> Result<Vec<PendingCount>> {
        on!(self, short, db => db.pending_counts(monitor))
    }

    /// What can be chosen in the filters.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn facets(&self) -> Result<Facets> {
        on!(self, long, db => db.facets())
    }

    /// The figures on top of the page.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn statistics(&self, filter: &Filter) -> Result<Statistics> {
        on!(self, long, db => ask::statistics(db, filter))
    }

    /// Lines for the history chart, at most `max_lines`, each of at most `max_points` points.
    ///
    /// Points are single prices as long as they fit; else buckets of equal width with average, lowest
    /// and highest. When more rows would have to be read than the answer's time allows, buckets are
    /// as wide as whole hours.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(&self, filter: &Filter, max_lines: usize, max_points: usize) -> Result<History> {
        on!(self, long, db => ask::history(db, filter, max_lines, max_points))
    }

    /// How often which prices were seen, in `bars` bars of equal width between the lowest and the
    /// highest price of the most frequent unit.
    ///
    /// Exact up to 100,000 rows. Beyond, hourly figures stand for their rows: an hour's lowest and
    /// highest price count once each, its other rows at their average. Counts add up to the rows
    /// either way.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn distribution(&self, filter: &Filter, bars: usize) -> Result<Vec<Bar>> {
        on!(self, long, db => ask::distribution(db, filter, bars))
    }

    /// Average prices per day of the week and hour of the day in `time_zone` (an IANA name), cells
    /// without a price left out. In zones that are not whole hours away from UTC, a UTC hour counts for
    /// the local hour in which it starts.
    ///
    /// # Errors
    /// [`Error::Question`](crate::Error::Question) for an unknown zone; when the database cannot be read.
    pub async fn hour_profile(&self, filter: &Filter, time_zone: &str) -> Result<Vec<HourCell>> {
        on!(self, long, db => ask::hour_profile(db, filter, time_zone))
    }

    /// Alerts, the last accepted first, at most `limit`; `before` is the id of the last one of the page
    /// before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn alerts(&self, filter: &Filter, limit: usize, before: Option<&str>) -> Result<Vec<AlertRow>> {
        on!(self, long, db => db.alerts(filter, limit, before))
    }

    /// The place behind everything that is stored now. Cheap.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn cursor(&self) -> Result<Cursor> {
        on!(self, short, db => db.cursor())
    }

    /// The place behind everything, when it is not `known` any more.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn changed_since(&self, known: Cursor) -> Result<Option<Cursor>> {
        let now = self.cursor().await?;
        Ok((now != known).then_some(now))
    }

    /// Gives every row that passes the filter to `each`, in the order of time, until it breaks. Memory
    /// is bounded; rows stored after the call may be missing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn export(
        &self,
        filter: &Filter,
        mut each: impl FnMut(ExportRow) -> ControlFlow<()>,
    ) -> Result<()> {
        use futures::TryStreamExt as _;
        let mut rows = self.export_stream(filter);
        while let Some(row) = rows.try_next().await? {
            if each(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The same as a stream, which reads on only as its rows are taken.
    pub fn export_stream(&self, filter: &Filter) -> BoxStream<'static, Result<ExportRow>> {
        on!(self, db => ask::export(db, filter))
    }

    /// Housekeeping, to be called every few minutes: deletes what is older than its monitor's
    /// retention (rounded down to the hour), in small transactions between which writers go on. SQLite gives
    /// the write-ahead log's room back; PostgreSQL makes months ahead and sums up closed hours, and of several
    /// processes that call it at the same time one does the work.
    ///
    /// # Errors
    /// When the database cannot be written. What was done is done; the next call goes on.
    pub async fn maintain(&self, now: Time) -> Result<Maintained> {
        on!(self, chore, db => db.maintain(now))
    }
}
