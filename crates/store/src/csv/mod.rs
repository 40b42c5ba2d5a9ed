//! The history as a CSV file, each line exactly once.
//!
//! Beside the file stands `<file>.pos` with the positions in the log and the length of the file that belongs
//! to them. It is written after the file's own data is on disk, and replaced in one step; at the start the
//! file is cut to the length it tells. So a kill at any moment costs at most lines that are written again.
//!
//! `<file>.lock` is locked by whoever has the file open: what another process is writing at this moment must not be
//! cut, and what it has written must be known before the next line.

mod line;
mod lock;
mod look;
mod sidecar;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use pricemonitor_model::Incarnation;

use crate::claim::{HistoryRow, Written};
use crate::error::{Error, Result};
use line::HEADER;
use lock::Lock;
pub use look::{Look, Standing, fields, look};
use sidecar::{Sidecar, TAIL};

/// A CSV file that grows with a monitor's history. No other process has it as long as this one is not dropped.
///
/// # Guarantees
/// Once [`CsvSink::append`] has returned `Ok`, its lines survive a power cut, and no line is ever there twice
/// or by half after the next [`CsvSink::open`]. The same records give the same bytes.
///
/// # Assumptions
/// Nobody but PriceMonitor writes the file. Lines that others append are cut off at the next start; other changes
/// are noticed when they shorten the file or touch its last 4 KiB.
#[derive(Debug)]
pub struct CsvSink {
    path: PathBuf,
    source: String,
    file: File,
    state: Sidecar,
    /// The last bytes of the file, at most [`TAIL`].
    tail: Vec<u8>,
    /// A write failed: what is on disk must be looked at before the next one.
    unsure: bool,
    _lock: Lock,
}

impl CsvSink {
    /// Opens the file, or makes it (and its folder) with the header. `source` fills the last column.
    ///
    /// # Errors
    /// A transient one, and nothing is touched, while another process has it. [`Error::Foreign`] when the file is not
    /// ours or was changed by others, [`Error::Newer`] when a newer program wrote it; else what keeps it from being
    /// written.
    pub fn open(path: &Path, source: &str) -> Result<CsvSink> {
        let folder = folder(path);
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::file("cannot make the folder", folder, &error))?;
        let lock = Lock::take(path)?;
        let (file, state, tail) = ready(path)?;
        let (path, source) = (path.to_owned(), source.to_owned());
        Ok(CsvSink { path, source, file, state, tail, unsure: false, _lock: lock })
    }

    /// Where the file stands in a partition: life of the topic and next offset.
    pub fn position(&self, partition: u32) -> Option<(Incarnation, u64)> {
        let at = self.state.positions.get(&partition)?;
        Some((Incarnation(at.incarnation), at.next_offset))
    }

    /// Appends a batch's lines and stores the position behind them. Rows before the position are passed over and counted
    /// as duplicates.
    ///
    /// # Errors
    /// [`Error::Incarnation`] when the batch is of another life of the topic. After any other error the
    /// same batch may be given again; the file is put right first.
    pub fn append(
        &mut self,
        incarnation: Incarnation,
        partition: u32,
        rows: &[HistoryRow<'_>],
        next_offset: u64,
    ) -> Result<Written> {
        if self.unsure {
            (self.file, self.state, self.tail) = ready(&self.path)?;
            self.unsure = false;
        }
        let known = self.position(partition);
        if let Some((stored, _)) = known
            && stored != incarnation
        {
            return Err(Error::Incarnation(format!(
                "{} stands in incarnation {stored} of the topic, the batch is of {incarnation}: the topic was made anew; \
                 move the file and {} away to begin again",
                self.path.display(),
                sidecar::path(&self.path).display()
            )));
        }
        let next = known.map_or(0, |(_, next)| next);
        let duplicates = rows.iter().take_while(|row| row.offset < next).count();
        let fresh = &rows[duplicates..];
        let written = Written { rows: fresh.len() as u64, duplicates: duplicates as u64 };
        if next_offset <= next {
            return Ok(written);
        }
        let lines = line::write(fresh, &self.source)?;
        self.unsure = true;
        self.grow(&lines)?;
        let position = sidecar::Position { incarnation: incarnation.0, next_offset };
        let mut state = self.state.clone();
        state.positions.insert(partition, position);
        state.length += lines.len() as u64;
        let mut tail = std::mem::take(&mut self.tail);
        tail.extend_from_slice(&lines);
        tail.drain(..tail.len().saturating_sub(TAIL));
        state.checksum = sidecar::checksum(&tail);
        state.write(&self.path)?;
        (self.state, self.tail, self.unsure) = (state, tail, false);
        Ok(written)
    }

    fn grow(&mut self, lines: &[u8]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.file
            .seek(SeekFrom::Start(self.state.length))
            .and_then(|_| self.file.write_all(lines))
            .and_then(|()| self.file.sync_data())
            .map_err(|error| trouble(&self.path, &error))
    }
}

/// The file as its sidecar says it is, with its last bytes; made when there is none.
fn ready(path: &Path) -> Result<(File, Sidecar, Vec<u8>)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| Error::file("cannot open", path, &error))?;
    let state = match Sidecar::read(path)? {
        Some(state) => resume(&mut file, path, state)?,
        None => begin(&mut file, path)?,
    };
    let tail = tail(&mut file, path, state.length)?;
    Ok((file, state, tail))
}

/// The folder a file stands in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A write that failed. A full disk passes: somebody makes room, and the same batch comes again.
fn trouble(path: &Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::Interrupted) {
        return Error::Busy(format!("cannot write {}: {error}; make room", path.display()));
    }
    Error::file("cannot write", path, error)
}

/// A file with a sidecar: cut to what the sidecar tells.
fn resume(file: &mut File, path: &Path, state: Sidecar) -> Result<Sidecar> {
    let length = file.metadata().map_err(|error| Error::file("cannot read", path, &error))?.len();
    let beside = sidecar::path(path);
    let foreign = |what: &str| {
        Error::Foreign(format!(
            "{} was {what} by something else than PriceMonitor: put it back as it was, or move it and {} away to begin a \
             new one",
            path.display(),
            beside.display()
        ))
    };
    if length < state.length {
        return Err(foreign("shortened or removed"));
    }
    if sidecar::checksum(&tail(file, path, state.length)?) != state.checksum {
        return Err(foreign("changed"));
    }
    if length > state.length {
        tracing::info!(file = %path.display(), bytes = length - state.length, "cut off what was not acknowledged");
        file.set_len(state.length)
            .and_then(|()| file.sync_all())
            .map_err(|error| Error::file("cannot cut", path, &error))?;
    }
    Ok(state)
}

/// A file without a sidecar: new, or left so by a crash while it was made. Lines are only ever
/// written once there is a sidecar, so there can be nothing but a piece of the header.
fn begin(file: &mut File, path: &Path) -> Result<Sidecar> {
    let mut found = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| std::io::Read::by_ref(file).take(HEADER.len() as u64 + 1).read_to_end(&mut found))
        .map_err(|error| Error::file("cannot read", path, &error))?;
    if !HEADER.as_bytes().starts_with(&found) {
        return Err(Error::Foreign(format!(
            "{} exists and was not written by PriceMonitor ({} is not there): move it away, or choose another path",
            path.display(),
            sidecar::path(path).display()
        )));
    }
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.write_all(HEADER.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(|error| trouble(path, &error))?;
    let state = Sidecar::new(HEADER.len() as u64, sidecar::checksum(HEADER.as_bytes()));
    state.write(path)?;
    Ok(state)
}

/// The bytes before `length`, at most [`TAIL`].
fn tail(file: &mut File, path: &Path, length: u64) -> Result<Vec<u8>> {
    let from = length.saturating_sub(TAIL as u64);
    let mut bytes = Vec::with_capacity(TAIL * 2);
    file.seek(SeekFrom::Start(from))
        .and_then(|_| std::io::Read::by_ref(file).take(length - from).read_to_end(&mut bytes))
        .map_err(|error| Error::file("cannot read", path, &error))?;
    Ok(bytes)
}
