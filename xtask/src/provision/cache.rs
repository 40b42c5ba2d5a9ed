//! The folder of a fetched program: whole or not there.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::provisioned::{Program, cache};
use crate::run::{self, words};

/// How long another run may take that fetches the same: longer than the longest build.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// Calls `fetch` with a fresh folder when `program` is missing, and marks it as whole only after that;
/// what an interrupted run left is thrown away first.
///
/// # Errors
/// When `fetch` fails, the folder cannot be written, or another run fetches the same for too long.
pub(crate) fn fill(program: &Program, fetch: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = program.folder()?;
    if program.is_there()? {
        println!("{} {}: already in {}", program.name, program.version, folder.display());
        return Ok(());
    }
    let began = Instant::now();
    let parent = cache()?;
    make(&parent)?;
    let _lock = lock(&parent.join(format!(".{}.lock", program.name)))?;
    // Another run may have fetched it while this one waited.
    if program.is_there()? {
        return Ok(());
    }
    println!("{} {}: fetching into {}", program.name, program.version, folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    make(&folder)?;
    fetch(&folder).with_context(|| format!("getting {} {}", program.name, program.version))?;
    let mark = program.mark()?;
    fs::write(&mark, format!("{}\n", program.recipe))
        .with_context(|| format!("writing {}", mark.display()))?;
    println!("{} {}: there after {}", program.name, program.version, words(began.elapsed()));
    Ok(())
}

/// Makes a folder that everybody may read, whatever the umask: servers may run as another user.
fn make(folder: &Path) -> Result<()> {
    let make = || {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))
    };
    make()
        .with_context(|| format!("making {}: name another folder with PRICEMONITOR_CACHE", folder.display()))
}

/// The right to fetch, until the value is dropped or the process ends.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        if run::was_interrupted() {
            bail!("interrupted");
        }
        if Instant::now() >= end {
            bail!("another run has held {} for {}: end it", path.display(), words(PATIENCE));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
