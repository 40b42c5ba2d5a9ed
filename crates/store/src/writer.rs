//! What a writer of history remembers between batches.

use ahash::HashMap;
use pricemonitor_model::Observation;

use crate::batch::Last;
use crate::claim::MonitorKey;

/// Most series that a writer remembers. When there are more it forgets all and looks them up again.
const MAX_SERIES: usize = 200_000;

/// A monitor's writer of history, for one thread. Remembers the numbers of the series it saw last,
/// at most a bounded number of them; it can be dropped and made anew at any time.
#[derive(Debug)]
pub struct HistoryWriter {
    pub(crate) monitor: MonitorKey,
    pub(crate) series: HashMap<Box<[u8]>, Known>,
    pub(crate) events: HashMap<Box<str>, i64>,
    /// Counts batches, so that a series knows whether it has been met in this one.
    pub(crate) batch: u64,
    /// Series that have been deleted since numbers were learned: none, as long as this is the database's count.
    pub(crate) generation: i64,
    /// A batch is under way: what it added is not committed.
    unsure: bool,
}

/// A series in memory.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: i64,
    pub(crate) event_id: i64,
    pub(crate) event: Box<str>,
    pub(crate) section: Box<str>,
    /// The last batch that had it, and its place there.
    pub(crate) batch: u64,
    pub(crate) place: usize,
    /// Its latest row, and the claim (stream, epoch) under which this is known: for as long as a claim
    /// holds, nobody else writes the series.
    pub(crate) last: Option<Last>,
    pub(crate) under: (i64, i64),
}

impl HistoryWriter {
    /// A writer for the monitor that [`Database::register`](crate::Database::register) named.
    pub fn new(monitor: MonitorKey) -> HistoryWriter {
        HistoryWriter {
            monitor,
            series: HashMap::default(),
            events: HashMap::default(),
            batch: 0,
            generation: 0,
            unsure: false,
        }
    }

    /// A batch begins. Numbers that the last one learned and did not commit (also when its future was
    /// dropped half-way) are forgotten.
    pub(crate) fn begin(&mut self) {
        if self.unsure || self.series.len() > MAX_SERIES {
            self.forget();
        }
        self.unsure = true;
    }

    /// What the batch learned is true.
    pub(crate) fn committed(&mut self) {
        self.unsure = false;
    }

    pub(crate) fn forget(&mut self) {
        self.series.clear();
        self.events.clear();
    }
}

/// The series' identity as bytes, lengths in front so that no two lists of parts look alike.
pub(crate) fn key(observation: &Observation<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.push(u8::from(observation.slot.is_some()));
    for part in
        [&*observation.source, &observation.item, &observation.currency, observation.unit_or_currency()]
    {
        out.extend_from_slice(&(part.len() as u32).to_le_bytes());
        out.extend_from_slice(part.as_bytes());
    }
}

/// The label that groups series: the event, or the area of a schedule.
pub(crate) fn event<'o>(observation: &'o Observation<'_>) -> &'o str {
    observation.labels.get("event").or_else(|| observation.labels.get("area")).unwrap_or_default()
}

/// The label `section`.
pub(crate) fn section<'o>(observation: &'o Observation<'_>) -> &'o str {
    observation.labels.get("section").unwrap_or_default()
}
