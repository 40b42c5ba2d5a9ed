//! One request to somebody else's server, and what can be known about its fate.
//!
//! # Guarantees
//! - "Not sent" is said only when no connection was made (name, connect, TLS): then nobody can have
//!   read the request. Every other failure without an answer is *ambiguous*.
//! - Redirects are not followed, proxies of the environment are not used, compressed answers are not
//!   asked for, and of an answer's body at most 64 KiB are read.
//! - No text made here holds the address's secret parts.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode, Url, redirect};
use rustls::crypto::{CryptoProvider, ring};

use crate::address::{Forbidden, Guard, forbidden, literal};
use crate::build::BuildError;
use crate::channel::Outcome;
use crate::cutter::Cutter;
use crate::text::{one_line, shortened};

/// Most bytes of an answer's body.
const MAX_BODY: usize = 64 * 1024;
/// Most characters of an answer's body in a reason.
const SHOWN: usize = 300;
/// A connection is used again only if it was idle for less: most servers keep theirs for five
/// seconds and more, and a request on a connection that just ended would be ambiguous.
const IDLE: Duration = Duration::from_secs(1);

/// A checked address of a receiver. Not `Debug`: it may be a secret.
pub(crate) struct Address {
    url: Url,
    public: bool,
    place: String,
}

impl Address {
    /// One that stands in the manifest.
    pub(crate) fn plain(text: &str) -> Result<Address, BuildError> {
        Address::new(text, true, "`webhook.url`".to_owned())
    }

    /// One that stands in a secret; `place` names it.
    pub(crate) fn secret(text: &str, place: String) -> Result<Address, BuildError> {
        Address::new(text.trim(), false, place)
    }

    fn new(text: &str, public: bool, place: String) -> Result<Address, BuildError> {
        let refuse = |why: &str| BuildError::Address { place: place.clone(), why: why.to_owned() };
        let shape = "it must be a web address such as https://host/path";
        let mut url = Url::parse(text).map_err(|_| refuse(shape))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse(shape))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(shape));
        }
        if literal(host).is_some_and(forbidden) {
            return Err(refuse("nothing is sent to link-local and metadata addresses"));
        }
        url.set_fragment(None);
        Ok(Address { url, public, place })
    }

    /// The url, to be looked at.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The same with another url.
    pub(crate) fn with_url(self, url: Url) -> Address {
        Address { url, ..self }
    }

    /// That it cannot be used.
    pub(crate) fn refused(&self, why: &str) -> BuildError {
        BuildError::Address { place: self.place.clone(), why: why.to_owned() }
    }

    /// How people are told of it.
    fn shown(&self) -> String {
        match (self.public, self.url.host_str(), self.url.port()) {
            (true, Some(host), Some(port)) => format!("{host}:{port}"),
            (true, Some(host), None) => host.to_owned(),
            _ => format!("the address {}", self.place),
        }
    }
}

/// Where messages go.
pub(crate) struct Target {
    client: Client,
    url: Url,
    shown: String,
    cutter: Cutter,
    timeout: Duration,
}

/// An answer, whatever it says.
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: StatusCode,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// The first bytes of the body.
    pub(crate) body: Vec<u8>,
    /// Whether there was more, or the body broke off.
    pub(crate) cut_off: bool,
}

impl Target {
    /// A target with a client of its own. `secrets` are cut out of every text as well.
    pub(crate) fn new(address: Address, timeout: Duration, secrets: &[&str]) -> Result<Target, BuildError> {
        Target::with(Guard::SYSTEM, address, timeout, secrets)
    }

    fn with(
        guard: Guard,
        address: Address,
        timeout: Duration,
        secrets: &[&str],
    ) -> Result<Target, BuildError> {
        let builder = Client::builder()
            .user_agent(concat!("PriceMonitor/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .gzip(false)
            .http1_only()
            .dns_resolver(Arc::new(guard))
            .timeout(timeout)
            // Shorter than the whole: what takes longest before sending is then never ambiguous.
            .connect_timeout((timeout / 2).min(Duration::from_secs(5)))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1);
        let client = with_tls(builder, address.url.scheme())
            .and_then(|builder| builder.build().map_err(|error| root(&error)))
            .map_err(BuildError::Client)?;
        let cutter = Cutter::new(&address.url, address.public, secrets);
        Ok(Target { client, shown: address.shown(), url: address.url, cutter, timeout })
    }

    /// Longest wait for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Host and port: what limits of a whole server are kept by. Not for texts.
    pub(crate) fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Sends `body`.
    ///
    /// # Errors
    /// The outcome when there was no answer: `Retry` when it was surely not sent, else `Ambiguous`;
    /// `Refused` when it may not be sent there.
    pub(crate) async fn post(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Outcome> {
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        match request.send().await {
            Ok(response) => Ok(read(response).await),
            Err(error) => Err(self.fate(&error)),
        }
    }

    /// What became of a request without an answer.
    fn fate(&self, error: &reqwest::Error) -> Outcome {
        let (shown, why) = (&self.shown, self.cutter.cut(&root(error)));
        if chain(error).any(|cause| cause.is::<Forbidden>()) {
            return Outcome::Refused { reason: format!("nothing was sent to {shown}: {why}") };
        }
        if error.is_builder() {
            return Outcome::Refused { reason: format!("no request can be made for {shown}: {why}") };
        }
        if error.is_connect() {
            return Outcome::Retry { reason: format!("cannot connect to {shown}: {why}") };
        }
        let maybe = "the message may have arrived";
        let reason = if error.is_timeout() {
            format!("{shown} did not answer within {:?}; {maybe}", self.timeout)
        } else {
            format!("{shown} gave no proper answer ({why}); {maybe}")
        };
        Outcome::Ambiguous { reason }
    }

    /// What an answer says, for people.
    pub(crate) fn said(&self, answer: &Answer) -> String {
        let status = answer.status;
        if status.is_redirection() {
            return format!(
                "it answered {status}, and redirects are not followed: use the address that it leads to"
            );
        }
        let body = one_line(&String::from_utf8_lossy(&answer.body));
        let body = if answer.cut_off { self.cutter.cut_fragment(&body) } else { self.cutter.cut(&body) };
        match body.as_str() {
            "" => format!("it answered {status}"),
            body => format!("it answered {status}: {}", shortened(body, SHOWN)),
        }
    }
}

/// TLS by rustls on ring. Plain http needs no certificates, so a machine without any can use it.
fn with_tls(builder: reqwest::ClientBuilder, scheme: &str) -> Result<reqwest::ClientBuilder, String> {
    if scheme == "https" {
        // An error means that the process has a provider already, which is as good.
        drop(CryptoProvider::install_default(ring::default_provider()));
        return Ok(builder);
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

/// Reads the start of a body. The status is known, so a body that breaks off changes nothing.
async fn read(mut response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    let cut_off = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => {
                body.extend_from_slice(&chunk[..MAX_BODY - body.len()]);
                break true;
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    Answer { status, headers, body, cut_off }
}

type Cause<'e> = &'e (dyn std::error::Error + 'static);

/// An error, its cause, the cause's cause ...
fn chain<'e>(error: Cause<'e>) -> impl Iterator<Item = Cause<'e>> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The innermost cause. The outermost would name the address.
fn root(error: &reqwest::Error) -> String {
    match error.source() {
        Some(source) => chain(source).last().map_or_else(String::new, ToString::to_string),
        None => "no cause is known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::address::Lookup;

    async fn through(lookup: Lookup) -> Outcome {
        let guard = Guard::by(lookup);
        let address = Address::plain("http://receiver.example:9/hook").unwrap();
        let target =
            Target::with(guard, address, Duration::from_secs(2), &[]).unwrap_or_else(|e| panic!("{e}"));
        match target.post(HeaderMap::new(), b"{}".to_vec()).await {
            Ok(answer) => panic!("{}", answer.status),
            Err(outcome) => outcome,
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_metadata_address_is_refused_and_one_that_leads_nowhere_is_tried_again() {
        let refused =
            through(|_| Box::pin(async { Ok(vec![SocketAddr::from(([169, 254, 169, 254], 0))]) })).await;
        let Outcome::Refused { reason } = refused else { panic!("{refused:?}") };
        assert!(reason.contains("nothing was sent to receiver.example:9"), "{reason}");
        assert!(reason.contains("link-local or metadata"), "{reason}");
        let retried = through(|_| Box::pin(async { Err(std::io::Error::other("no such name")) })).await;
        let Outcome::Retry { reason } = retried else { panic!("{retried:?}") };
        assert!(reason.contains("no such name"), "{reason}");
        assert!(matches!(through(|_| Box::pin(async { Ok(Vec::new()) })).await, Outcome::Retry { .. }));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_its_place_and_not_its_text() {
        for text in [
            "",
            "secret-word",
            "ftp://secret-word/",
            "http://",
            "http://169.254.169.254/secret-word",
            "http://[fe80::1]/",
            "http://0xA9FEA9FE/",
        ] {
            let Err(error) = Address::secret(text, "in secret `s`, key `k`".to_owned()) else {
                panic!("{text}")
            };
            let error = error.to_string();
            assert!(error.starts_with("the address in secret `s`, key `k` cannot be used: "), "{error}");
            assert!(!error.contains("secret-word"), "{error}");
        }
    }

    #[test]
    fn a_secret_address_is_named_by_its_place_alone() {
        let secret =
            Address::secret("https://a1b2c3.example/x", "in secret `s`, key `k`".to_owned()).unwrap();
        assert_eq!(secret.shown(), "the address in secret `s`, key `k`");
        assert_eq!(Address::plain("http://h:81/x?token=1#f").unwrap().shown(), "h:81");
        assert_eq!(Address::plain("http://h/x").unwrap().shown(), "h");
    }
}
