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
    /// Life of the raw topic that the offset is of.
    pub(super) incarnation: u64,
    /// Partitions of the raw topic.
    pub(super) partitions: u32,
    /// The next raw offset to fold.
    pub(super) next_offset: u64,
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
    /// [`Error::Newer`] for a format of a later program, [`Error::Storage`] for what is no mark.
    pub(super) fn decode(topic: &str, partition: u32, bytes: &[u8]) -> Result<Meta> {
        let meta: Meta = serde_json::from_slice(bytes).map_err(|error| {
            Error::Storage(format!(
                "partition {partition} of `{topic}` has a mark that cannot be read: {error}"
            ))
        })?;
        if meta.format > FORMAT {
            return Err(Error::Newer(format!(
                "partition {partition} of `{topic}` has format {}, this program knows up to {FORMAT}: a newer processor \
                 has taken over, upgrade this one",
                meta.format
            )));
        }
        Ok(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_newer_one_says_upgrade() {
        let meta = Meta { format: FORMAT, incarnation: u64::MAX, partitions: 4, next_offset: 7 };
        assert_eq!(Meta::decode("t", 0, &meta.encode().unwrap()).unwrap(), meta);
        let newer = Meta { format: FORMAT + 1, ..meta };
        let error = Meta::decode("t", 3, &newer.encode().unwrap()).unwrap_err();
        assert!(matches!(&error, Error::Newer(text) if text.contains("partition 3 of `t`")), "{error}");
        assert!(matches!(Meta::decode("t", 0, b"{"), Err(Error::Storage(_))));
    }
}
