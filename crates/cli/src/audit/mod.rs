//! `pricemonitor audit`: whether everything that should have come of every raw record has come, and once.
//!
//! Positions are read before the records, and records before what came of them, so that an audit of an installation
//! at work takes nothing for a gap that is only on its way. Memory is bounded: offsets are bits, of so many at a time;
//! alerts and lines are compared in parts.

mod alerts;
mod bits;
mod file;
mod report;
mod topics;
mod window;

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::{Ends, EventLog as _, Log, Topic};
use pricemonitor_model::{Coordinates, Incarnation, Time};
use pricemonitor_store::{Database, Position};
use pricemonitor_workers::now;
use tokio::runtime::{Handle, Runtime};

use crate::args::{AnswerFormat, AuditArgs};
use crate::exit::{Failure, Result};

use crate::installation::{Access, Installation, failed};
use crate::out::say;
use crate::pipeline::host;
use report::{Finding, Report, counted};
use window::{How, Met, WIDTH, Window};

/// Compares everything, says what it found; fails when anything is not as it should be.
pub(crate) fn run(args: &AuditArgs) -> Result<()> {
    let installation = Installation::load(&args.installed)?;
    let runtime = host::runtime()?;
    let mut unclean = Vec::new();
    for one in &installation.monitors {
        let report = audit(&installation, &one.monitor, &runtime)?;
        match args.format {
            AnswerFormat::Human => report.say(one.monitor.id.name())?,
            AnswerFormat::Json => {
                say!("{}", serde_json::to_string(&report).map_err(Failure::runtime)?)?;
            }
        }
        if !report.clean {
            unclean.push(one.monitor.id.name().to_owned());
        }
    }
    if unclean.is_empty() {
        return Ok(());
    }
    Err(Failure::input(format!(
        "not clean: {}; docs/audit.md tells what each word means",
        unclean.join(", ")
    )))
}

/// What is asked about one monitor.
struct Audit<'a> {
    log: &'a Log,
    monitor: &'a Monitor,
    database: Option<(&'a Database, &'a Handle)>,
    life: Incarnation,
    kept_from: Time,
    report: Report,
}

fn audit(installation: &Installation<'_>, monitor: &Monitor, runtime: &Runtime) -> Result<Report> {
    let open = installation.log(monitor, Access::Read)?;
    let database = installation.database(monitor, runtime.handle())?;
    let retention = i64::try_from(monitor.retention.as_millis()).unwrap_or(i64::MAX);
    let mut audit = Audit {
        log: &open.log,
        monitor,
        database: database.as_ref().map(|database| (database, runtime.handle())),
        life: open.log.incarnation(Topic::Raw),
        kept_from: now().plus(retention.saturating_neg()),
        report: Report::new(monitor.id.as_str()),
    };
    audit.raw()?;
    alerts::compare(audit.log, audit.database, monitor, audit.kept_from, &mut audit.report)?;
    let data_dir = &installation.args.data.data_dir;
    file::compare(audit.log, monitor, data_dir, &mut audit.report)?;
    if let Some(database) = &database {
        runtime.block_on(database.close());
    }
    Ok(audit.report)
}

/// Sums over all windows.
#[derive(Default)]
struct Sums {
    observed: u64,
    dead: u64,
    events: u64,
    letters: u64,
    rows: u64,
}

impl Audit<'_> {
    /// Every raw partition against events, dead letters and rows.
    fn raw(&mut self) -> Result<()> {
        // The name that every installation in a data folder has; a cluster's state needs none.
        let group = format!("{}.processor", self.monitor.id);
        let folded = self.log.folded(&group).map_err(failed)?;
        let stored = match self.database {
            Some((database, runtime)) => {
                runtime.block_on(database.positions(&self.monitor.id, "history")).map_err(Failure::runtime)?
            }
            None => Vec::new(),
        };
        let ends = self.log.ends(Topic::Raw).map_err(failed)?;
        let mut sums = Sums::default();
        for ((partition, ends), folded) in (0..).zip(ends).zip(folded) {
            if ends.first > 0 {
                let text =
                    format!("raw partition {partition}: records before offset {} are deleted", ends.first);
                self.report.note(text);
            }
            let folded = self.position(
                "processor",
                partition,
                folded.map(|at| (at.incarnation, at.next_offset)),
                ends,
            );
            let stored = self.stored(&stored, partition, ends);
            let (mut from, mut behind) = (ends.first, (0, 0));
            while from < ends.end {
                let to = ends.end.min(from + WIDTH);
                let window = self.window(partition, from..to, folded, stored, &mut sums)?;
                behind.0 += window.records.count_from(folded);
                behind.1 += window.records.count_from(stored);
                if window.newer.is_some() {
                    break;
                }
                from = to;
            }
            is_behind("processor", partition, behind.0, &mut self.report);
            if self.database.is_some() {
                is_behind("history", partition, behind.1, &mut self.report);
            }
        }
        let Sums { observed, dead, events, letters, rows } = sums;
        self.report.compared.push(format!(
            "{} with {}",
            counted(observed, "observation", "observations"),
            counted(events, "event", "events")
        ));
        let refused = counted(dead, "refused raw record", "refused raw records");
        self.report
            .compared
            .push(format!("{refused} with {}", counted(letters, "dead letter", "dead letters")));
        if self.database.is_some() {
            let rows = counted(rows, "row of the history", "rows of the history");
            self.report
                .compared
                .push(format!("{} with {rows}", counted(observed, "observation", "observations")));
        }
        Ok(())
    }

    fn stored(&mut self, positions: &[Position], partition: u32, ends: Ends) -> u64 {
        if self.database.is_none() {
            return 0;
        }
        let here = || positions.iter().filter(|at| at.partition == partition);
        // Of a former life the database may know rows; the last that it knows is the one that counts.
        let at = here().find(|at| at.incarnation == self.life).or_else(|| here().next_back());
        self.position("history", partition, at.map(|at| (at.incarnation, at.next_offset)), ends)
    }

    /// Before which offset a reader has done its work; what is wrong with that is told.
    fn position(
        &mut self,
        who: &'static str,
        partition: u32,
        at: Option<(Incarnation, u64)>,
        ends: Ends,
    ) -> u64 {
        if let Some((incarnation, _)) = at
            && incarnation != self.life
        {
            let means = "positions of sinks that belong to another life of the raw topic";
            self.report.wrong("wrong_position", means, format!("{who} on partition {partition}"));
            return 0;
        }
        let next = at.map_or(0, |(_, next)| next);
        position_is_sound(who, partition, next, ends, at.is_some(), &mut self.report);
        next
    }

    /// Compares a window with everything but the file.
    fn window(
        &mut self,
        partition: u32,
        range: std::ops::Range<u64>,
        folded: u64,
        stored: u64,
        sums: &mut Sums,
    ) -> Result<Window> {
        let window = Window::read(self.log, &self.monitor.admission, partition, range, self.kept_from)
            .map_err(failed)?;
        sums.observed += window.observed.count();
        sums.dead += window.dead.count();
        sums.events +=
            topics::events(self.log, &window, self.life, folded, &mut self.report).map_err(failed)?;
        sums.letters +=
            topics::letters(self.log, &window, self.life, folded, &mut self.report).map_err(failed)?;
        sums.rows += self.rows(&window, stored)?;
        if let Some(offset) = window.newer {
            let at = Coordinates { incarnation: self.life, partition, offset };
            self.report.note(format!("{at} is of a newer version: the partition was compared up to there"));
        }
        Ok(window)
    }

    /// The window against the history. Tells how many rows were compared.
    fn rows(&mut self, window: &Window, stored: u64) -> Result<u64> {
        let Some((database, runtime)) = self.database else { return Ok(0) };
        let at = |offset| Coordinates { incarnation: self.life, partition: window.partition, offset };
        let mut missing = Finding::new("missing_row", "stored observations without a row in the history");
        let mut doubled =
            Finding::new("doubled_row", "rows of the history beside another one of the same raw record");
        let mut causeless =
            Finding::new("causeless_row", "rows of the history of raw records that are no observations");
        let mut met = Met::none(window, &window.observed);
        let each = |offset| match met.meet(offset) {
            How::Fine => {}
            How::Doubled => doubled.add(|| at(offset).to_string()),
            How::Causeless => causeless.add(|| at(offset).to_string()),
        };
        let range = window.range.clone();
        runtime
            .block_on(database.coordinates(&self.monitor.id, self.life, window.partition, range, each))
            .map_err(Failure::runtime)?;
        for offset in met.missing(&window.kept, window.range.start..stored) {
            missing.add(|| at(offset).to_string());
        }
        let count = met.count();
        for finding in [missing, doubled, causeless] {
            self.report.take(finding);
        }
        Ok(count)
    }
}

/// Says what cannot be of a reader's position.
fn position_is_sound(who: &str, partition: u32, next: u64, ends: Ends, known: bool, report: &mut Report) {
    let place = |what: String| format!("{who} on partition {partition} stands at {next}, {what}");
    if next > ends.end {
        let means = "positions behind the end of the raw topic, which was made anew or lost records";
        report.wrong("wrong_position", means, place(format!("the partition ends at {}", ends.end)));
    } else if known && next < ends.first {
        let means = "readers whose next records are deleted: those are lost to them";
        report.wrong("lost_records", means, place(format!("the partition begins at {}", ends.first)));
    }
}

/// Says how many records a reader has still to take.
fn is_behind(who: &str, partition: u32, records: u64, report: &mut Report) {
    if records > 0 {
        let records = counted(records, "record", "records");
        report.note(format!("{who} is {records} behind on partition {partition}"));
    }
}
