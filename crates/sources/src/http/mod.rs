//! A document on the web.
//!
//! Asked for with `ETag` and `Last-Modified` of the last document that was appended; the body is
//! bounded while it streams (after decompression, so a small answer cannot unfold into a large
//! one). Redirects are followed by hand, each hop judged like the first. How long to wait after a
//! failure is the producer's affair; what the server asks for travels with the error.

mod address;
mod retry;
mod target;

use std::sync::Arc;

use pricemonitor_model::Time;
use reqwest::header::{
    AUTHORIZATION, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use reqwest::{Client, Response, StatusCode, Url};

pub(crate) use target::Target;

use crate::bounded::Bounded;
use crate::build::BuildError;
use crate::diff::{self, Checkpoint, Web};
use crate::document::Reader;
use crate::source::{Poll, Source, SourceError};

/// Most redirects that one look follows.
const MOST_REDIRECTS: u32 = 5;
/// Longest `ETag` or `Last-Modified` that is kept.
const LONGEST_VALIDATOR: usize = 512;

/// A document on the web; see the module.
pub(crate) struct HttpSource {
    client: Client,
    target: Target,
    reader: Reader,
    bounded: Bounded,
}

/// What the server answered.
enum Answer {
    NotModified,
    Body { bytes: Vec<u8>, etag: Option<String>, modified: Option<String> },
}

impl HttpSource {
    /// A source with a client of its own.
    ///
    /// # Errors
    /// [`BuildError::Client`].
    pub(crate) fn new(target: Target, reader: Reader) -> Result<HttpSource, BuildError> {
        // Somebody else in this process may have chosen the provider already; theirs serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Mozilla's roots beside those of the system: a bare Debian has none, a company its own.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots = roots.map(|root| reqwest::Certificate::from_der(root)).collect::<Result<Vec<_>, _>>();
        let client = roots.and_then(|roots| {
            Client::builder()
                .tls_certs_merge(roots)
                .dns_resolver(Arc::new(address::Guarded))
                .redirect(reqwest::redirect::Policy::none())
                // A proxy would resolve names where they cannot be judged.
                .no_proxy()
                .referer(false)
                .pool_max_idle_per_host(1)
                .build()
        });
        let client = client.map_err(|error| BuildError::Client(error.to_string()))?;
        Ok(HttpSource { client, target, reader, bounded: Bounded::default() })
    }

    /// Asks, following redirects. `known` is what the server said about the last document.
    async fn ask(&self, known: Option<&Web>, at: Time) -> Result<Answer, SourceError> {
        let mut url = self.target.url.clone();
        let mut at_home = true;
        for _ in 0..=MOST_REDIRECTS {
            address::judge(&url).map_err(|why| SourceError::new("refused", why))?;
            let response = self.send(url.clone(), at_home, known).await?;
            let Some(next) = redirect(&response, &url)? else {
                return self.answer(response, known.is_some(), at).await;
            };
            // Once it left, the token stays at home even if a later hop leads back.
            at_home = at_home && next.origin() == self.target.url.origin();
            url = next;
        }
        let why = format!("{} redirects more than {MOST_REDIRECTS} times", self.target);
        Err(SourceError::new("status", why))
    }

    async fn send(&self, url: Url, at_home: bool, known: Option<&Web>) -> Result<Response, SourceError> {
        let mut headers = self.target.headers.clone();
        if !at_home {
            headers.remove(AUTHORIZATION);
        }
        let mut ask_if = |name: HeaderName, value: Option<&String>| {
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                headers.insert(name, value);
            }
        };
        ask_if(IF_NONE_MATCH, known.and_then(|known| known.etag.as_ref()));
        ask_if(IF_MODIFIED_SINCE, known.and_then(|known| known.modified.as_ref()));
        let sent = self.client.get(url).headers(headers).send().await;
        sent.map_err(|error| self.explain(&error))
    }

    async fn answer(&self, response: Response, asked_if: bool, at: Time) -> Result<Answer, SourceError> {
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if asked_if => return Ok(Answer::NotModified),
            // Some day-ahead services answer so before the prices are published.
            StatusCode::NO_CONTENT => return Ok(Answer::NotModified),
            _ => return Err(retry::refusal(&self.target.to_string(), status, response.headers(), at)),
        }
        let etag = validator(response.headers(), &ETAG);
        let modified = validator(response.headers(), &LAST_MODIFIED);
        Ok(Answer::Body { bytes: self.body(response).await?, etag, modified })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
            if (bytes.len() + chunk.len()) as u64 > self.target.max_size {
                let what = format!("the answer of {}", self.target);
                return Err(SourceError::too_large(&what, self.target.max_size));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// An error of the client for people: the address may hold a key, so it is left out.
    fn explain(&self, error: &reqwest::Error) -> SourceError {
        if let Some(refused) = address::refused(error) {
            return SourceError::new("refused", format!("{}: {refused}", self.target));
        }
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        let what = if error.is_connect() {
            "cannot be reached"
        } else if error.is_body() || error.is_decode() {
            "broke off in the middle of its answer"
        } else {
            "did not answer properly"
        };
        // The innermost cause says it; the others repeat it.
        let why = causes.pop().unwrap_or_default();
        SourceError::new("network", format!("{} {what}: {why}", self.target))
    }

    async fn asked(&self, known: Option<&Web>, at: Time) -> Result<Answer, SourceError> {
        match tokio::time::timeout(self.target.timeout, self.ask(known, at)).await {
            Ok(answer) => answer,
            Err(_) => {
                let limit = self.target.timeout.as_secs_f64();
                let why = format!("{} took longer than {limit} s (`timeout`)", self.target);
                Err(SourceError::new("timeout", why))
            }
        }
    }
}

#[async_trait::async_trait]
impl Source for HttpSource {
    async fn poll(&mut self, at: Time, checkpoint: Option<&[u8]>) -> Result<Poll, SourceError> {
        let before = Checkpoint::read(checkpoint, self.reader.source());
        let of = self.target.fingerprint(&self.reader);
        let known = before.as_ref().and_then(|before| before.web.as_ref()).filter(|web| web.of == of);
        let (bytes, etag, modified) = match self.asked(known, at).await? {
            Answer::NotModified => return Ok(Poll::Unchanged),
            Answer::Body { bytes, etag, modified } => (bytes, etag, modified),
        };
        let reader = self.reader.clone();
        let hash = before.as_ref().map(|before| before.hash.clone());
        let what = format!("reading the answer of {}", self.target);
        let read = move || {
            let new = reader.hash(&bytes);
            if hash.as_ref() == Some(&new) {
                return Ok(None);
            }
            reader.read(&bytes, at).map(|document| Some((document, new)))
        };
        let read = self.bounded.run(&what, read).await?;
        let read = read.map_err(|error| SourceError {
            message: format!("{}: {}", self.target, error.message),
            ..error
        })?;
        let Some((document, hash)) = read else { return Ok(Poll::Unchanged) };
        let web = Web { of, etag, modified };
        diff::snapshot(document, hash, Some(web), before.as_ref(), at).map(Poll::Snapshot)
    }
}

/// Where the answer leads, if it is a redirect.
fn redirect(response: &Response, from: &Url) -> Result<Option<Url>, SourceError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let place = target::host(from);
    let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    let to = to.and_then(|to| from.join(to).ok());
    let Some(to) = to else {
        return Err(SourceError::new("status", format!("{place} redirects without saying where to")));
    };
    let refuse =
        |why: &str| Err(SourceError::new("refused", format!("{place} redirects {why}: not followed")));
    match (from.scheme(), to.scheme()) {
        ("https", "http") => refuse("from https to http"),
        (_, "http" | "https") => Ok(Some(to)),
        _ => refuse("to something that is not the web"),
    }
}

fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= LONGEST_VALIDATOR).then(|| value.to_owned())
}
