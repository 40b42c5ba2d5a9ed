//! A hit, and the alert that is made of it.

use std::borrow::Cow;

use pricemonitor_model::price::percent_change;
use pricemonitor_model::{
    Alert, AlertId, Condition, Coordinates, Decimal, Labels, MonitorId, Observation, SeriesKey, Slot, Time,
    Transition,
};

use crate::compiled::Compiled;
use crate::state::Schedule;
use crate::summary;

/// A rule that is to be told, in numbers; texts are only put together for these few.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    /// Place of the rule in the detector's list.
    pub(crate) rule: u32,
    pub(crate) transition: Transition,
    pub(crate) price: Decimal,
    pub(crate) reference: Decimal,
    pub(crate) slot: Option<Slot>,
    /// Tells apart the runs of slots that one record fires (when a rule first sees a schedule).
    pub(crate) nth: usize,
}

/// Whom an alert is about.
pub(crate) struct About<'a> {
    pub(crate) source: Cow<'a, str>,
    pub(crate) item: Cow<'a, str>,
    pub(crate) labels: Labels<'a>,
    pub(crate) currency: Cow<'a, str>,
    pub(crate) unit: Option<Cow<'a, str>>,
    pub(crate) url: Option<Cow<'a, str>>,
    pub(crate) observed_at: Time,
}

impl<'a> About<'a> {
    pub(crate) fn observation(o: &Observation<'a>) -> About<'a> {
        About {
            source: o.source.clone(),
            item: o.item.clone(),
            labels: o.labels.clone(),
            currency: o.currency.clone(),
            unit: o.unit.clone(),
            url: o.url.clone(),
            observed_at: o.observed_at,
        }
    }

    /// At a tick, when there is no observation: as the schedule remembers it.
    pub(crate) fn schedule(source: &str, item: &str, schedule: &Schedule, now: Time) -> About<'static> {
        About {
            source: Cow::Owned(source.to_owned()),
            item: Cow::Owned(item.to_owned()),
            labels: schedule.labels.clone(),
            currency: Cow::Owned(schedule.currency.to_string()),
            unit: schedule.unit.as_deref().map(|unit| Cow::Owned(unit.to_owned())),
            url: None,
            observed_at: now,
        }
    }
}

impl Hit {
    pub(crate) fn alert<'a>(
        &self,
        monitor: &MonitorId,
        compiled: &Compiled,
        about: About<'a>,
        at: Coordinates,
    ) -> Alert<'a> {
        let rule = &compiled.rule;
        let change = matches!(rule.condition, Condition::Move { .. });
        let percent = if change { percent_change(self.reference, self.price) } else { None };
        let id = {
            // Only the first of several runs that one record fires can go by the series' own name.
            let item = match (self.nth, self.slot) {
                (1.., Some(slot)) => Cow::Owned(format!("{}@{}", about.item, slot.start)),
                _ => Cow::Borrowed(&*about.item),
            };
            let series = SeriesKey { source: Cow::Borrowed(&about.source), item, kind: rule.price };
            AlertId::of(monitor.as_str(), &rule.name, &series, at, self.transition)
        };
        let summary = summary::sentence(self, rule, &about, percent);
        Alert {
            id,
            monitor: Cow::Owned(monitor.as_str().to_owned()),
            rule: Cow::Owned(rule.name.to_string()),
            transition: self.transition,
            severity: rule.severity,
            channels: rule.channels.clone(),
            source: about.source,
            item: about.item,
            price_kind: rule.price,
            labels: about.labels,
            price: self.price,
            reference: Some(self.reference),
            percent,
            side: match rule.condition {
                Condition::Level { side, .. } => Some(side),
                Condition::Move { .. } => None,
            },
            currency: about.currency,
            unit: about.unit,
            observed_at: about.observed_at,
            slot: self.slot,
            url: about.url,
            summary: Cow::Owned(summary),
            coordinates: at,
        }
    }
}
