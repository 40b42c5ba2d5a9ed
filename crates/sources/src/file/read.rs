//! One look at a file, on a thread of its own.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use pricemonitor_model::Time;

use super::{Found, Place};
use crate::document::Reader;
use crate::source::SourceError;

/// Files below this size are read at every look, whatever their times say.
const SMALL: u64 = 1024 * 1024;
/// How long a file must have been left alone before its unchanged times are trusted.
const AT_REST: Duration = Duration::from_secs(2);
/// How often a file that changes meanwhile is read.
const ATTEMPTS: u32 = 4;
/// Pause between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// What identifies a state of a file without reading it.
#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Stamp {
        Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            length: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// What a look found, for the next look of the same process.
pub(super) struct Seen {
    stamp: Stamp,
    /// The file had been left alone for a while when it was read.
    at_rest: bool,
    hash: String,
}

/// Everything that one look needs.
pub(super) struct Look {
    pub(super) place: Place,
    pub(super) reader: Reader,
    pub(super) max_size: u64,
    /// Hash of the document that the checkpoint stands for.
    pub(super) hash: Option<String>,
    pub(super) seen: Option<Seen>,
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// `missing`, `unreadable`, `too_large`, `refused`, or what the reader says.
    pub(super) fn now(mut self, at: Time) -> Result<Found, SourceError> {
        for attempt in 1.. {
            let path = self.place.resolve()?;
            // Before it is opened: opening a pipe would wait for a writer.
            self.is_file(&path.metadata().map_err(|error| self.place.explain(&error))?)?;
            let mut file = File::open(&path).map_err(|error| self.place.explain(&error))?;
            let meta = file.metadata().map_err(|error| self.place.explain(&error))?;
            self.is_file(&meta)?;
            let stamp = Stamp::of(&meta);
            if let Some(seen) = self.seen.take_if(|seen| seen.spares(stamp, self.hash.as_deref())) {
                return Ok(Found::Unchanged(seen));
            }
            let bytes = self.content(&mut file)?;
            let young = age(&meta).is_none_or(|age| age < AT_REST);
            if young && self.reader.may_be_torn() {
                std::thread::sleep(PAUSE);
            }
            let after = file.metadata().map_err(|error| self.place.explain(&error))?;
            if Stamp::of(&after) == stamp && bytes.len() as u64 == stamp.length {
                return self.judge(&bytes, Seen { stamp, at_rest: !young, hash: String::new() }, at);
            }
            if attempt == ATTEMPTS {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let why = format!("{} keeps changing while it is read; the next look tries again", self.place);
        Err(SourceError::new("unreadable", why))
    }

    fn judge(self, bytes: &[u8], seen: Seen, at: Time) -> Result<Found, SourceError> {
        let hash = self.reader.hash(bytes);
        let seen = Seen { hash: hash.clone(), ..seen };
        if self.hash.as_ref() == Some(&hash) {
            return Ok(Found::Unchanged(seen));
        }
        let document = self.reader.read(bytes, at).map_err(|error| SourceError {
            message: format!("{}: {}", self.place, error.message),
            ..error
        })?;
        Ok(Found::Changed { document, hash, seen })
    }

    fn is_file(&self, meta: &Metadata) -> Result<(), SourceError> {
        if meta.is_file() {
            return Ok(());
        }
        let what = if meta.is_dir() { "a folder" } else { "a pipe, socket or device" };
        Err(SourceError::new("refused", format!("{} is {what}: name a plain file", self.place)))
    }

    fn content(&self, file: &mut File) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large, even one that grows.
        let read = file.take(self.max_size.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| self.place.explain(&error))?;
        if bytes.len() as u64 > self.max_size {
            return Err(SourceError::too_large(&self.place.to_string(), self.max_size));
        }
        Ok(bytes)
    }
}

impl Seen {
    /// Whether a large file that looks as it did need not be read again.
    fn spares(&self, stamp: Stamp, hash: Option<&str>) -> bool {
        self.at_rest && stamp.length >= SMALL && self.stamp == stamp && hash == Some(&self.hash)
    }
}

/// How long ago the file was last written; nothing if that lies in the future.
fn age(meta: &Metadata) -> Option<Duration> {
    SystemTime::now().duration_since(meta.modified().ok()?).ok()
}
