//! Alerts: the topic against the database.

use std::collections::HashMap;
use std::ops::ControlFlow;

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::{EventLog as _, Log, Topic};
use pricemonitor_model::{Time, wire};
use pricemonitor_store::{Database, Position};
use tokio::runtime::Handle;

use super::report::{Finding, Report, counted};
use crate::exit::{Failure, Result};
use crate::installation::failed;

/// Alerts in memory at a time.
const AT_A_TIME: u64 = 500_000;

/// What is known of an alert.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    stored: u32,
    on_topic: u32,
    /// The acceptor has passed it, and retention has not reached it.
    required: bool,
    partition: u32,
    offset: u64,
}

/// Compares the alerts topic with the database (`None`: the topic alone). Alerts that were taken before `kept_from`
/// may be gone from the database.
pub(super) fn compare(
    log: &Log,
    database: Option<(&Database, &Handle)>,
    monitor: &Monitor,
    kept_from: Time,
    report: &mut Report,
) -> Result<()> {
    let positions = match database {
        Some((database, runtime)) => {
            runtime.block_on(database.positions(&monitor.id, "alerts")).map_err(Failure::runtime)?
        }
        None => Vec::new(),
    };
    let life = log.incarnation(Topic::Alerts);
    let accepted = |partition: u32| {
        let ours = |at: &&Position| at.partition == partition && at.incarnation == life;
        positions.iter().find(ours).map_or(0, |at| at.next_offset)
    };
    let ends = log.ends(Topic::Alerts).map_err(failed)?;
    let whole = ends.iter().all(|ends| ends.first == 0);
    let parts = ends.iter().map(|ends| ends.end - ends.first).sum::<u64>() / AT_A_TIME + 1;
    let mut tally = Tally::default();
    for part in 0..parts {
        let mut known: HashMap<u128, Known> = HashMap::new();
        let takes = |id: u128| id % u128::from(parts) == u128::from(part);
        // The database first: what it has, the topic has had for longer.
        if let Some((database, runtime)) = database {
            let each = |id: &str| match u128::from_str_radix(id, 16) {
                Ok(id) if takes(id) => known.entry(id).or_default().stored += 1,
                _ => {}
            };
            runtime.block_on(database.alert_ids(&monitor.id, each)).map_err(Failure::runtime)?;
        }
        for partition in 0..log.partitions(Topic::Alerts) {
            let behind = accepted(partition);
            log.scan(Topic::Alerts, partition, 0, None, &mut |record| {
                let Ok(Some(alert)) = wire::read_alert(record.value.unwrap_or_default()) else {
                    return Ok(ControlFlow::Continue(()));
                };
                let id = u128::from_str_radix(alert.id.as_str(), 16).unwrap_or_default();
                if takes(id) {
                    let entry = known.entry(id).or_default();
                    entry.on_topic += 1;
                    entry.required |= record.offset < behind && record.timestamp >= kept_from;
                    (entry.partition, entry.offset) = (partition, record.offset);
                }
                Ok(ControlFlow::Continue(()))
            })
            .map_err(failed)?;
        }
        known.iter().for_each(|(id, known)| tally.judge(*id, known, database.is_some()));
    }
    tally.tell(whole, database.is_some(), report);
    Ok(())
}

struct Tally {
    missing: Finding,
    doubled: Finding,
    causeless: Finding,
    on_topic: u64,
    stored: u64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            missing: Finding::new(
                "missing_alert",
                "alerts of the topic that the database has accepted and does not hold",
            ),
            doubled: Finding::new("doubled_alert", "alerts that are there more than once"),
            causeless: Finding::new("causeless_alert", "alerts of the database that are not on the topic"),
            on_topic: 0,
            stored: 0,
        }
    }
}

impl Tally {
    fn judge(&mut self, id: u128, known: &Known, with_database: bool) {
        self.on_topic += u64::from(known.on_topic);
        self.stored += u64::from(known.stored);
        let place = |known: &Known| format!("{id:032x} (at {}:{})", known.partition, known.offset);
        if with_database && known.required && known.stored == 0 {
            self.missing.add(|| place(known));
        }
        if known.on_topic > 1 || known.stored > 1 {
            self.doubled.add(|| place(known));
        }
        if known.on_topic == 0 {
            self.causeless.add(|| format!("{id:032x}"));
        }
    }

    fn tell(self, whole: bool, with_database: bool, report: &mut Report) {
        let on_topic = counted(self.on_topic, "alert on the topic", "alerts on the topic");
        match with_database {
            true => report.compared.push(format!("{on_topic}, {} in the database", self.stored)),
            false => report.compared.push(on_topic),
        }
        report.take(self.missing);
        report.take(self.doubled);
        match (whole, self.causeless.count) {
            (true, _) => report.take(self.causeless),
            (false, 0) => {}
            (false, count) => {
                let alerts = counted(count, "alert", "alerts");
                report.note(format!("{alerts} of the database lie before the topic's beginning"));
            }
        }
    }
}
