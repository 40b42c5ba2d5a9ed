//! The text of a message: by the template, else the default.

use std::sync::atomic::{AtomicBool, Ordering};

use pricemonitor_model::Alert;

use crate::template::Template;

/// Words alerts for one channel. A template that fails on an alert never costs the alert.
pub(crate) struct Wording {
    channel: String,
    template: Option<Template>,
    failing: AtomicBool,
}

impl Wording {
    /// For the channel of that name.
    pub(crate) fn new(channel: &str, template: Option<Template>) -> Wording {
        Wording { channel: channel.to_owned(), template, failing: AtomicBool::new(false) }
    }

    /// The template's text; `None` without a template, and when it fails, which is logged once
    /// until it works again.
    pub(crate) fn text(&self, alert: &Alert<'_>) -> Option<String> {
        match self.template.as_ref()?.render(alert) {
            Ok(text) => {
                self.failing.store(false, Ordering::Relaxed);
                Some(text)
            }
            Err(why) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        channel = self.channel,
                        alert = alert.id.as_str(),
                        "the template fails, the default text is sent: {why}"
                    );
                }
                None
            }
        }
    }

    /// A line for people when the template fails on one of `alerts`, for previews.
    pub(crate) fn trouble(&self, alerts: &[Alert<'_>]) -> String {
        let failed = |alert| self.template.as_ref().and_then(|template| template.render(alert).err());
        match alerts.iter().find_map(failed) {
            Some(why) => format!("the template fails, the default text is used: {why}\n"),
            None => String::new(),
        }
    }
}
