//! Folders and ports of a test's own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// A folder that goes away with the value, unless `PRICEMONITOR_KEEP` is set.
#[derive(Debug)]
pub struct Place {
    folder: Option<tempfile::TempDir>,
}

impl Place {
    /// Makes a fresh folder.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn new() -> Result<Place> {
        let folder = tempfile::Builder::new().prefix("pricemonitor-test-").tempdir()?;
        Ok(Place { folder: Some(folder) })
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
