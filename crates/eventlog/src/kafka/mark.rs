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
    /// The id that the cluster gave that topic. Empty in marks of earlier programs, before the topic is made, and where the
    /// cluster has no ids. Earlier programs pass over it, and lose it when they mint a life.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) raw_id: String,
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

    /// Whether the raw topic of that name and id (empty: not known) is the one of this mark, as far as both say so.
    pub(super) fn is_life_of(&self, raw: &str, raw_id: &str) -> bool {
        let same_id = self.raw_id.is_empty() || raw_id.is_empty() || self.raw_id == raw_id;
        self.names(raw) && same_id
    }

    /// Whether nothing is to be added to the mark of a monitor and its raw topic, of which [`Mark::is_life_of`] holds.
    pub(super) fn is_complete(&self, id: &MonitorId, raw: &str, raw_id: &str) -> bool {
        self.monitor == id.as_str() && self.raw == raw && (raw_id.is_empty() || self.raw_id == raw_id)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(raw: &str, raw_id: &str) -> Mark {
        Mark {
            format: FORMAT,
            monitor: "default.m".to_owned(),
            partitions: 2,
            incarnation: 7,
            raw: raw.to_owned(),
            raw_id: raw_id.to_owned(),
        }
    }

    #[test]
    fn a_mark_is_read_by_the_programs_before_and_after_the_one_that_wrote_it() {
        let old: Mark =
            serde_json::from_str(r#"{"format":1,"monitor":"default.m","partitions":2,"incarnation":7}"#)
                .unwrap();
        assert_eq!(old, mark("", ""));
        for written in [mark("raw", ""), mark("raw", "id")] {
            let bytes = serde_json::to_vec(&written).unwrap();
            assert_eq!(serde_json::from_slice::<Mark>(&bytes).unwrap(), written);
        }
        // What a later one adds is passed over, as the id is by earlier ones.
        let new = r#"{"format":1,"monitor":"default.m","partitions":2,"incarnation":7,"raw":"raw","someday":{"a":1}}"#;
        assert_eq!(serde_json::from_str::<Mark>(new).unwrap(), mark("raw", ""));
    }

    #[test]
    fn a_topic_has_the_life_of_a_mark_unless_its_name_or_its_id_is_another_one() {
        let id = MonitorId::new(None, "m");
        for (known, raw_id, same, complete) in [
            (mark("", ""), "", true, false),
            (mark("", ""), "one", true, false),
            (mark("raw", ""), "", true, true),
            (mark("raw", ""), "one", true, false),
            (mark("raw", "one"), "one", true, true),
            (mark("raw", "one"), "", true, true),
            (mark("raw", "one"), "two", false, false),
            (mark("other", "one"), "one", false, false),
        ] {
            assert_eq!(known.is_life_of("raw", raw_id), same, "{known:?} and {raw_id:?}");
            assert_eq!(known.is_complete(&id, "raw", raw_id), complete, "{known:?} and {raw_id:?}");
        }
        assert!(!mark("raw", "one").is_complete(&MonitorId::new(None, "n"), "raw", "one"));
    }
}
