//! Several alerts as one message.

use std::collections::HashSet;

use pricemonitor_model::Alert;
use serde::Serialize;

use super::embed::{Embed, TOTAL};

/// Most embeds of a message.
pub(super) const EMBEDS: usize = 10;

/// What is sent.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    pub(super) embeds: Vec<Embed>,
    pub(super) allowed_mentions: Mentions,
}

/// Whom a message may call: nobody.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Mentions {
    parse: [(); 0],
}

impl Message {
    /// The first of `alerts`, one embed each, as many as Discord's limits allow: at least one.
    /// `words` gives the channel's own text for an alert, as Markdown.
    pub(super) fn new(alerts: &[Alert<'_>], words: impl Fn(&Alert<'_>) -> Option<String>) -> Message {
        let mut embeds: Vec<Embed> = Vec::new();
        let (mut links, mut size) = (HashSet::new(), 0);
        for alert in alerts.iter().take(EMBEDS) {
            let embed = Embed::new(alert, words(alert), |link| !links.contains(link));
            size += embed.size();
            if size > TOTAL && !embeds.is_empty() {
                break;
            }
            links.extend(embed.url.clone());
            embeds.push(embed);
        }
        Message { embeds, allowed_mentions: Mentions::default() }
    }
}
