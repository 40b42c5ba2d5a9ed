//! Folders and ports of a test's own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

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

/// Puts `content` in place of the file at once: written beside it, then renamed, as editors do.
///
/// # Errors
/// When the system refuses it.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, content)?;
    fs::rename(&beside, path).with_context(|| format!("replacing {}", path.display()))
}
