//! The name of a monitor.

use std::fmt;
use std::sync::Arc;

/// `<namespace>.<name>`: prefix of topics, groups and transactional ids, value of the `monitor`
/// column and label. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonitorId(Arc<str>);

impl MonitorId {
    /// The id of `name` in `namespace` (`default` when the manifest names none).
    pub fn new(namespace: Option<&str>, name: &str) -> MonitorId {
        MonitorId(format!("{}.{name}", namespace.unwrap_or("default")).into())
    }

    /// An id that was written by [`MonitorId`]'s `Display`.
    pub fn from_text(text: &str) -> MonitorId {
        MonitorId(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the namespace.
    pub fn name(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(_, name)| name)
    }
}

impl fmt::Display for MonitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
