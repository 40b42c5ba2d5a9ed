//! Measures the embedded log: append, fold with state, and a second reader, with CPU per record.
//!
//!     cargo run --release -p pricemonitor-eventlog --example bench_log [records] [series] [folder]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Options};
use pricemonitor_eventlog::{
    Append, Batch, EventLog, Fold, Layout, Member, Out, Position, Restored, Result, Sink, Stop, Table, Topic,
    Write,
};
use pricemonitor_model::MonitorId;

/// Bytes of a raw value, a processed value and a state, as a ticket has them.
const RAW: usize = 300;
const PROCESSED: usize = 400;
const STATE: usize = 160;
const BATCH: usize = 1000;

struct Work {
    tables: std::collections::HashMap<u32, Table<Vec<u8>>>,
    transactions: u64,
}

impl Fold for Work {
    fn assigned(&mut self, partition: u32, restored: Restored<'_>) -> Result<()> {
        let mut table = Table::new();
        restored.each(|key, value| {
            table.restore(key, value).expect("any bytes are a value");
            Ok(())
        })?;
        self.tables.insert(partition, table);
        Ok(())
    }
    fn apply(&mut self, batch: &Batch<'_>, out: &mut Out) -> Result<()> {
        let table = self.tables.get_mut(&batch.partition).expect("assigned");
        for record in batch.records {
            let key = record.key.unwrap_or_default();
            let state = table.entry(key).expect("any bytes are a value");
            state.resize(STATE, 0);
            state[0] = state[0].wrapping_add(1);
            let first = state[0];
            out.encode(Topic::Processed, Some(key), |value| value.resize(value.len() + PROCESSED, first));
        }
        table.drain_dirty(out);
        Ok(())
    }
    fn committed(&mut self) {
        self.transactions += 1;
        self.tables.values_mut().for_each(Table::committed);
    }
    fn aborted(&mut self) {
        self.tables.values_mut().for_each(Table::aborted);
    }
    fn revoked(&mut self, partition: u32) {
        self.tables.remove(&partition);
    }
}

#[derive(Default)]
struct Count {
    records: usize,
    bytes: usize,
}

impl Sink for Count {
    fn position(&mut self, _partition: u32) -> Result<Option<Position>> {
        Ok(None)
    }
    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.records += batch.records.len();
        self.bytes += batch.records.iter().filter_map(|record| record.value).map(<[u8]>::len).sum::<usize>();
        Ok(())
    }
    fn advance(&mut self, _: u32, _: Position) -> Result<()> {
        Ok(())
    }
    fn revoked(&mut self, _partition: u32) {}
}

/// CPU time of the process, all threads, from `/proc/self/stat` in clock ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn measured(what: &str, records: usize, bytes: usize, work: impl FnOnce()) {
    let (wall, used) = (Instant::now(), cpu());
    work();
    let (wall, used) = (wall.elapsed().as_secs_f64(), (cpu() - used).as_secs_f64());
    println!(
        "{what:<28} {:>9.0} records/s {:>7.1} MB/s {:>6.2} us CPU a record {:>6.2} s",
        records as f64 / wall,
        bytes as f64 / wall / 1e6,
        used * 1e6 / records as f64,
        wall
    );
}

fn member(group: &str) -> Member {
    Member { group: group.to_owned(), instance: "bench".to_owned() }
}

/// Waits until everything is appended and `group` has read it, then stops it.
fn drained(log: &EmbeddedLog, group: &str, appended: &Stop, stop: &Stop) {
    while !appended.is_stopped() || log.lag(group, Topic::Raw).unwrap().iter().any(|lag| lag.records > 0) {
        std::thread::sleep(Duration::from_millis(2));
    }
    stop.stop();
}

fn append(log: &EmbeddedLog, records: usize, series: usize) {
    let mut door = log.appender(&member("producer")).unwrap();
    door.poll(Duration::ZERO).unwrap();
    let mut batch: Vec<Write> = Vec::new();
    // A stride that visits the series in no order of theirs.
    let keys = (0..records).map(|n| n.wrapping_mul(7919) % series);
    for (n, series) in keys.enumerate() {
        let key = format!("marketplace/event-{}/listing-{series}", series % 97);
        batch.push(Write { partition: None, key: Some(key.into()), value: Some(vec![b'x'; RAW]) });
        if batch.len() == BATCH || n + 1 == records {
            door.append("source", &batch, Some(b"checkpoint")).unwrap();
            batch.clear();
        }
    }
}

fn fold(log: &EmbeddedLog, appended: &Stop) -> u64 {
    let stop = Stop::new();
    let mut work = Work { tables: Default::default(), transactions: 0 };
    std::thread::scope(|scope| {
        scope.spawn(|| log.fold(&member("fold"), &mut work, &stop).unwrap());
        drained(log, "fold", appended, &stop);
    });
    work.transactions
}

fn read(log: &EmbeddedLog, appended: &Stop) {
    let (stop, mut count) = (Stop::new(), Count::default());
    std::thread::scope(|scope| {
        scope.spawn(|| log.sink(&member("sink"), Topic::Raw, &mut count, &stop).unwrap());
        drained(log, "sink", appended, &stop);
    });
    assert!(count.bytes >= count.records * RAW);
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (records, series) = (number(500_000), number(100_000));
    let own = tempfile::tempdir().unwrap();
    let folder = std::env::args().nth(3).map_or_else(|| own.path().to_owned(), PathBuf::from);
    let store = EmbeddedStore::open(&folder, Options::default()).unwrap();
    let layout = Layout { partitions: 3, ..Layout::default() };
    let log = store.monitor(&MonitorId::new(None, "one-after-the-other"), &layout).unwrap();
    println!("{records} records over {series} series, batches of {BATCH}, {}", folder.display());
    measured("append", records, records * RAW, || append(&log, records, series));
    let all = Stop::new();
    all.stop();
    let mut transactions = 0;
    measured("fold with state and output", records, records * PROCESSED, || {
        transactions = fold(&log, &all);
    });
    println!("  in {transactions} transactions");
    measured("second reader", records, records * RAW, || read(&log, &all));
    let log = store.monitor(&MonitorId::new(None, "all-at-once"), &layout).unwrap();
    measured("append, fold, read at once", records, records * RAW, || {
        let appended = Stop::new();
        std::thread::scope(|scope| {
            scope.spawn(|| fold(&log, &appended));
            scope.spawn(|| read(&log, &appended));
            append(&log, records, series);
            appended.stop();
        });
    });
    println!("bytes on disk: {:.1} MB", log.status().bytes.unwrap_or(0) as f64 / 1e6);
}
