//! Whom to tell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns;
use crate::secrets::SecretValue;

/// One channel; exactly one of `discord`, `webhook`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.discord), has(self.webhook)].filter(x, x).size() == 1",
    "message": "exactly one of `discord` and `webhook`"
}]))]
pub struct ChannelSpec {
    /// Name, unique in the monitor: a DNS label.
    #[schemars(regex(pattern = patterns::NAME), length(min = 1, max = 63))]
    pub name: String,
    /// A Discord webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord: Option<DiscordSpec>,
    /// A webhook of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// An alert older than this when its turn comes is kept but not sent; 1s to 30d. Default `1h`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Whether to tell when a level is clear again.
    #[serde(default)]
    pub send_resolved: bool,
    /// A minijinja template of the message's text; the alert's members are its variables. Default
    /// a sentence.
    #[schemars(length(min = 1, max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

impl ChannelSpec {
    /// The members that are kinds of channels.
    pub const KINDS: &'static [&'static str] = &["discord", "webhook"];
}

/// A Discord webhook. Its address is its password, hence a secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscordSpec {
    /// The webhook's address. Default the Secret `discord`, key `webhook-url`, which on a laptop is also the variable
    /// `DISCORD_WEBHOOK_URL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<SecretValue>,
    /// Post into this thread of the channel: its number, in quotes. Default the channel itself.
    #[schemars(regex(pattern = "^[0-9]+$"), length(max = 20))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// A webhook of one's own: one POST with JSON for each alert, after the Standard Webhooks
/// convention. Exactly one of `url` and `urlFrom`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.url) != has(self.urlFrom)", "message": "exactly one of `url` and `urlFrom`"
}]))]
pub struct WebhookSpec {
    /// http or https address, without user name and password. Exactly one of `url` and `urlFrom`.
    #[schemars(regex(pattern = patterns::URL), length(min = 1, max = 2048))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The address, kept in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<SecretValue>,
    /// Key for the `webhook-signature` header (`whsec_<base64>` or any text). Default not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretValue>,
    /// How long a request may take; 100ms to 5m. Default `10s`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}
