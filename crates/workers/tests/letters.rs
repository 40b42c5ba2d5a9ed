//! Dead letters are found, shown and put back, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Options};
use pricemonitor_eventlog::{EventLog, Layout, Member, Stop, Topic, Write};
use pricemonitor_model::letter::MAX_REPEATED;
use pricemonitor_model::{Admission, MonitorId, Time};
use pricemonitor_testkit::wait;
use pricemonitor_workers::letters::{self, LetterId, Retry, Select};
use pricemonitor_workers::processor::Processor;
use pricemonitor_workers::{Metrics, Witness};

const AT: Time = Time::from_seconds(1_800_000_000);

struct Bench {
    _folder: tempfile::TempDir,
    _store: EmbeddedStore,
    log: EmbeddedLog,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
        let layout = Layout { partitions: 2, ..Layout::default() };
        let log = store.monitor(&MonitorId::new(None, "m"), &layout).unwrap();
        Bench { _folder: folder, _store: store, log }
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        let write = Write { partition: None, key: Some(key.to_vec()), value: Some(value.to_vec()) };
        self.log.put(&[(Topic::Raw, write)]).unwrap();
    }

    /// Runs the processor until everything is folded.
    fn process(&self) {
        let id = MonitorId::new(None, "m");
        let metrics = Metrics::new().unwrap().monitor(id.as_str());
        let mut fold = Processor::new(id, Arc::<Admission>::default(), Vec::new(), Witness::none(), metrics);
        let (stop, member) = (Stop::new(), Member { group: "p".to_owned(), instance: "one".to_owned() });
        std::thread::scope(|scope| {
            let folding = scope.spawn(|| self.log.fold(&member, &mut fold, &stop));
            let waited = wait::until("all to be read", Duration::from_secs(30), || {
                self.log.lag("p", Topic::Raw).unwrap().iter().all(|lag| lag.records == 0)
            });
            stop.stop();
            folding.join().unwrap().unwrap();
            waited.unwrap();
        });
    }

    /// Keys and values of a topic.
    fn all(&self, topic: Topic) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        for partition in 0..self.log.partitions(topic) {
            self.log
                .scan(topic, partition, 0, None, &mut |record| {
                    all.push((record.key.unwrap_or_default().to_vec(), record.value.unwrap().to_vec()));
                    Ok(ControlFlow::Continue(()))
                })
                .unwrap();
        }
        all
    }

    fn list(&self, select: &Select) -> letters::Listed {
        letters::list(&self.log, select, 100).unwrap()
    }

    fn retry(&self, select: Select) -> letters::PutBack {
        letters::retry(&self.log, &Retry { select, ..Retry::default() }, AT).unwrap()
    }
}

fn because(reason: &str) -> Select {
    Select { reason: Some(reason.to_owned()), ..Select::default() }
}

#[test]
fn letters_are_found_by_reason_time_and_place_newest_last() {
    let bench = Bench::new();
    bench.put(b"a", b"{broken");
    bench.put(b"b", br#"{"v":1,"kind":"observation","source":"","item":"i","price":1,"currency":"EUR","observed_at":"2026-01-01T00:00:00Z"}"#);
    bench.put(b"c", b"\xff\xfe");
    bench.process();
    let all = bench.list(&Select::default());
    assert_eq!((all.total, all.unreadable, all.letters.len()), (3, 0, 3));
    let malformed = bench.list(&because("malformed"));
    assert_eq!(
        malformed.letters.iter().map(|l| l.payload.as_ref().unwrap().bytes()).collect::<Vec<_>>(),
        [&b"{broken"[..], b"\xff\xfe"]
    );
    let newest = letters::list(&bench.log, &Select::default(), 1).unwrap();
    assert_eq!((newest.total, newest.letters), (3, all.letters[2..].to_vec()));
    let id = all.letters[1].id;
    assert_eq!(bench.list(&Select { ids: vec![id], ..Select::default() }).letters, [all.letters[1].clone()]);
    assert_eq!(id.to_string().parse::<LetterId>(), Ok(id));
    assert!("7".parse::<LetterId>().unwrap_err().contains("partition:offset"));
    let since = |since| bench.list(&Select { since: Some(since), ..Select::default() }).total;
    assert_eq!((since(all.letters[0].at), since(all.letters[2].at.plus(1))), (3, 0));
    // What another program left there is counted, not hidden.
    let write = |value: &[u8]| Write { partition: Some(0), key: None, value: Some(value.to_vec()) };
    bench
        .log
        .put(&[(Topic::DeadLetters, write(b"?")), (Topic::DeadLetters, write(br#"{"v":1,"kind":"x"}"#))])
        .unwrap();
    let all = bench.list(&Select::default());
    assert_eq!((all.total, all.unreadable), (3, 1));
}

#[test]
fn a_letter_is_put_back_to_the_byte_once_and_says_so() {
    let bench = Bench::new();
    let hostile: Vec<u8> = (0..=255).collect();
    bench.put(b"\xff key", &hostile);
    bench.process();
    let before = bench.list(&Select::default());
    let dry = Retry { dry_run: true, ..Retry::default() };
    let told = letters::retry(&bench.log, &dry, AT).unwrap();
    assert_eq!((told.count, told.done.clone()), (1, vec![before.letters[0].id]));
    assert_eq!(bench.all(Topic::Raw).len(), 1, "a dry run writes nothing");
    assert_eq!(bench.retry(Select::default()), told);
    let raw = bench.all(Topic::Raw);
    assert_eq!(raw, [(b"\xff key".to_vec(), hostile.clone()), (b"\xff key".to_vec(), hostile)]);
    let after = bench.list(&Select::default());
    assert_eq!(after.letters[0].retried, Some(AT));
    // A second time only when that is asked for.
    let second = bench.retry(Select { ids: vec![before.letters[0].id], ..Select::default() });
    assert_eq!((second.count, second.before), (0, 1));
    let again = Retry { again: true, ..Retry::default() };
    assert_eq!(letters::retry(&bench.log, &again, AT).unwrap().count, 1);
    assert_eq!(bench.all(Topic::Raw).len(), 3);
    // It is as wrong as before.
    bench.process();
    assert_eq!(bench.list(&Select::default()).total, 3);
}

#[test]
fn a_letter_that_is_not_whole_is_left_alone() {
    let bench = Bench::new();
    bench.put(b"whole", &vec![b'x'; MAX_REPEATED]);
    bench.put(b"cut", &vec![b'x'; MAX_REPEATED + 1]);
    bench.put(&vec![b'k'; MAX_REPEATED + 1], b"x");
    bench.process();
    let told = bench.retry(Select::default());
    assert_eq!((told.count, told.cut.len()), (1, 2));
    let nowhere = LetterId { partition: 0, offset: 1000 };
    let told = bench.retry(Select { ids: vec![nowhere], ..Select::default() });
    assert_eq!((told.count, told.missing), (0, vec![nowhere]));
}

#[test]
fn many_letters_are_put_back_in_several_transactions() {
    let bench = Bench::new();
    let records: Vec<(Topic, Write)> = (0..1200)
        .map(|n| {
            (
                Topic::Raw,
                Write { partition: None, key: Some(format!("k{n}").into()), value: Some(b"no".to_vec()) },
            )
        })
        .collect();
    bench.log.put(&records).unwrap();
    bench.process();
    let told = bench.retry(because("malformed"));
    assert_eq!((told.count, told.done.len()), (1200, 1000));
    assert_eq!(bench.all(Topic::Raw).len(), 2400);
    assert_eq!(bench.retry(because("malformed")).before, 1200);
    let listed = letters::list(&bench.log, &Select::default(), 10).unwrap();
    assert_eq!((listed.total, listed.letters.len()), (1200, 10));
    assert!(listed.letters.iter().all(|letter| letter.retried == Some(AT)));
}
