//! The data folder: made if missing, and used by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::{Error, Result};

/// The claim on a data folder, given up when dropped, and by the operating system when the process
/// ends in whatever way.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder if need be and claims it.
    pub(super) fn take(dir: &Path) -> Result<FolderLock> {
        make(dir)?;
        let path = dir.join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| unusable(dir, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &mut file)),
            Err(TryLockError::Error(error)) => return Err(unusable(dir, &error)),
        }
        sign(&mut file).map_err(|error| unusable(dir, &error))?;
        Ok(FolderLock { _file: file })
    }
}

fn make(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
    // So that the folder itself survives the loss of power. Not every file system can.
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty())
        && let Ok(parent) = File::open(parent)
    {
        let _ = parent.sync_all();
    }
    Ok(())
}

/// Leaves the process id for the message of whoever comes second.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(dir: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    // The message is useful without it.
    let _ = file.take(32).read_to_string(&mut holder);
    let holder = match holder.trim() {
        "" => String::new(),
        pid => format!(" (process {pid})"),
    };
    Error::InUse(format!(
        "the data folder `{}` is in use by another pricemonitor{holder}: stop that one, or choose another folder with --data-dir",
        dir.display()
    ))
}

fn unusable(dir: &Path, error: &std::io::Error) -> Error {
    if dir.exists() && !dir.is_dir() {
        return Error::Storage(format!(
            "the data folder `{}` is a file: move it away, or choose a folder with --data-dir",
            dir.display()
        ));
    }
    Error::Storage(format!(
        "the data folder `{}` cannot be used ({error}): make it writable for this user, or choose another with --data-dir",
        dir.display()
    ))
}
