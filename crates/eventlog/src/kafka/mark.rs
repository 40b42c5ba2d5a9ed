//! The mark that says whose the topics of a monitor are.

use pricemonitor_model::MonitorId;
use serde::{Deserialize, Serialize};

use super::asker::Asker;
use super::restore::Restore;
use crate::{Error, Layout, Result, Topic};

/// Key of the mark, in partition 0 of the checkpoints. No source has this name: names do not begin with `_`.
pub(super) const MARK: &[u8] = b"_monitor";
/// The newest format of the mark.
pub(super) const FORMAT: u32 = 1;

/// Whose topics they are, and their life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mark {
    pub(super) format: u32,
    pub(super) monitor: String,
    pub(super) partitions: u32,
    /// Life of the raw topic; another one when it was made anew.
    pub(super) incarnation: u64,
    /// The raw topic that has this life; empty in marks of earlier programs.
    #[serde(default)]
    pub(super) raw: String,
}

impl Mark {
    /// Refuses topics of another monitor.
    pub(super) fn belongs_to(&self, id: &MonitorId, layout: &Layout) -> Result<()> {
        self.is_known(id, layout)?;
        if self.monitor != id.as_str() {
            return Err(Error::Position(format!(
                "`{}` belongs to the monitor {}, not to {id}: use other topic names, or take the topics over by \
                 `pricemonitor setup --adopt`",
                layout.name(id, Topic::Checkpoints),
                self.monitor
            )));
        }
        Ok(())
    }

    /// Refuses to take another topic for the raw one: positions, state and stored offsets are of the one that was.
    pub(super) fn is_of(&self, id: &MonitorId, layout: &Layout) -> Result<()> {
        let raw = layout.name(id, Topic::Raw);
        if self.names(&raw) {
            return Ok(());
        }
        Err(Error::Position(format!(
            "the raw topic of {id} is `{}` so far, and the manifest says `{raw}`: change it back, or run `pricemonitor \
             setup`, which begins anew with a topic that is free",
            self.raw
        )))
    }

    /// Whether this is the mark of the raw topic of that name, as far as it says so.
    pub(super) fn names(&self, raw: &str) -> bool {
        self.raw.is_empty() || self.raw == raw
    }

    /// Refuses a mark of a later program.
    pub(super) fn is_known(&self, id: &MonitorId, layout: &Layout) -> Result<()> {
        if self.format > FORMAT {
            return Err(Error::Newer(format!(
                "the mark in `{}` has format {}, this program knows up to {FORMAT}: upgrade it",
                layout.name(id, Topic::Checkpoints),
                self.format
            )));
        }
        Ok(())
    }
}

/// The mark, if there is one.
pub(super) fn read_mark(asker: &Asker, id: &MonitorId, layout: &Layout) -> Result<Option<Mark>> {
    let topic = layout.name(id, Topic::Checkpoints);
    let mut mark = None;
    let found = |key: &[u8], value: Option<&[u8]>| {
        if key == MARK {
            mark = value.map(<[u8]>::to_vec);
        }
        Ok(())
    };
    Restore::open(asker, &topic, 0)?.read(|_, _| {}, found)?;
    let read = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Storage(format!("the mark in `{topic}` cannot be read: {error}")))
    };
    mark.map(read).transpose()
}
