//! Channels.

use std::time::Duration;

use super::{Checks, exactly_one, values};
use crate::secrets::SecretRef;
use crate::settings::{ChannelKind, ChannelSettings, WebhookUrl};
use crate::spec::{ChannelSpec, DiscordSpec, MAX_CHANNELS, WebhookSpec};

/// Where Discord's address is when the manifest does not say, name and key.
const DISCORD_SECRET: (&str, &str) = ("discord", "webhook-url");
const MAX_AGE: Duration = Duration::from_secs(3600);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The channels.
pub(super) fn settings(checks: &mut Checks, specs: &[ChannelSpec]) -> Vec<ChannelSettings> {
    checks.names("spec.channels", MAX_CHANNELS, specs.iter().map(|spec| spec.name.as_str()));
    let each = specs.iter().enumerate();
    each.filter_map(|(n, spec)| settings_of(checks, &format!("spec.channels[{n}]"), spec)).collect()
}

impl ChannelSettings {
    /// The channel of a monitor that names none, for whoever gives just Discord's address: `discord`, with
    /// every default.
    pub fn discord() -> ChannelSettings {
        let (name, key) = DISCORD_SECRET;
        ChannelSettings {
            name: "discord".to_owned(),
            max_age: MAX_AGE,
            send_resolved: false,
            template: None,
            kind: ChannelKind::Discord {
                webhook_url: SecretRef { name: name.to_owned(), key: key.to_owned() },
                thread_id: None,
            },
        }
    }
}

fn settings_of(checks: &mut Checks, path: &str, spec: &ChannelSpec) -> Option<ChannelSettings> {
    let max_age = checks.duration(format_args!("{path}.maxAge"), &spec.max_age, MAX_AGE, ("1s", "30d"));
    if let Some(template) = &spec.template
        && !(1..=4096).contains(&template.len())
    {
        let message = format!("must have 1 to 4096 characters, not {}", template.len());
        checks.tell(format_args!("{path}.template"), message);
    }
    let discord = spec.discord.as_ref().and_then(|it| discord(checks, &format!("{path}.discord"), it));
    let webhook = spec.webhook.as_ref().and_then(|it| webhook(checks, &format!("{path}.webhook"), it));
    let kinds = [("discord", spec.discord.is_some()), ("webhook", spec.webhook.is_some())];
    checks.take(path, exactly_one("kind of channel", &kinds))?;
    Some(ChannelSettings {
        name: spec.name.clone(),
        max_age,
        send_resolved: spec.send_resolved,
        template: spec.template.clone(),
        kind: discord.or(webhook)?,
    })
}

fn discord(checks: &mut Checks, path: &str, spec: &DiscordSpec) -> Option<ChannelKind> {
    let webhook_url = match &spec.webhook_url {
        Some(value) => checks.secret(format_args!("{path}.webhookUrl"), value),
        None => Some(SecretRef { name: DISCORD_SECRET.0.to_owned(), key: DISCORD_SECRET.1.to_owned() }),
    };
    if let Some(thread) = &spec.thread_id {
        let number = (1..=20).contains(&thread.len()) && thread.bytes().all(|b| b.is_ascii_digit());
        let number = if number { Ok(()) } else { Err("must be a thread's number, in quotes".to_owned()) };
        checks.take(format_args!("{path}.threadId"), number);
    }
    Some(ChannelKind::Discord { webhook_url: webhook_url?, thread_id: spec.thread_id.clone() })
}

fn webhook(checks: &mut Checks, path: &str, spec: &WebhookSpec) -> Option<ChannelKind> {
    let timeout = checks.duration(format_args!("{path}.timeout"), &spec.timeout, TIMEOUT, ("100ms", "5m"));
    let plain = spec.url.as_deref();
    let plain = plain.and_then(|url| checks.take(format_args!("{path}.url"), values::web_address(url)));
    let kept = spec.url_from.as_ref().and_then(|it| checks.secret(format_args!("{path}.urlFrom"), it));
    let signing_secret =
        spec.signing_secret.as_ref().and_then(|it| checks.secret(format_args!("{path}.signingSecret"), it));
    let given = [("url", spec.url.is_some()), ("urlFrom", spec.url_from.is_some())];
    checks.take(path, exactly_one("address", &given))?;
    let url = plain.map(WebhookUrl::Plain).or(kept.map(WebhookUrl::Secret))?;
    Some(ChannelKind::Webhook { url, signing_secret, timeout })
}
