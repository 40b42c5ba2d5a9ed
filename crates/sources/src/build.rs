//! From settings to sources.

use std::path::{Path, PathBuf};

use pricemonitor_config::{SecretError, Secrets, SourceKind, SourceSettings};
use pricemonitor_model::{Observation, Time};

use crate::document::Reader;
use crate::file::{FileSource, Place};
use crate::http::{HttpSource, Target};
use crate::mapping::Mapping;
use crate::simulator::Simulator;
use crate::source::{Source, SourceError};

/// What sources need to know of where they run.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The manifest's folder: relative paths of file sources start here and stay below it.
    pub base_dir: PathBuf,
    /// Where secrets are found.
    pub secrets: Secrets,
    /// A folder that no file source may read from.
    pub secrets_dir: Option<PathBuf>,
}

/// A source cannot be made from its settings. One sentence that names the setting and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The jq filter does not compile.
    #[error("the jq filter {0}")]
    Filter(String),
    /// The path is not one that a file source may read.
    #[error("the path `{path}` {why}")]
    Path {
        /// As written.
        path: String,
        /// What is wrong and what helps.
        why: String,
    },
    /// The address is not one that an http source may ask.
    #[error("the url {0}")]
    Url(String),
    /// A secret is missing or cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A header's text cannot be sent.
    #[error("{what} holds characters that a header cannot carry: use printable ASCII")]
    Header {
        /// Which text; never its content.
        what: &'static str,
    },
    /// The HTTP client cannot be set up.
    #[error("the http client cannot be set up: {0}")]
    Client(String),
}

/// Makes a source: compiles its filter, resolves its secrets, checks its path or address. Looks at
/// neither file nor network.
///
/// # Errors
/// [`BuildError`], a sentence for people; it never holds a secret.
pub fn build(settings: &SourceSettings, context: &Context) -> Result<Box<dyn Source>, BuildError> {
    Ok(match &settings.kind {
        SourceKind::Simulator(spec) => Box::new(Simulator::new(&settings.name, spec)),
        SourceKind::File { path, reader, max_size } => {
            let place = Place::new(path, &context.base_dir, context.secrets_dir.as_deref())?;
            let reader = Reader::new(&settings.name, reader)?;
            Box::new(FileSource::new(place, reader, *max_size))
        }
        SourceKind::Http { url, reader, max_size, timeout, user_agent, bearer_token } => {
            let token = bearer_token.as_ref().map(|token| context.secrets.resolve(token)).transpose()?;
            let target = Target::new(url, user_agent, token.as_ref(), *timeout, *max_size)?;
            Box::new(HttpSource::new(target, Reader::new(&settings.name, reader)?)?)
        }
    })
}

/// Checks what only the sources can judge (filters, paths, addresses), without secrets, files or
/// network.
///
/// # Errors
/// [`BuildError`], a sentence for people.
pub fn check(settings: &SourceSettings, base_dir: &Path) -> Result<(), BuildError> {
    match &settings.kind {
        SourceKind::Simulator(_) => {}
        SourceKind::File { path, reader, .. } => {
            Place::new(path, base_dir, None)?;
            Reader::new(&settings.name, reader)?;
        }
        SourceKind::Http { url, reader, max_size, timeout, user_agent, .. } => {
            Target::new(url, user_agent, None, *timeout, *max_size)?;
            Reader::new(&settings.name, reader)?;
        }
    }
    Ok(())
}

/// What the source's reader makes of a document: for `validate --sample`. Every price of the
/// document, in the order (item, slot start); nothing is left out as already known.
///
/// # Errors
/// [`SourceError`] as a poll would tell it: `malformed`, `too_large`, `timeout`; `refused` for a
/// simulator, which reads no document, and for a filter that does not compile.
pub fn sample(
    settings: &SourceSettings,
    document: &[u8],
    at: Time,
) -> Result<Vec<Observation<'static>>, SourceError> {
    let (reader, max_size) = match &settings.kind {
        SourceKind::File { reader, max_size, .. } | SourceKind::Http { reader, max_size, .. } => {
            (reader, *max_size)
        }
        SourceKind::Simulator(_) => {
            let why = format!("the source `{}` is a simulator: it reads no document", settings.name);
            return Err(SourceError::new("refused", why));
        }
    };
    if document.len() as u64 > max_size {
        return Err(SourceError::too_large("the sample", max_size));
    }
    let reader =
        Reader::new(&settings.name, reader).map_err(|why| SourceError::new("refused", why.to_string()))?;
    let document = document.to_vec();
    let read = crate::bounded::Bounded::default()
        .wait("reading the sample", move || reader.read(&document, at))??;
    Ok(read.observations)
}

/// Compiles a filter only to tell whether it can be; see [`check`].
impl From<crate::mapping::FilterError> for BuildError {
    fn from(error: crate::mapping::FilterError) -> Self {
        BuildError::Filter(error.0)
    }
}

/// A mapping is shared between the source and the thread that runs it.
pub(crate) type SharedMapping = std::sync::Arc<Mapping>;
