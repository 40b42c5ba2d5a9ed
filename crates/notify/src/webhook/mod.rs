//! A webhook of one's own: one POST with JSON for each alert, after the Standard Webhooks convention.

mod sign;

use std::time::Duration;

use pricemonitor_model::{Alert, Time, wire};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::channel::{Channel, Outcome, Sent};
use crate::client::{Answer, Target};
use crate::rate::retry_after;
use crate::template::Template;
use crate::wording::Wording;

pub(crate) use sign::SigningKey;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The channel.
pub(crate) struct Webhook {
    name: String,
    target: Target,
    key: Option<SigningKey>,
    wording: Wording,
}

impl Webhook {
    /// A channel that signs if it has a key, and adds the template's text if it has a template.
    pub(crate) fn new(
        name: String,
        target: Target,
        key: Option<SigningKey>,
        template: Option<Template>,
    ) -> Webhook {
        let wording = Wording::new(&name, template);
        Webhook { name, target, key, wording }
    }

    /// The alert as on the wire; with a template, its text as the member `text`.
    fn body(&self, alert: &Alert<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        wire::write_alert(alert, &mut body);
        let text = self.wording.text(alert).and_then(|text| serde_json::to_string(&text).ok());
        if let Some(text) = text
            && body.pop_if(|last| *last == b'}').is_some()
        {
            body.extend_from_slice(format!(r#","text":{text}}}"#).as_bytes());
        }
        body
    }

    fn headers(&self, id: &str, at: Time, body: &[u8]) -> Option<HeaderMap> {
        let timestamp = at.millis().div_euclid(1000);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ID, HeaderValue::from_str(id).ok()?);
        headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
        if let Some(key) = &self.key {
            headers.insert(SIGNATURE, HeaderValue::from_str(&key.sign(id, timestamp, body)).ok()?);
        }
        Some(headers)
    }
}

#[async_trait::async_trait]
impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn patience(&self) -> Duration {
        self.target.timeout()
    }

    fn fits(&self, _: &[Alert<'static>]) -> usize {
        1
    }

    async fn send(&self, alerts: &[Alert<'static>], at: Time) -> Sent {
        let sent = |outcome, pause| Sent { taken: 1, outcome, pause, pause_all: false };
        let refused = |reason: &str| sent(Outcome::Refused { reason: reason.to_owned() }, None);
        let Some(alert) = alerts.first() else { return refused("there is no alert to send") };
        let body = self.body(alert);
        let Some(headers) = self.headers(alert.id.as_str(), at, &body) else {
            return refused("the alert's id cannot be a header");
        };
        match self.target.post(headers, body).await {
            Ok(answer) => {
                let pause = (!answer.status.is_success()).then(|| retry_after(&answer.headers, at));
                sent(judge(&answer, &self.target), pause.flatten())
            }
            Err(outcome) => sent(outcome, None),
        }
    }

    fn preview(&self, alerts: &[Alert<'static>]) -> String {
        let mut out = self.wording.trouble(alerts);
        for alert in alerts {
            let body = self.body(alert);
            let value = serde_json::from_slice::<serde_json::Value>(&body);
            let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
            out.push_str(&pretty.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned()));
            out.push('\n');
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// What an answer means.
fn judge(answer: &Answer, target: &Target) -> Outcome {
    let status = answer.status;
    if status.is_success() {
        return Outcome::Delivered { message_id: None };
    }
    let reason = target.said(answer);
    match status {
        StatusCode::GONE => Outcome::Gone { reason },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Retry { reason }
        }
        _ if status.is_server_error() => Outcome::Retry { reason },
        _ => Outcome::Refused { reason },
    }
}
