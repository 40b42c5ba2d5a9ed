//! Whose turn it is.

use std::fs::{self, File, TryLockError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::provisioned::cache;

/// How long another test may have one; the longest builds an image.
const PATIENCE: Duration = Duration::from_secs(40 * 60);

/// The right to have one, until the value is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
}

/// Waits for it.
pub(crate) fn turn() -> Result<Turn> {
    let folder = cache()?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(".apart-in-use.lock");
    let lock = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Turn { _lock: lock }),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::WouldBlock) => bail!(
                "another test has had a machine apart for {} minutes: end the process that holds {}",
                PATIENCE.as_secs() / 60,
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
    }
}
