//! What a state partition says of itself.
//!
//! Every transaction of a fold writes one record of this key beside the changed state. Its offset is the
//! authority for where the fold stands; records below it are skipped.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Key of the record. No state key of a worker may be the same; theirs are not text that begins with `_`.
pub(super) const KEY: &[u8] = b"_meta";
/// The newest format that this program reads and writes.
pub(super) const FORMAT: u32 = 1;

/// What the record holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    /// Format of the state.
    pub(super) format: u32,
    /// Generation of the manifest that the state was folded by; 0 when it was not told.
    #[serde(default)]
    pub(super) config_epoch: u64,
    /// Life of the raw topic that the offset is of.
    pub(super) incarnation: u64,
    /// Partitions of the raw topic.
    pub(super) partitions: u32,
    /// The next raw offset to fold.
    pub(super) next_offset: u64,
    /// Transactional id of who wrote this; unknown in what older programs wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) writer: String,
}

/// What every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Meta {
    /// The record's value.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::Worker(format!("the state's mark cannot be written: {error}")))
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`Error::Superseded`] for the format of a later program or a higher epoch than `config_epoch` (unless that is 0),
    /// [`Error::Storage`] for what is no mark.
    pub(super) fn decode(topic: &str, partition: u32, config_epoch: u64, bytes: &[u8]) -> Result<Meta> {
        let unreadable = |error| {
            Error::Storage(format!(
                "partition {partition} of `{topic}` has a mark that cannot be read: {error}"
            ))
        };
        let Head { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format > FORMAT {
            return Err(Error::Superseded(format!(
                "partition {partition} of `{topic}` has format {format}, this program knows up to {FORMAT}: a newer \
                 processor has taken over, upgrade this one"
            )));
        }
        let meta: Meta = serde_json::from_slice(bytes).map_err(unreadable)?;
        if config_epoch != 0 && meta.config_epoch > config_epoch {
            return Err(Error::Superseded(format!(
                "partition {partition} of `{topic}` was folded by generation {} of the manifest, this process has \
                 generation {config_epoch}: give it the newer manifest",
                meta.config_epoch
            )));
        }
        Ok(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_newer_one_says_who_is_older() {
        let meta = Meta {
            format: FORMAT,
            config_epoch: 3,
            incarnation: u64::MAX,
            partitions: 4,
            next_offset: 7,
            writer: "m.processor.a".to_owned(),
        };
        let bytes = meta.encode().unwrap();
        for epoch in [0, 3, 4] {
            assert_eq!(Meta::decode("t", 0, epoch, &bytes).unwrap(), meta, "{epoch}");
        }
        let error = Meta::decode("t", 3, 2, &bytes).unwrap_err();
        assert!(
            matches!(&error, Error::Superseded(text) if text.contains("generation 3") && text.contains("generation 2")),
            "{error}"
        );
        let newer = Meta { format: FORMAT + 1, ..meta };
        let error = Meta::decode("t", 3, 0, &newer.encode().unwrap()).unwrap_err();
        assert!(matches!(&error, Error::Superseded(text) if text.contains("partition 3 of `t`")), "{error}");
        // Whatever else a later format says, and whatever it does not.
        let another = Meta::decode("t", 3, 0, br#"{"format":9,"nextOffset":"seven"}"#);
        assert!(matches!(&another, Err(Error::Superseded(text)) if text.contains("format 9")), "{another:?}");
        for no_mark in ["{", "{}", r#"{"format":1}"#] {
            assert!(
                matches!(Meta::decode("t", 0, 0, no_mark.as_bytes()), Err(Error::Storage(_))),
                "{no_mark}"
            );
        }
    }

    #[test]
    fn a_mark_of_a_program_that_knew_neither_epochs_nor_writers_is_read() {
        let old = br#"{"format":1,"incarnation":5,"partitions":2,"nextOffset":9}"#;
        let meta = Meta::decode("t", 0, 1, old).unwrap();
        assert_eq!((meta.config_epoch, meta.writer.as_str()), (0, ""));
    }
}
