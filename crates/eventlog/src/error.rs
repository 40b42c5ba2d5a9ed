//! What can go wrong with the log, whichever engine it is.

/// What can go wrong with the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses the data folder.
    #[error("{0}")]
    InUse(String),
    /// Written by a newer program.
    #[error("{0}")]
    Newer(String),
    /// Disk full, folder not writable, file damaged, broker away: nothing acknowledged is lost.
    #[error("{0}")]
    Storage(String),
    /// Nothing happened; the same call may succeed later.
    #[error("{0}")]
    Retry(String),
    /// Another process has taken this member's place; this one must end.
    #[error("{0}")]
    Fenced(String),
    /// The source is not this member's.
    #[error("the source `{0}` belongs to another member now")]
    NotOwned(String),
    /// It is not known whether it happened.
    #[error("{0}")]
    Ambiguous(String),
    /// The server does not let this program in, or not do what it asked for: wrong password, unknown
    /// certificate, missing right. Only a person can mend it; the text names the setting, no secret.
    #[error("{0}")]
    Refused(String),
    /// Another program of this monitor has gone on with newer settings or a newer format; this one must end.
    #[error("{0}")]
    Superseded(String),
    /// A stored position is outside the log or of another life of the topic: an operator decides.
    #[error("{0}")]
    Position(String),
    /// A record was written by a later program than this one. Its partition stops in front of it, the others go on.
    #[error("{why}")]
    TooNew {
        /// Offset of the record, in the partition of the batch.
        offset: u64,
        /// For people.
        why: String,
    },
    /// A record is larger than the log takes. Nothing happened; the same call would fail again.
    #[error("{0}")]
    TooLarge(String),
    /// The worker's own code failed.
    #[error("{0}")]
    Worker(String),
}

/// The event log's result.
pub type Result<T> = std::result::Result<T, Error>;
