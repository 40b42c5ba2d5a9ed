//! How the page is served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pricemonitor_config::SecretString;
use serde::{Deserialize, Serialize};

/// How the page is served.
#[derive(Clone)]
pub struct Options {
    /// Shown in the header and the window's title.
    pub title: String,
    /// Version of the program, shown at the foot.
    pub version: &'static str,
    /// When set, page and API want it: `Authorization: Bearer ..`, or `?token=..` once, which
    /// leaves a cookie behind.
    pub token: Option<SecretString>,
    /// Names under which the page may be reached besides `localhost` and the address it is bound
    /// to: `prices.example.org` (with any port) or `prices.example.org:8443`.
    pub allowed_hosts: Vec<String>,
    /// What people should know: sources that fail, channels that are off. Called often, must be
    /// quick and must not block.
    pub notices: Arc<dyn Fn() -> Vec<Notice> + Send + Sync>,
    /// How often the store is asked for news while somebody listens.
    pub refresh: Duration,
}

impl Default for Options {
    /// Titled "PriceMonitor", no token, no further hosts, no notices, news every 500 ms.
    fn default() -> Options {
        Options {
            title: "PriceMonitor".to_owned(),
            version: "",
            token: None,
            allowed_hosts: Vec::new(),
            notices: Arc::new(Vec::new),
            refresh: Duration::from_millis(500),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("title", &self.title)
            .field("version", &self.version)
            .field("token", &self.token)
            .field("allowed_hosts", &self.allowed_hosts)
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}

/// Something that people should know, shown above the prices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notice {
    /// Whether something is broken (a source that fails) rather than just so (a channel without
    /// its secret).
    pub failing: bool,
    /// Id of the monitor it is about.
    pub monitor: String,
    /// One sentence, without secrets.
    pub text: String,
}
