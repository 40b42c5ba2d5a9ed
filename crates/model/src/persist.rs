//! State that outlives the process.

/// A value that is kept in a state topic or table as bytes.
///
/// # Guarantees
/// `decode(encode(x)) == x`. The first byte is a format number, so that a newer program reads what
/// an older one wrote; the same program never writes two encodings of one value.
pub trait Persist: Sized {
    /// Appends the bytes of this value to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads a value.
    ///
    /// # Errors
    /// Bytes that no known format explains, in particular those of a newer program.
    fn decode(bytes: &[u8]) -> Result<Self, PersistError>;
}

/// Stored bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored {what} cannot be read: {why}")]
pub struct PersistError {
    /// The kind of value.
    pub what: &'static str,
    /// What is wrong with its bytes.
    pub why: String,
}

impl Persist for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(bytes: &[u8]) -> Result<Self, PersistError> {
        Ok(bytes.to_vec())
    }
}
