//! The CSV file against the raw topic.

use std::collections::HashMap;
use std::fs::File;
use std::hash::Hasher;
use std::io::{BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::{EventLog as _, Log, Topic};
use pricemonitor_model::{Admitted, Coordinates, Incarnation, admission};
use pricemonitor_store::HistoryRow;
use pricemonitor_store::csv::{self, Look, Standing};

use super::report::{Finding, Report, counted};
use crate::exit::{Failure, Result};
use crate::installation::failed;

/// Lines in memory at a time.
const AT_A_TIME: u64 = 500_000;
/// How often, and how long apart, a file is looked at of which more is there than is acknowledged.
const LOOKS: u32 = 5;
const APART: Duration = Duration::from_millis(400);

/// What is known of a line, by the hash of its fields.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    expected: u32,
    found: u32,
    from: Coordinates,
    line: u64,
}

/// Compares the file with the raw topic, as far as both reach.
pub(super) fn compare(log: &Log, monitor: &Monitor, data_dir: &Path, report: &mut Report) -> Result<()> {
    let Some(settings) = &monitor.csv else { return Ok(()) };
    let path = data_dir.join(&settings.path);
    let shown = path.display().to_string();
    let Some(standing) = standing(&path, report)? else { return Ok(()) };
    let life = log.incarnation(Topic::Raw);
    if standing.positions.values().any(|(incarnation, _)| *incarnation != life) {
        let means = "positions of sinks that belong to another life of the raw topic";
        report.wrong("wrong_position", means, shown);
        return Ok(());
    }
    // After the positions: what is written from now on is in neither.
    let ends = log.ends(Topic::Raw).map_err(failed)?;
    for (partition, ends) in (0..).zip(&ends) {
        let at = standing.positions.get(&partition).map_or(0, |(_, next)| *next);
        super::position_is_sound(
            "csv",
            partition,
            at,
            *ends,
            standing.positions.contains_key(&partition),
            report,
        );
    }
    let whole = ends.iter().all(|ends| ends.first == 0);
    let parts = ends.iter().map(|ends| ends.end - ends.first).sum::<u64>() / AT_A_TIME + 1;
    let mut tally = Tally::default();
    for part in 0..parts {
        let takes = |hash: u64| hash % parts == part;
        let mut known = HashMap::new();
        let source = &settings.source;
        let behind = expected(log, monitor, source, &standing, life, &mut known, &takes)?;
        if part == 0 {
            for (partition, records) in behind {
                super::is_behind("csv", partition, records, report);
            }
        }
        found(&path, standing.length, part == 0, &mut tally, &mut known, &takes)?;
        known.values().for_each(|known| tally.judge(known));
    }
    tally.tell(&shown, whole, report);
    Ok(())
}

/// What is acknowledged of the file, if it can be compared at all.
fn standing(path: &Path, report: &mut Report) -> Result<Option<Standing>> {
    let mut look = csv::look(path).map_err(Failure::input)?;
    // A worker that is writing acknowledges within moments; what a crash has left stays.
    for _ in 1..LOOKS {
        match &look {
            Look::Both(standing) if standing.found > standing.length => std::thread::sleep(APART),
            _ => break,
        }
        look = csv::look(path).map_err(Failure::input)?;
    }
    let shown = path.display();
    match look {
        Look::Nothing => {
            report.note(format!(
                "there is no {shown}: nothing was written yet, or --data-dir names another folder"
            ));
            Ok(None)
        }
        Look::Alone => {
            report.wrong(
                "changed_file",
                "CSV files that are not as they were left",
                format!("{shown} (nothing beside it says where it stands)"),
            );
            Ok(None)
        }
        Look::Both(standing) => {
            let (found, length) = (standing.found, standing.length);
            if found < length {
                let place = format!("{shown} has {found} bytes, {length} are acknowledged");
                report.wrong("shortened_file", "CSV files that lost acknowledged lines", place);
            } else if !standing.intact {
                let place = format!("{shown}, the last lines before byte {length}");
                report.wrong("changed_file", "CSV files that are not as they were left", place);
            }
            if found > length {
                let place = format!("{shown}: {} bytes behind byte {length}", found - length);
                report.wrong(
                    "torn_file",
                    "CSV files with more than is acknowledged; the next start of storage cuts it off",
                    place,
                );
            }
            Ok(Some(standing))
        }
    }
}

/// The lines that the raw topic says must be there. Tells how many records of every partition were not taken yet.
fn expected(
    log: &Log,
    monitor: &Monitor,
    source: &str,
    standing: &Standing,
    life: Incarnation,
    known: &mut HashMap<u64, Known>,
    takes: &impl Fn(u64) -> bool,
) -> Result<Vec<(u32, u64)>> {
    let mut behind = Vec::new();
    for partition in 0..log.partitions(Topic::Raw) {
        let next = standing.positions.get(&partition).map_or(0, |(_, next)| *next);
        let mut later = 0;
        log.scan(Topic::Raw, partition, 0, None, &mut |record| {
            if record.offset >= next {
                later += 1;
                return Ok(ControlFlow::Continue(()));
            }
            let judged =
                admission::admit(&monitor.admission, partition, record.key, record.value, record.timestamp);
            if let Ok(Admitted::Observation(observation)) = &judged {
                let row = HistoryRow { offset: record.offset, log_time: record.timestamp, observation };
                let hash = hash(csv::fields(&row, source).iter().map(|field| field.as_bytes()));
                if takes(hash) {
                    let entry: &mut Known = known.entry(hash).or_default();
                    entry.expected += 1;
                    entry.from = Coordinates { incarnation: life, partition, offset: record.offset };
                }
            }
            Ok(ControlFlow::Continue(()))
        })
        .map_err(failed)?;
        behind.push((partition, later));
    }
    Ok(behind)
}

/// The lines that are there.
fn found(
    path: &Path,
    length: u64,
    first: bool,
    tally: &mut Tally,
    known: &mut HashMap<u64, Known>,
    takes: &impl Fn(u64) -> bool,
) -> Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        // Told already.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::input(format!("cannot open {}: {error}", path.display()))),
    };
    let mut reader = ::csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(BufReader::with_capacity(1 << 16, file).take(length));
    let mut record = ::csv::ByteRecord::new();
    loop {
        let more = reader.read_byte_record(&mut record);
        if !more.map_err(|error| Failure::input(format!("cannot read {}: {error}", path.display())))? {
            return Ok(());
        }
        let line = record.position().map_or(0, ::csv::Position::line);
        if first {
            tally.lines += 1;
            if record.len() != 5 {
                tally.torn.add(|| format!("line {line}"));
            }
        }
        let hash = hash(record.iter());
        if record.len() == 5 && takes(hash) {
            let entry = known.entry(hash).or_default();
            entry.found += 1;
            entry.line = line;
        }
    }
}

/// Of the fields, each with its length. The same in every pass of one audit; two different lines of a file have
/// the same by a chance of one in millions.
fn hash<'f>(fields: impl Iterator<Item = &'f [u8]>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for field in fields {
        hasher.write_usize(field.len());
        hasher.write(field);
    }
    hasher.finish()
}

struct Tally {
    missing: Finding,
    doubled: Finding,
    causeless: Finding,
    torn: Finding,
    lines: u64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            missing: Finding::new("missing_line", "observations without a line in the CSV file"),
            doubled: Finding::new("doubled_line", "lines that stand in the CSV file too often"),
            causeless: Finding::new("causeless_line", "lines of the CSV file that no observation explains"),
            torn: Finding::new("torn_line", "lines of the CSV file that are not whole"),
            lines: 0,
        }
    }
}

impl Tally {
    fn judge(&mut self, known: &Known) {
        for _ in known.found..known.expected {
            self.missing.add(|| known.from.to_string());
        }
        for _ in known.expected..known.found {
            match known.expected {
                0 => self.causeless.add(|| format!("line {}", known.line)),
                _ => self.doubled.add(|| format!("line {} ({})", known.line, known.from)),
            }
        }
    }

    fn tell(self, path: &str, whole: bool, report: &mut Report) {
        report.compared.push(format!("{} of {path}", counted(self.lines, "line", "lines")));
        for finding in [self.missing, self.doubled, self.torn] {
            report.take(finding);
        }
        match (whole, self.causeless.count) {
            (true, _) => report.take(self.causeless),
            (false, 0) => {}
            (false, count) => {
                let lines = counted(count, "line", "lines");
                report.note(format!("{lines} of {path} lie before the raw topic's beginning"));
            }
        }
    }
}
