//! Looking at a CSV file that somebody else may be writing. Changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use pricemonitor_model::Incarnation;

use super::sidecar::{self, Sidecar};
use super::{line, tail};
use crate::claim::HistoryRow;
use crate::error::{Error, Result};

/// What is found of a CSV file and what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// There is neither.
    Nothing,
    /// There is a file, but nothing beside it that says where it stands.
    Alone,
    /// What stands beside the file says this of it.
    Both(Standing),
}

/// What is acknowledged of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Per partition, the life of the topic and the next offset.
    pub positions: BTreeMap<u32, (Incarnation, u64)>,
    /// Bytes that are acknowledged.
    pub length: u64,
    /// Bytes that are there; 0 for a file that is not.
    pub found: u64,
    /// Whether the last acknowledged bytes are as they were written.
    pub intact: bool,
}

/// Looks at a file.
///
/// # Errors
/// When it or what stands beside it cannot be read.
pub fn look(path: &Path) -> Result<Look> {
    let exists = path.try_exists().map_err(|error| Error::file("cannot look for", path, &error))?;
    let Some(state) = Sidecar::read(path)? else {
        return Ok(if exists { Look::Alone } else { Look::Nothing });
    };
    let positions =
        state.positions.iter().map(|(p, at)| (*p, (Incarnation(at.incarnation), at.next_offset))).collect();
    let mut standing = Standing { positions, length: state.length, found: 0, intact: false };
    if exists {
        let mut file = File::open(path).map_err(|error| Error::file("cannot open", path, &error))?;
        standing.found = file.metadata().map_err(|error| Error::file("cannot read", path, &error))?.len();
        standing.intact = standing.found >= state.length
            && sidecar::checksum(&tail(&mut file, path, state.length)?) == state.checksum;
    }
    Ok(Look::Both(standing))
}

/// The fields of the line that a row has in the file: received_timestamp, price, startDate, endDate, source.
pub fn fields<'r>(row: &HistoryRow<'r>, source: &'r str) -> [Cow<'r, str>; 5] {
    line::fields(row, source)
}
