//! Folders and ports of a test's own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What the names of all folders begin with.
const PREFIX: &str = "pricemonitor-test-";
/// Beside a folder, a file with this ending is locked for as long as the folder's process lives.
const OWNER: &str = "owner";
/// A process that has just made such a file may not have locked it yet.
const FRESH: Duration = Duration::from_secs(60);

/// A folder that goes away with the value, unless `PRICEMONITOR_KEEP` is set. Where the value is never
/// dropped (it is static, its process was killed), the next process that makes one removes the folder.
#[derive(Debug)]
pub struct Place {
    folder: Option<tempfile::TempDir>,
    owner: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes a fresh folder.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn new() -> Result<Place> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir()));
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let owner = folder.path().with_extension(OWNER);
        let lock = File::create(&owner).with_context(|| format!("making {}", owner.display()))?;
        lock.lock().with_context(|| format!("locking {}", owner.display()))?;
        Ok(Place { folder: Some(folder), owner, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new("."), |folder| folder.path())
    }

    /// A path in it.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file in it, with the folders it needs, in place of what was there.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.at(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::env::var_os("PRICEMONITOR_KEEP").is_some()
            && let Some(folder) = self.folder.take()
        {
            println!("kept {}", folder.keep().display());
        }
        drop(self.folder.take());
        // A kept folder without it is nobody's to remove.
        let _ = fs::remove_file(&self.owner);
    }
}

/// Removes the folders in `parent` whose processes have ended; what cannot be removed stays.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let owner = entry.path();
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !ours || owner.extension().is_none_or(|ending| ending != OWNER) {
            continue;
        }
        let Ok(file) = File::open(&owner) else { continue };
        let made = file.metadata().and_then(|data| data.modified());
        let old = made.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > FRESH));
        if old && file.try_lock().is_ok() {
            let _ = fs::remove_dir_all(owner.with_extension(""));
            let _ = fs::remove_file(&owner);
        }
    }
}

/// A port of the loopback address that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A free port of the loopback address for a server that may be killed and started again. It is not one
/// of those that the system hands out for outgoing connections, so that none takes it meanwhile, and no
/// other call in this process gets it.
///
/// # Errors
/// When there is none.
pub fn server_port() -> Result<u16> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Processes that start at the same time begin far apart.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let next = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("every port from {FIRST} to {} is taken", FIRST + COUNT - 1)
}

/// Puts `content` in place of the file at once: written beside it, then renamed, as editors do.
///
/// # Errors
/// When the system refuses it.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, content)?;
    fs::rename(&beside, path).with_context(|| format!("replacing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_value_or_is_swept_after_its_process() {
        let place = Place::new().unwrap();
        let (folder, owner) = (place.path().to_owned(), place.owner.clone());
        assert!(folder.is_dir() && owner.is_file());
        drop(place);
        assert!(!folder.exists() && !owner.exists());

        let parent = tempfile::tempdir().unwrap();
        let made = |name: &str, age: u64| {
            let folder = parent.path().join(format!("{PREFIX}{name}"));
            fs::create_dir_all(folder.join("data")).unwrap();
            let file = File::create(folder.with_extension(OWNER)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
            (folder, file)
        };
        let (gone, _) = made("gone", 120);
        let (lives, lock) = made("lives", 120);
        lock.lock().unwrap();
        let (fresh, _) = made("fresh", 1);
        let (kept, _) = made("kept", 120);
        fs::remove_file(kept.with_extension(OWNER)).unwrap();
        sweep(parent.path());
        assert!(!gone.exists() && !gone.with_extension(OWNER).exists());
        assert!(lives.exists() && fresh.exists() && kept.exists());
    }
}
