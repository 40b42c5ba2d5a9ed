//! What can be chosen in the filters.

use std::collections::{BTreeMap, BTreeSet};

use pricemonitor_model::Time;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::failure::failure;
use super::super::{Sqlite, Tx};
use crate::error::Result;
use crate::query::{EventFacet, Facets, MonitorFacet};

#[derive(Default)]
struct Found {
    facet: MonitorFacet,
    events: BTreeMap<String, BTreeSet<String>>,
}

impl Sqlite {
    pub(crate) async fn facets(&self) -> Result<Facets> {
        let mut tx = self.look().await?;
        let mut monitors: BTreeMap<i64, Found> = BTreeMap::new();
        for row in all(&mut tx, "SELECT id, monitor FROM monitors").await? {
            let facet = MonitorFacet { monitor: row.get(1), ..MonitorFacet::default() };
            monitors.insert(row.get(0), Found { facet, ..Found::default() });
        }
        for row in all(&mut tx, "SELECT monitor, event, first_at, last_at FROM events").await? {
            let Some(found) = monitors.get_mut(&row.get(0)) else { continue };
            let (from, to) = (Time::from_millis(row.get(2)), Time::from_millis(row.get(3)));
            found.facet.from = Some(found.facet.from.map_or(from, |known| known.min(from)));
            found.facet.to = Some(found.facet.to.map_or(to, |known| known.max(to)));
            if let Some(event) = Some(row.get::<String, _>(1)).filter(|event| !event.is_empty()) {
                found.events.entry(event).or_default();
            }
        }
        let sections = "SELECT e.monitor, e.event, s.section FROM events e JOIN series s ON s.event = e.id
                        GROUP BY e.id, s.section";
        for row in all(&mut tx, sections).await? {
            let Some(found) = monitors.get_mut(&row.get(0)) else { continue };
            let section: String = row.get(2);
            if let Some(sections) = found.events.get_mut(row.get::<&str, _>(1))
                && !section.is_empty()
            {
                sections.insert(section);
            }
        }
        let units = "SELECT monitor, unit, max(schedule) FROM series GROUP BY monitor, unit
                     ORDER BY monitor, count(*) DESC, unit";
        for row in all(&mut tx, units).await? {
            let Some(found) = monitors.get_mut(&row.get(0)) else { continue };
            found.facet.units.push(row.get(1));
            found.facet.schedule |= row.get::<bool, _>(2);
        }
        let mut monitors: Vec<MonitorFacet> = monitors.into_values().map(finish).collect();
        monitors.sort_by(|a, b| a.monitor.cmp(&b.monitor));
        Ok(Facets { monitors })
    }
}

async fn all(tx: &mut Tx, sql: &'static str) -> Result<Vec<SqliteRow>> {
    let rows = sqlx::query(sql).fetch_all(&mut **tx).await;
    rows.map_err(|error| failure("cannot read the filters", &error))
}

fn finish(found: Found) -> MonitorFacet {
    let event = |(event, sections): (String, BTreeSet<String>)| EventFacet {
        event,
        sections: sections.into_iter().collect(),
    };
    MonitorFacet { events: found.events.into_iter().map(event).collect(), ..found.facet }
}
