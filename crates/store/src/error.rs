//! What can go wrong with the store.

use std::path::Path;

/// An error of the store. The text is for people and holds no secrets.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the partition now, or the position moved on without this one: nothing
    /// was written, and this owner must write no more.
    #[error("{0}")]
    Fenced(String),
    /// The database or file was written by a newer program.
    #[error("{0}")]
    Newer(String),
    /// Busy or away for now: the same call may succeed later. Nothing happened, unless the answer to a commit was lost;
    /// a call that writes is safe to repeat either way.
    #[error("{0}")]
    Busy(String),
    /// The batch belongs to another life of the topic than the stored position: an operator decides.
    #[error("{0}")]
    Incarnation(String),
    /// A file is somebody else's, or was changed by somebody else.
    #[error("{0}")]
    Foreign(String),
    /// The server is there and says no: a wrong password, an unknown authority, another host name in its
    /// certificate, a missing database or right. Final until somebody changes a setting, which the text names.
    #[error("{0}")]
    Refused(String),
    /// The tables are not there, or older than this program needs: `pricemonitor setup` has to run first.
    #[error("{0}")]
    Unprepared(String),
    /// A question that cannot be answered, such as one about an unknown time zone.
    #[error("{0}")]
    Question(String),
    /// Disk full, not writable, damaged: nothing acknowledged is lost.
    #[error("{0}")]
    Storage(String),
}

/// The store's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the same call may succeed after a wait, without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Busy(_))
    }

    pub(crate) fn file(doing: &str, path: &Path, error: &std::io::Error) -> Error {
        Error::Storage(format!("{doing} {}: {error}", path.display()))
    }
}
