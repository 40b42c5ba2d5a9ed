//! What can be chosen in the filters.

use std::collections::{BTreeMap, BTreeSet};

use pricemonitor_model::Time;

use crate::query::{EventFacet, Facets, MonitorFacet};

/// A monitor in the catalogue.
#[derive(Clone, Debug, Default)]
struct Monitor {
    facet: MonitorFacet,
    events: BTreeMap<String, BTreeSet<String>>,
}

/// All that can be chosen, by the numbers of monitors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue(BTreeMap<i64, Monitor>);

impl Catalogue {
    pub(crate) fn monitor(&mut self, id: i64, name: String) {
        let facet = MonitorFacet { monitor: name, ..MonitorFacet::default() };
        self.0.insert(id, Monitor { facet, ..Monitor::default() });
    }

    /// A stretch of time in which the monitor has prices.
    pub(crate) fn span(&mut self, monitor: i64, from: Time, to: Time) {
        if let Some(Monitor { facet, .. }) = self.0.get_mut(&monitor) {
            facet.from = Some(facet.from.map_or(from, |known| known.min(from)));
            facet.to = Some(facet.to.map_or(to, |known| known.max(to)));
        }
    }

    pub(crate) fn event(&mut self, monitor: i64, event: String) {
        if let Some(found) = self.0.get_mut(&monitor).filter(|_| !event.is_empty()) {
            found.events.entry(event).or_default();
        }
    }

    /// A section of an event that was told before.
    pub(crate) fn section(&mut self, monitor: i64, event: &str, section: String) {
        if let Some(sections) = self.0.get_mut(&monitor).and_then(|found| found.events.get_mut(event))
            && !section.is_empty()
        {
            sections.insert(section);
        }
    }

    /// A unit, the most frequent one first.
    pub(crate) fn unit(&mut self, monitor: i64, unit: String, schedule: bool) {
        if let Some(Monitor { facet, .. }) = self.0.get_mut(&monitor) {
            facet.units.push(unit);
            facet.schedule |= schedule;
        }
    }

    pub(crate) fn facets(self) -> Facets {
        let mut monitors: Vec<MonitorFacet> = self.0.into_values().map(finish).collect();
        monitors.sort_by(|a, b| a.monitor.cmp(&b.monitor));
        Facets { monitors }
    }
}

fn finish(found: Monitor) -> MonitorFacet {
    let event = |(event, sections): (String, BTreeSet<String>)| EventFacet {
        event,
        sections: sections.into_iter().collect(),
    };
    MonitorFacet { events: found.events.into_iter().map(event).collect(), ..found.facet }
}
