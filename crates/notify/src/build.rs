//! From settings to channels.

use std::time::Duration;

use pricemonitor_config::{ChannelKind, ChannelSettings, SecretError, SecretRef, Secrets, WebhookUrl};

use crate::channel::Channel;
use crate::client::{Address, Target};
use crate::discord::Discord;
use crate::template::{Escaping, Template};
use crate::webhook::{SigningKey, Webhook};

/// How long a request to Discord may take.
const DISCORD_TIMEOUT: Duration = Duration::from_secs(10);

/// A channel cannot be made. The caller names the channel; no secret's content is in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A secret cannot be had: the channel is off until it is there, its alerts are kept.
    #[error("{0}")]
    Secret(#[from] SecretError),
    /// The address cannot be used.
    #[error("the address {place} cannot be used: {why}")]
    Address {
        /// Where it stands: `spec.channels[].webhook.url`, or the secret.
        place: String,
        /// What is wrong with it and what is right.
        why: String,
    },
    /// The key of the signature cannot be used.
    #[error("the signing secret {place} cannot be used: {why}")]
    SigningSecret {
        /// Where it stands.
        place: String,
        /// What is wrong with it and what is right.
        why: String,
    },
    /// The template cannot be used.
    #[error("the template cannot be used: {0}")]
    Template(String),
    /// No HTTPS client can be had.
    #[error("no HTTPS connection can be made: {0}; install the system's certificates (ca-certificates)")]
    Client(String),
}

/// Makes the channel that `settings` describe. Resolves its secrets; connects nowhere.
///
/// # Errors
/// [`BuildError::Secret`] when a secret is missing or unreadable, which somebody may mend while the
/// program runs; every other error is a mistake in the manifest or in a secret's content.
pub fn build(settings: &ChannelSettings, secrets: &Secrets) -> Result<Box<dyn Channel>, BuildError> {
    let template = |escaping| match &settings.template {
        Some(source) => Template::new(source, escaping).map(Some).map_err(BuildError::Template),
        None => Ok(None),
    };
    let name = settings.name.clone();
    match &settings.kind {
        ChannelKind::Discord { webhook_url, thread_id } => {
            let url = secrets.resolve(webhook_url)?;
            let address = Address::secret(url.expose(), place(webhook_url))?;
            let address = crate::discord::checked(address, thread_id.as_deref())?;
            let target = Target::new(address, DISCORD_TIMEOUT, &[])?;
            Ok(Box::new(Discord::new(name, target, template(Escaping::Markdown)?)))
        }
        ChannelKind::Webhook { url, signing_secret, timeout } => {
            let address = match url {
                WebhookUrl::Plain(url) => Address::plain(url)?,
                WebhookUrl::Secret(reference) => {
                    Address::secret(secrets.resolve(reference)?.expose(), place(reference))?
                }
            };
            let secret = signing_secret.as_ref().map(|it| secrets.resolve(it).map(|text| (it, text)));
            let secret = secret.transpose()?;
            let key = match &secret {
                Some((reference, text)) => Some(SigningKey::new(text.expose()).map_err(|why| {
                    BuildError::SigningSecret { place: place(reference), why: why.to_owned() }
                })?),
                None => None,
            };
            let text = secret.as_ref().map(|(_, text)| text.expose());
            let target = Target::new(address, *timeout, text.as_slice())?;
            Ok(Box::new(Webhook::new(name, target, key, template(Escaping::None)?)))
        }
    }
}

fn place(reference: &SecretRef) -> String {
    format!("in secret `{}`, key `{}`", reference.name, reference.key)
}
