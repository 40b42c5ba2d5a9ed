//! Events: what a person should hear of.

use std::time::Duration;

use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder};

use crate::kinds::MONITOR;
use crate::monitor::Monitor;

/// Longest text of an Event, in bytes. The API takes 1,024.
const NOTE: usize = 1_000;
/// Longest wait for one.
const WAIT: Duration = Duration::from_secs(5);

/// What becomes an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// It is trouble.
    pub warning: bool,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl News {
    /// Of a word and a sentence.
    pub fn of(warning: bool, reason: &str, message: impl Into<String>) -> News {
        News { warning, reason: reason.to_owned(), message: message.into() }
    }
}

/// Writes Events about a monitor. One that cannot be written is passed over: nothing hangs on it.
pub async fn tell(recorder: &Recorder, monitor: &Monitor, news: &[News]) {
    let about = monitor.object_ref(&MONITOR.resource());
    for one in news {
        let mut note = one.message.clone();
        note.truncate(note.floor_char_boundary(NOTE));
        let event = Event {
            type_: if one.warning { EventType::Warning } else { EventType::Normal },
            reason: one.reason.clone(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        match tokio::time::timeout(WAIT, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(reason = one.reason, "an Event was not written: {error}"),
            Err(_) => tracing::warn!(reason = one.reason, "an Event was not written: no answer"),
        }
    }
}
