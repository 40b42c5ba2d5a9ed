//! What the processor made of raw records: events and dead letters.

use std::fmt;
use std::ops::ControlFlow;

use pricemonitor_eventlog::{EventLog as _, Log, Result, Topic};
use pricemonitor_model::wire::{self, OnDeadLetters};
use pricemonitor_model::{Coordinates, Incarnation};

use super::report::{Finding, Report};
use super::window::{How, Met, Window};

/// Compares a window with the processed topic. Raw records before `folded` have been processed.
/// Tells how many events were compared.
pub(super) fn events(
    log: &Log,
    window: &Window,
    life: Incarnation,
    folded: u64,
    report: &mut Report,
) -> Result<u64> {
    let mut findings = Findings {
        missing: Finding::new("missing_event", "processed observations without an event"),
        doubled: Finding::new("doubled_event", "events beside another one of the same raw record"),
        causeless: Finding::new("causeless_event", "events of raw records that are no observations"),
    };
    let mut met = Met::none(window, &window.observed);
    // An event has its observation's key, and both topics as many partitions: it stands on the same one.
    let whole = each(log, Topic::Processed, window.partition, &mut |value, place| {
        let Ok(Some(event)) = wire::read_event(value) else { return };
        findings.meet(&mut met, window, life, event.coordinates, place);
    })?;
    Ok(findings.end(&met, window, life, folded, whole, report))
}

/// Compares a window with the dead letters, as [`events`].
pub(super) fn letters(
    log: &Log,
    window: &Window,
    life: Incarnation,
    folded: u64,
    report: &mut Report,
) -> Result<u64> {
    let mut findings = Findings {
        missing: Finding::new("missing_dead_letter", "refused raw records without a dead letter"),
        doubled: Finding::new(
            "doubled_dead_letter",
            "dead letters beside another one of the same raw record",
        ),
        causeless: Finding::new("causeless_dead_letter", "dead letters of raw records that are acceptable"),
    };
    let mut met = Met::none(window, &window.dead);
    let mut whole = true;
    for partition in 0..log.partitions(Topic::DeadLetters) {
        whole &= each(log, Topic::DeadLetters, partition, &mut |value, place| {
            let Ok(OnDeadLetters::Letter(letter)) = wire::read_dead_letters(value) else { return };
            findings.meet(&mut met, window, life, letter.coordinates, place);
        })?;
    }
    Ok(findings.end(&met, window, life, folded, whole, report))
}

/// A place on another topic than raw.
#[derive(Clone, Copy)]
struct Place {
    partition: u32,
    offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

struct Findings {
    missing: Finding,
    doubled: Finding,
    causeless: Finding,
}

impl Findings {
    fn meet(
        &mut self,
        met: &mut Met<'_>,
        window: &Window,
        life: Incarnation,
        cause: Coordinates,
        place: Place,
    ) {
        if cause.incarnation != life || cause.partition != window.partition {
            return;
        }
        match met.meet(cause.offset) {
            How::Fine => {}
            How::Doubled => self.doubled.add(|| format!("{cause} (again at {place})")),
            How::Causeless => self.causeless.add(|| format!("{cause} (at {place})")),
        }
    }

    /// `whole`: nothing was deleted from the topic. Else what was before the first that was met is gone.
    fn end(
        mut self,
        met: &Met<'_>,
        window: &Window,
        life: Incarnation,
        folded: u64,
        whole: bool,
        report: &mut Report,
    ) -> u64 {
        let from = if whole { window.range.start } else { met.lowest.unwrap_or(window.range.end) };
        // Of all that may have come, each must have.
        for offset in met.missing(met.may(), from..folded) {
            let at = Coordinates { incarnation: life, partition: window.partition, offset };
            self.missing.add(|| at.to_string());
        }
        for finding in [self.missing, self.doubled, self.causeless] {
            report.take(finding);
        }
        met.count()
    }
}

/// Shows every value of a partition with its place. Tells whether the partition still begins at its beginning.
fn each(log: &Log, topic: Topic, partition: u32, show: &mut dyn FnMut(&[u8], Place)) -> Result<bool> {
    // Asked before and after: retention may delete meanwhile.
    let first =
        || -> Result<u64> { Ok(log.ends(topic)?.get(partition as usize).map_or(0, |ends| ends.first)) };
    let before = first()?;
    log.scan(topic, partition, 0, None, &mut |record| {
        show(record.value.unwrap_or_default(), Place { partition, offset: record.offset });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(before == 0 && first()? == 0)
}
