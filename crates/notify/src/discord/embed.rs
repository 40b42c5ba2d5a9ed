//! One alert as one part ("embed") of a Discord message.

use pricemonitor_model::price::Decimal;
use pricemonitor_model::{Alert, PriceKind, Severity, Side, Transition};
use reqwest::Url;
use serde::Serialize;

use crate::markdown::escaped;
use crate::text::{self, count, one_line, shortened};

/// Most characters of a title.
pub(super) const TITLE: usize = 256;
/// Most characters of a description.
pub(super) const DESCRIPTION: usize = 4096;
/// Most characters of a field's value.
pub(super) const VALUE: usize = 1024;
/// Most characters of a footer.
pub(super) const FOOTER: usize = 2048;
/// Most characters of a link of a title.
const LINK: usize = 2048;
/// Most characters of all embeds of a message. Discord says 6000; the slack is for whatever it may
/// count otherwise than we do.
pub(super) const TOTAL: usize = 5800;

/// Most characters of the default description: a sentence.
const SENTENCE: usize = 1024;
/// Most characters of a hostile text (event, section, item) in a field: a few lines.
const SHORT: usize = 256;
/// Most characters of a unit.
const UNIT: usize = 32;

const GREEN: u32 = 0x2e_9e5b;
const RED: u32 = 0xd6_4545;
const AMBER: u32 = 0xe6_a23c;
const GREY: u32 = 0x7a_8594;

/// One part of a message.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Embed {
    pub(super) title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) description: String,
    pub(super) color: u32,
    pub(super) fields: Vec<Field>,
    pub(super) footer: Footer,
    pub(super) timestamp: String,
}

/// A name and a value.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) inline: bool,
}

/// The last line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Footer {
    pub(super) text: String,
}

impl Embed {
    /// The embed of `alert`. `words` is Markdown from the channel's template, in place of the
    /// alert's own sentence. `is_new` tells whether an address is not yet the link of another embed
    /// of the message: Discord merges embeds with the same one.
    pub(super) fn new(alert: &Alert<'_>, words: Option<String>, is_new: impl FnOnce(&str) -> bool) -> Embed {
        let mut fields = fields(alert);
        let link = alert.url.as_deref().and_then(link);
        let url = link.clone().filter(|url| is_new(url));
        if let (Some(link), None) = (link, &url)
            && count(&link) + 2 <= VALUE
        {
            fields.push(Field { name: "Link", value: format!("<{link}>"), inline: false });
        }
        // A footer shows its characters as they are: no escapes.
        let footer = shortened(&one_line(&format!("{} · {}", alert.monitor, alert.rule)), SHORT.min(FOOTER));
        let mut embed = Embed {
            title: title(alert),
            url,
            description: String::new(),
            color: color(alert),
            fields,
            footer: Footer { text: footer },
            timestamp: alert.observed_at.to_string(),
        };
        let room = TOTAL.saturating_sub(embed.size()).min(DESCRIPTION);
        embed.description = match words {
            Some(words) => shortened(words.trim(), room),
            None => escaped(&alert.summary, room.min(SENTENCE)),
        };
        embed
    }

    /// The characters that count towards the limit of a message.
    pub(super) fn size(&self) -> usize {
        let fields = self.fields.iter().map(|field| count(field.name) + count(&field.value));
        count(&self.title) + count(&self.description) + count(&self.footer.text) + fields.sum::<usize>()
    }
}

/// `Event, section: 84.00 USD (-30.0 %)`, for a level `Area: -0.067 c/kWh, below 0`.
fn title(alert: &Alert<'_>) -> String {
    let change = alert.percent.map(|percent| format!(" ({} %)", text::signed(percent)));
    let level = level(alert).map(|level| format!(", {level}"));
    let beside = change.or(level).unwrap_or_default();
    let tail = format!(": {}{beside}", text::price(alert.price, &unit(alert)));
    let head = if alert.transition == Transition::Resolved { "Resolved: " } else { "" };
    let named: Vec<&str> = ["event", "section"].into_iter().filter_map(|name| label(alert, name)).collect();
    let what = if named.is_empty() { alert.item.to_string() } else { named.join(", ") };
    let what = shown(&what, TITLE.saturating_sub(count(head) + count(&tail)));
    format!("{head}{what}{tail}")
}

/// `below 0`, `no longer below 0`: a level is no price before, and nothing moved from it.
fn level(alert: &Alert<'_>) -> Option<String> {
    let (side, level) = alert.side.zip(alert.reference)?;
    let no_longer = if alert.transition == Transition::Resolved { "no longer " } else { "" };
    Some(format!("{no_longer}{} {level}", side.as_str()))
}

fn fields(alert: &Alert<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut add = |name, value: String, inline| fields.push(Field { name, value, inline });
    let unit = unit(alert);
    let price = |value: Decimal| text::price(value, &unit);
    let kind = if alert.price_kind == PriceKind::Base { "Price before fees" } else { "Price" };
    add(kind, price(alert.price), true);
    match (alert.reference, alert.percent) {
        (Some(level), _) if alert.side == Some(Side::Below) => add("Below", price(level), true),
        (Some(level), _) if alert.side == Some(Side::Above) => add("Above", price(level), true),
        (Some(reference), Some(percent)) => {
            add("Before", price(reference), true);
            let moved = alert.price.checked_sub(reference).map(text::signed).unwrap_or_default();
            add("Change", format!("{moved} {unit} ({} %)", text::signed(percent)), true);
        }
        (Some(reference), None) => add("Compared with", price(reference), true),
        _ => {}
    }
    let event = label(alert, "event");
    match event {
        Some(event) => add("Event", shown(event, SHORT), false),
        None => add("Item", shown(&alert.item, SHORT), false),
    }
    if let Some(section) = label(alert, "section") {
        add("Section", shown(section, SHORT), true);
    }
    if let Some(slot) = &alert.slot {
        // The second line is shown in the reader's own zone and language.
        let (start, end) = (slot.start.millis().div_euclid(1000), slot.end.millis().div_euclid(1000));
        add("Valid", format!("{}\n<t:{start}:f> – <t:{end}:t>", text::slot(slot)), false);
    }
    add("Rule", shown(&alert.rule, SHORT), true);
    add("Source", shown(&alert.source, SHORT), true);
    fields
}

/// A label that says something.
fn label<'a>(alert: &'a Alert<'_>, name: &str) -> Option<&'a str> {
    alert.labels.get(name).filter(|value| !one_line(value).is_empty())
}

/// A hostile text, never empty: Discord refuses empty values.
fn shown(text: &str, limit: usize) -> String {
    let text = escaped(text, limit);
    if text.is_empty() { "(no name)".to_owned() } else { text }
}

fn unit(alert: &Alert<'_>) -> String {
    escaped(alert.unit_or_currency(), UNIT)
}

/// Green for a drop, red for a rise, amber for everything else; grey when it is over.
fn color(alert: &Alert<'_>) -> u32 {
    match (alert.transition, alert.percent) {
        (Transition::Resolved, _) => GREY,
        (_, Some(percent)) if percent < Decimal::ZERO => GREEN,
        (_, Some(percent)) if percent > Decimal::ZERO => RED,
        _ if alert.severity == Severity::Critical => RED,
        _ => AMBER,
    }
}

/// An address that may be a link: http or https, without user name and password (which are there
/// to pass one host for another), not too long.
fn link(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
    let honest = url.username().is_empty() && url.password().is_none();
    let url = url.to_string();
    (web && honest && count(&url) <= LINK).then_some(url)
}
