//! What is asked for, and how.

use std::fmt;
use std::time::Duration;

use pricemonitor_config::SecretString;
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use sha2::{Digest, Sha256};

use super::address;
use crate::build::BuildError;
use crate::document::{Reader, hex};

/// What is asked for, and how. Shown as scheme and host only: paths and queries may hold keys.
pub(crate) struct Target {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) max_size: u64,
}

impl Target {
    /// Checks address and headers. The token's header is marked so that nothing prints it.
    ///
    /// # Errors
    /// [`BuildError::Url`], [`BuildError::Header`].
    pub(crate) fn new(
        url: &str,
        user_agent: &str,
        token: Option<&SecretString>,
        timeout: Duration,
        max_size: u64,
    ) -> Result<Target, BuildError> {
        let url: Url = url.parse().map_err(|error| {
            BuildError::Url(format!("is no address: {error}; write it like https://example.com/prices.json"))
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BuildError::Url("must begin with http:// or https://".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BuildError::Url("holds a user name or password: use `bearerToken`".to_owned()));
        }
        address::judge(&url).map_err(BuildError::Url)?;
        let mut headers = HeaderMap::new();
        let agent =
            HeaderValue::from_str(user_agent).map_err(|_| BuildError::Header { what: "`userAgent`" })?;
        headers.insert(USER_AGENT, agent);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/csv;q=0.9, */*;q=0.5"));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| BuildError::Header { what: "the secret of `bearerToken`" })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Target { url, headers, timeout, max_size })
    }

    /// Hash of address and reader: what a server said about another document, or about this one
    /// for another reader, means nothing.
    pub(super) fn fingerprint(&self, reader: &Reader) -> String {
        let mut hash = Sha256::new();
        hash.update(reader.fingerprint());
        hash.update(self.url.as_str().as_bytes());
        hex(&hash.finalize()[..16])
    }
}

/// Scheme, host and port, without anything that could be a key.
pub(super) fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host(&self.url))
    }
}
