//! Which files may be read.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::build::BuildError;
use crate::source::SourceError;

/// A path that a file source reads, and the folders that bound it.
///
/// A relative path stays below the manifest's folder, an absolute one in its own folder: symlinks
/// are followed only within (a mounted ConfigMap is made of such links). The secrets folder is out
/// of bounds, however it is reached.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As a person would name it.
    shown: String,
    full: PathBuf,
    bound: PathBuf,
    secrets: Option<PathBuf>,
}

impl Place {
    /// Judges the path by its text alone; the file system is asked at each look.
    ///
    /// # Errors
    /// [`BuildError::Path`].
    pub(crate) fn new(path: &Path, base_dir: &Path, secrets_dir: Option<&Path>) -> Result<Place, BuildError> {
        let refuse =
            |why: &str| Err(BuildError::Path { path: path.display().to_string(), why: why.to_owned() });
        if path.components().any(|part| part == Component::ParentDir) {
            return refuse("holds `..`: put the file below the manifest's folder or give a full path");
        }
        let Some(Component::Normal(_)) = path.components().next_back() else {
            return refuse("names no file");
        };
        // A manifest in the working directory has an empty folder.
        let base_dir = if base_dir.as_os_str().is_empty() { Path::new(".") } else { base_dir };
        let full = base_dir.join(path);
        let bound = match (path.is_absolute(), full.parent()) {
            (true, Some(folder)) => folder.to_owned(),
            _ => base_dir.to_owned(),
        };
        if secrets_dir.is_some_and(|secrets| full.starts_with(secrets)) {
            return refuse("lies in the secrets folder, which no source may read");
        }
        let secrets = secrets_dir.map(Path::to_owned);
        Ok(Place { shown: path.display().to_string(), full, bound, secrets })
    }

    /// The file as it is now, every symlink followed and judged.
    ///
    /// # Errors
    /// `missing`, `unreadable`, or `refused` when it leads out of bounds.
    pub(super) fn resolve(&self) -> Result<PathBuf, SourceError> {
        let real = self.full.canonicalize().map_err(|error| self.explain(&error))?;
        let bound = self.bound.canonicalize().map_err(|error| self.explain(&error))?;
        if !real.starts_with(&bound) {
            let why = format!("{self} leads out of {}: a file source follows no such link", bound.display());
            return Err(SourceError::new("refused", why));
        }
        let secrets = self.secrets.as_ref().and_then(|folder| folder.canonicalize().ok());
        if secrets.is_some_and(|secrets| real.starts_with(secrets)) {
            let why = format!("{self} leads into the secrets folder, which no source may read");
            return Err(SourceError::new("refused", why));
        }
        Ok(real)
    }

    /// What an I/O error means for people.
    pub(super) fn explain(&self, error: &std::io::Error) -> SourceError {
        match error.kind() {
            ErrorKind::NotFound => {
                SourceError::new("missing", format!("{self} is not there yet; it is waited for"))
            }
            ErrorKind::PermissionDenied => SourceError::new(
                "unreadable",
                format!("{self} may not be read: give this user the right to read it"),
            ),
            _ => SourceError::new("unreadable", format!("{self} cannot be read: {error}")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
