//! A Discord webhook.
//!
//! Several alerts become one message with one embed each. The message is sent with `wait=true`, so
//! that Discord says whether it took it, and calls nobody whatever its text says.

mod embed;
mod gate;
mod message;

use pricemonitor_model::{Alert, Time};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use std::time::Duration;

use crate::build::BuildError;
use crate::channel::{Channel, Outcome, Sent};
use crate::client::{Address, Answer, Target};
use crate::rate::{retry_after, seconds, seconds_of};
use crate::template::Template;
use crate::wording::Wording;
use message::Message;

/// Hosts whose webhook addresses have a known shape.
const HOSTS: &[&str] = &["discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"];

/// The channel.
pub(crate) struct Discord {
    name: String,
    target: Target,
    wording: Wording,
}

/// The address with what we ask for: an answer, and the thread.
///
/// # Errors
/// When it is an address of Discord, but not a webhook's: somebody copied the wrong thing.
pub(crate) fn checked(address: Address, thread: Option<&str>) -> Result<Address, BuildError> {
    let mut url = address.url().clone();
    if url.host_str().is_some_and(|host| HOSTS.contains(&host)) {
        let path: Vec<&str> = url.path_segments().into_iter().flatten().filter(|it| !it.is_empty()).collect();
        let webhook = match path.as_slice() {
            ["api", "webhooks", id, _] => digits(id),
            ["api", version, "webhooks", id, _] => {
                version.strip_prefix('v').is_some_and(digits) && digits(id)
            }
            _ => false,
        };
        if !webhook || url.scheme() != "https" {
            return Err(address.refused(
                "a Discord webhook is https://discord.com/api/webhooks/<number>/<token>, nothing more",
            ));
        }
    }
    let ours = |name: &str| name == "wait" || (name == "thread_id" && thread.is_some());
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !ours(name))
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    let mut query = url.query_pairs_mut();
    query.clear().extend_pairs(others).append_pair("wait", "true");
    if let Some(thread) = thread {
        query.append_pair("thread_id", thread);
    }
    drop(query);
    Ok(address.with_url(url))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

impl Discord {
    /// A channel; `template` gives the description of each embed.
    pub(crate) fn new(name: String, target: Target, template: Option<Template>) -> Discord {
        let wording = Wording::new(&name, template);
        Discord { name, target, wording }
    }

    fn message(&self, alerts: &[Alert<'_>]) -> Message {
        Message::new(alerts, |alert| self.wording.text(alert))
    }
}

#[async_trait::async_trait]
impl Channel for Discord {
    fn name(&self) -> &str {
        &self.name
    }

    fn patience(&self) -> Duration {
        self.target.timeout()
    }

    fn fits(&self, alerts: &[Alert<'static>]) -> usize {
        self.message(alerts).embeds.len().max(1)
    }

    async fn send(&self, alerts: &[Alert<'static>], at: Time) -> Sent {
        let message = self.message(alerts);
        let taken = message.embeds.len().max(1);
        let none = |outcome| Sent { taken, outcome, pause: None, pause_all: false };
        if let Some(left) = gate::closed(self.target.authority(), at) {
            let reason = format!("Discord wants every webhook to pause for another {} s", left.as_secs() + 1);
            return Sent { pause: Some(left), ..none(Outcome::Retry { reason }) };
        }
        let body = match serde_json::to_vec(&message) {
            Ok(body) => body,
            Err(error) => {
                return none(Outcome::Refused { reason: format!("the message cannot be written: {error}") });
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sent = match self.target.post(headers, body).await {
            Ok(answer) => judge(&answer, &self.target, taken, at),
            Err(outcome) => none(outcome),
        };
        if sent.pause_all {
            gate::close(self.target.authority(), at, sent.pause);
        }
        sent
    }

    fn preview(&self, alerts: &[Alert<'static>]) -> String {
        let message = self.message(alerts);
        let shown = serde_json::to_string_pretty(&message).unwrap_or_else(|error| error.to_string());
        format!("{}{shown}", self.wording.trouble(alerts))
    }
}

/// The members of Discord's answers that matter here; all of them may be missing.
#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(default)]
    global: Option<bool>,
}

/// What an answer means.
fn judge(answer: &Answer, target: &Target, taken: usize, at: Time) -> Sent {
    // Whatever is no JSON says nothing: proxies answer in HTML.
    let body: Body = serde_json::from_slice(&answer.body).unwrap_or_default();
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
    let reset = seconds_of(&answer.headers, "x-ratelimit-reset-after");
    let used_up = header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    let asked: [Option<Duration>; 3] = [
        retry_after(&answer.headers, at).filter(|_| !answer.status.is_success()),
        body.retry_after.and_then(seconds).filter(|_| limited),
        reset.filter(|_| limited || used_up),
    ];
    let global = body.global == Some(true)
        || header("x-ratelimit-global").is_some_and(|it| it.eq_ignore_ascii_case("true"))
        || header("x-ratelimit-scope") == Some("global");
    let outcome = if answer.status.is_success() {
        Outcome::Delivered { message_id: body.id.filter(|id| digits(id)) }
    } else {
        refusal(answer.status, target.said(answer))
    };
    Sent { taken, outcome, pause: asked.into_iter().flatten().max(), pause_all: limited && global }
}

fn refusal(status: StatusCode, reason: String) -> Outcome {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Outcome::Gone { reason },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Outcome::Retry { reason },
        _ if status.is_server_error() => Outcome::Retry { reason },
        _ => Outcome::Refused { reason },
    }
}

#[cfg(test)]
mod tests;
