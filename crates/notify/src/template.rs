//! The text of a message by a template of one's own (minijinja).

use std::collections::BTreeMap;
use std::io;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use pricemonitor_model::{Alert, MonitorId, Severity, Time, Transition};

use crate::{markdown, sample_alert};

/// Instructions and bytes that one text may cost (minijinja's fuel): some milliseconds.
const FUEL: u64 = 20_000;
/// Most bytes of a text.
const MAX_BYTES: usize = 16 * 1024;
/// Deepest nesting of macros and blocks.
const MAX_DEPTH: usize = 32;
/// The name under which the one template is kept.
const NAME: &str = "template";

/// What is done to the values (not to the template's own text).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// Discord's Markdown.
    Markdown,
    /// Nothing: the text travels as JSON.
    None,
}

/// A template that was read without error.
pub(crate) struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Reads `source`, and tries it on a sample.
    ///
    /// # Errors
    /// A sentence: what is wrong, in which line, and what there is.
    pub(crate) fn new(source: &str, escaping: Escaping) -> Result<Template, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_DEPTH);
        if escaping == Escaping::Markdown {
            environment.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
        } else {
            environment.set_auto_escape_callback(|_| AutoEscape::None);
        }
        environment.set_formatter(|out, state, value| {
            if value.is_none() || value.is_undefined() {
                return Ok(());
            }
            let text = value.to_string();
            let plain = value.is_safe() || matches!(state.auto_escape(), AutoEscape::None);
            let text = if plain { text } else { markdown::escaped(&text, usize::MAX) };
            out.write_str(&text).map_err(Error::from)
        });
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| sentence(&error))?;
        let template = Template { environment };
        template.check()?;
        Ok(template)
    }

    /// Finds what would go wrong with every alert: unknown names, endless loops.
    fn check(&self) -> Result<(), String> {
        let sample = sample_alert(&MonitorId::new(None, "test"), Time::from_seconds(1_700_000_000));
        let known = variables(&sample);
        let template = self.environment.get_template(NAME).map_err(|error| sentence(&error))?;
        let function = |name: &str| self.environment.globals().any(|(global, _)| global == name);
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| !known.contains_key(name.as_str()) && !function(name));
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            let known: Vec<_> = known.into_keys().collect();
            return Err(format!("it has no value `{name}`; there is: {}", known.join(", ")));
        }
        match self.rendered(&sample) {
            Err(error) if always(error.kind()) => Err(sentence(&error)),
            // What depends on the alert is found out when it comes.
            _ => Ok(()),
        }
    }

    /// The text for `alert`.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub(crate) fn render(&self, alert: &Alert<'_>) -> Result<String, String> {
        self.rendered(alert).map_err(|error| sentence(&error))
    }

    fn rendered(&self, alert: &Alert<'_>) -> Result<String, Error> {
        let context = Value::from(variables(alert));
        let mut out = Bounded::default();
        self.environment.get_template(NAME)?.render_captured_to(context, &mut out)?;
        Ok(String::from_utf8_lossy(&out.0).into_owned())
    }
}

/// Whether a template that fails so on one alert fails on all.
fn always(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::TemplateNotFound
            | ErrorKind::BadInclude
            | ErrorKind::MissingArgument
            | ErrorKind::TooManyArguments
            | ErrorKind::OutOfFuel
            | ErrorKind::WriteFailure
    )
}

fn sentence(error: &Error) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "it takes too long: make it simpler".to_owned(),
        ErrorKind::WriteFailure => format!("its text has more than {MAX_BYTES} bytes"),
        kind => error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

/// The alert's members as a template sees them. Every name is always there, `none` where the alert
/// has nothing; prices are texts with their exact digits.
fn variables(alert: &Alert<'_>) -> BTreeMap<&'static str, Value> {
    let text = |it: &str| Value::from(it);
    let maybe = |it: Option<String>| it.map_or(Value::from(()), Value::from);
    let label = |name: &str| maybe(alert.labels.get(name).map(str::to_owned));
    let labels: BTreeMap<String, Value> =
        alert.labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let slot = alert
        .slot
        .map(|slot| BTreeMap::from([("start", slot.start.to_string()), ("end", slot.end.to_string())]));
    BTreeMap::from([
        ("id", text(alert.id.as_str())),
        ("monitor", text(&alert.monitor)),
        ("rule", text(&alert.rule)),
        ("transition", text(transition(alert.transition))),
        ("severity", text(severity(alert.severity))),
        ("source", text(&alert.source)),
        ("item", text(&alert.item)),
        ("price_kind", Value::from(alert.price_kind.to_string())),
        ("labels", Value::from(labels)),
        ("event", label("event")),
        ("section", label("section")),
        ("price", Value::from(alert.price.to_string())),
        ("reference", maybe(alert.reference.map(|it| it.to_string()))),
        ("percent", maybe(alert.percent.map(|it| it.to_string()))),
        ("side", maybe(alert.side.map(|side| side.as_str().to_owned()))),
        ("currency", text(&alert.currency)),
        ("unit", text(alert.unit_or_currency())),
        ("observed_at", Value::from(alert.observed_at.to_string())),
        ("slot", slot.map_or(Value::from(()), Value::from)),
        ("url", maybe(alert.url.as_deref().map(str::to_owned))),
        ("summary", text(&alert.summary)),
    ])
}

/// The transition as the wire format writes it.
fn transition(transition: Transition) -> &'static str {
    match transition {
        Transition::Firing => "firing",
        Transition::Resolved => "resolved",
    }
}

/// The severity as the wire format writes it.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// Takes so many bytes and no more.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
