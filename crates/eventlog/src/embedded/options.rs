//! What a person may set about the embedded log.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pricemonitor_model::Time;

/// Where the log's time comes from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Settings of an [`EmbeddedStore`](super::EmbeddedStore).
#[derive(Clone)]
pub struct Options {
    /// Records in a transaction or batch (5,000); under backlog up to four times as many for a fold, eight for a sink.
    pub batch_records: usize,
    /// While little comes, a reader begins its next transaction or batch this long after the last one
    /// (50 ms). The first record after a quiet time is taken at once.
    pub linger: Duration,
    /// How long records are kept that everybody has read.
    pub retention: Retention,
    /// When a write counts as done.
    pub durability: Durability,
    /// The most that the log's file may grow to, in bytes. Appends beyond it are refused as on a
    /// full disk. `None`: what the disk has.
    pub max_bytes: Option<u64>,
    /// How often old records are looked for (30 s).
    pub maintenance: Duration,
    /// Where record times come from; they never run backwards, even if the clock does.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            batch_records: 5_000,
            linger: Duration::from_millis(50),
            retention: Retention::default(),
            durability: Durability::Full,
            max_bytes: None,
            maintenance: Duration::from_secs(30),
            clock: Arc::new(system_time),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("batch_records", &self.batch_records)
            .field("linger", &self.linger)
            .field("retention", &self.retention)
            .field("durability", &self.durability)
            .field("max_bytes", &self.max_bytes)
            .field("maintenance", &self.maintenance)
            .finish_non_exhaustive()
    }
}

fn system_time() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it: survives the loss of power.
    #[default]
    Full,
    /// When the operating system has it: survives `kill -9`, but the loss of power may take the
    /// last seconds. The file stays sound.
    Normal,
}

/// How long each topic's records are kept. Records that a reader of the topic has still to take
/// are kept in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Observations and ticks.
    pub raw: Keep,
    /// Processed events.
    pub processed: Keep,
    /// Alerts.
    pub alerts: Keep,
    /// Dead letters.
    pub dead_letters: Keep,
}

impl Default for Retention {
    fn default() -> Retention {
        let week = Keep { age: Duration::from_secs(7 * 86_400), bytes: 1 << 30 };
        let month = Keep { age: Duration::from_secs(30 * 86_400), bytes: 1 << 28 };
        Retention { raw: week, processed: week, alerts: week, dead_letters: month }
    }
}

/// Records are deleted when they are older than `age`, or the oldest when all take more than `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Age by the record's log time.
    pub age: Duration,
    /// Size of the topic's records.
    pub bytes: u64,
}
