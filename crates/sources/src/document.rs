//! Documents and the readers that make observations of them; shared by `file` and `http`.

use pricemonitor_config::{Format, MappingInput, ReaderSettings};
use pricemonitor_model::{Observation, Time};
use sha2::{Digest, Sha256};

use crate::build::{BuildError, SharedMapping};
use crate::mapping::Mapping;
use crate::source::SourceError;

/// Most prices of one document.
pub(crate) const MOST_PRICES: usize = 100_000;
/// Most prices with a slot of one document: they all stand in the checkpoint.
pub(crate) const MOST_SLOTS: usize = 20_000;

/// What a reader made of a document.
#[derive(Debug)]
pub(crate) struct Document {
    /// In the order (item, slot start), each item and slot once.
    pub(crate) observations: Vec<Observation<'static>>,
    /// Whether these are all prices that the source has.
    pub(crate) complete: bool,
}

/// Makes observations of a document's bytes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reader {
    source: String,
    kind: Kind,
    /// Hash of everything that decides what the reader makes of a document.
    fingerprint: [u8; 32],
}

#[derive(Clone)]
enum Kind {
    Porssisahko,
    Mapping(SharedMapping),
}

impl Reader {
    /// Compiles the reader of the source named `source`.
    pub(crate) fn new(source: &str, settings: &ReaderSettings) -> Result<Reader, BuildError> {
        let kind = match settings {
            ReaderSettings::Format(Format::Porssisahko) => Kind::Porssisahko,
            ReaderSettings::Mapping { input, jq, currency, unit, complete } => {
                let mapping = Mapping::new(*input, jq, currency.clone(), unit.clone(), *complete)?;
                Kind::Mapping(mapping.into())
            }
        };
        // The derived text of the settings names every member; another version of this program may
        // write it differently, and then a document is read once more.
        let fingerprint = Sha256::digest(format!("1 {settings:?}").as_bytes()).into();
        Ok(Reader { source: source.to_owned(), kind, fingerprint })
    }

    /// Reads a whole document; all of it or nothing.
    pub(crate) fn read(&self, bytes: &[u8], at: Time) -> Result<Document, SourceError> {
        let text = text_of(bytes)?;
        let mut document = match &self.kind {
            Kind::Porssisahko => {
                Document { observations: crate::porssisahko::read(&self.source, text, at)?, complete: false }
            }
            Kind::Mapping(mapping) => mapping.read(&self.source, text, at)?,
        };
        document.observations.sort_by(|a, b| (&a.item, a.slot).cmp(&(&b.item, b.slot)));
        let slots = document.observations.iter().filter(|o| o.slot.is_some()).count();
        if slots > MOST_SLOTS {
            return Err(SourceError::new(
                "too_large",
                format!("{slots} time slots, at most {MOST_SLOTS} are read: ask for a shorter span"),
            ));
        }
        Ok(document)
    }

    /// Name of the source.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether a document that was cut off can look like a whole one, so that a file that is being
    /// written must be let settle.
    pub(crate) fn may_be_torn(&self) -> bool {
        matches!(&self.kind, Kind::Mapping(mapping) if mapping.input() == MappingInput::Csv)
    }

    /// A hash of everything that decides what this reader makes of a document.
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Hash of a document as this reader sees it: another mapping gives another hash.
    pub(crate) fn hash(&self, bytes: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint);
        hash.update(bytes);
        hex(&hash.finalize())
    }
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of a document, without the mark that some editors put in front of UTF-8.
fn text_of(bytes: &[u8]) -> Result<&str, SourceError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(SourceError::malformed("the document is UTF-16: save it as UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        SourceError::malformed(format!("the document is not UTF-8 (byte {})", error.valid_up_to()))
    })?;
    if text.trim().is_empty() {
        return Err(SourceError::malformed("the document is empty"));
    }
    Ok(text)
}
