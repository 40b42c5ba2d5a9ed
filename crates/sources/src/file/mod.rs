//! A watched file.
//!
//! Each look opens the path anew, so that replacement by rename (as editors and ConfigMap mounts
//! do) is seen. What counts is the content: a file that was only touched says nothing. A file that
//! changes while it is read is read again; one that cannot be understood is an error, and the last
//! good content stays because the checkpoint does.

mod place;
mod read;

use pricemonitor_model::Time;

pub(crate) use place::Place;

use crate::bounded::Bounded;
use crate::diff::{self, Checkpoint};
use crate::document::{Document, Reader};
use crate::source::{Poll, Source, SourceError};
use read::{Look, Seen};

/// A watched file; see the module.
pub(crate) struct FileSource {
    place: Place,
    reader: Reader,
    max_size: u64,
    bounded: Bounded,
    /// What the last look of this process found, to spare large files a second reading.
    seen: Option<Seen>,
}

/// What the thread that reads brings back.
enum Found {
    Unchanged(Seen),
    Changed { document: Document, hash: String, seen: Seen },
}

impl FileSource {
    /// A source that reads at most `max_size` bytes at `place`.
    pub(crate) fn new(place: Place, reader: Reader, max_size: u64) -> FileSource {
        FileSource { place, reader, max_size, bounded: Bounded::default(), seen: None }
    }
}

#[async_trait::async_trait]
impl Source for FileSource {
    async fn poll(&mut self, at: Time, checkpoint: Option<&[u8]>) -> Result<Poll, SourceError> {
        let before = Checkpoint::read(checkpoint, self.reader.source());
        let look = Look {
            place: self.place.clone(),
            reader: self.reader.clone(),
            max_size: self.max_size,
            hash: before.as_ref().map(|before| before.hash.clone()),
            seen: self.seen.take(),
        };
        let what = format!("reading {}", self.place);
        match self.bounded.run(&what, move || look.now(at)).await?? {
            Found::Unchanged(seen) => {
                self.seen = Some(seen);
                Ok(Poll::Unchanged)
            }
            Found::Changed { document, hash, seen } => {
                self.seen = Some(seen);
                diff::snapshot(document, hash, None, before.as_ref(), at).map(Poll::Snapshot)
            }
        }
    }
}
