//! The file beside the file: positions, and what the file looked like there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{folder, trouble};
use crate::error::{Error, Result};

const FORMAT: u32 = 1;
/// How many of the file's last bytes the checksum covers.
pub(super) const TAIL: usize = 4096;

/// What stands in `<file>.pos`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sidecar {
    format: u32,
    /// Per partition.
    pub(super) positions: BTreeMap<u32, Position>,
    /// Bytes of the file that are acknowledged.
    pub(super) length: u64,
    /// SHA-256 of the last [`TAIL`] of them.
    pub(super) checksum: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) incarnation: u64,
    pub(super) next_offset: u64,
}

/// What every format says, also one that this program does not know.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// `<file>.pos`.
pub(super) fn path(file: &Path) -> PathBuf {
    with(file, ".pos")
}

/// A file beside `file`.
pub(super) fn with(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

pub(super) fn checksum(tail: &[u8]) -> String {
    Sha256::digest(tail).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sidecar {
    pub(super) fn new(length: u64, checksum: String) -> Sidecar {
        Sidecar { format: FORMAT, positions: BTreeMap::new(), length, checksum }
    }

    /// Reads the sidecar of `file`; `None` when there is none.
    pub(super) fn read(file: &Path) -> Result<Option<Sidecar>> {
        let path = path(file);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("cannot read", &path, &error)),
        };
        match serde_json::from_slice::<Head>(&bytes) {
            Ok(Head { format }) if format > FORMAT => {
                return Err(Error::Newer(format!(
                    "{} has format {format}, this PriceMonitor reads up to {FORMAT}: upgrade it",
                    path.display()
                )));
            }
            _ => {}
        }
        let state = serde_json::from_slice(&bytes).map_err(|error| {
            Error::Foreign(format!(
                "{} cannot be read ({error}): restore it, or move it and the CSV file away to begin a new one",
                path.display()
            ))
        })?;
        Ok(Some(state))
    }

    /// Replaces the sidecar of `file` in one step. The file's own data must be on disk already.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let (path, draft) = (path(file), with(file, ".pos.tmp"));
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::Storage(format!("cannot write {}: {error}", path.display())))?;
        let write = || -> std::io::Result<()> {
            let mut out = File::create(&draft)?;
            out.write_all(&text)?;
            out.sync_all()?;
            drop(out);
            std::fs::rename(&draft, &path)?;
            // The new name is durable once the folder is.
            File::open(folder(&path))?.sync_all()
        };
        write().map_err(|error| trouble(&path, &error))
    }
}
