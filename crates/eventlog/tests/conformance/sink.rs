//! Effects outside of the log.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pricemonitor_eventlog::{Error, EventLog, Position, Stop, Topic, Write};
use pricemonitor_model::Incarnation;

use super::workers::{Counter, Notes, all, fold_all, seen, sink_until, values};
use super::{Bed, append, lag, member, producer, record, until};

pub fn a_sink_without_position_begins_at_the_start(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    append(&mut door, &[record("a", "1"), record("b", "1")]);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    for topic in [Topic::Raw, Topic::Processed] {
        let mut notes = Notes::default();
        let seen = notes.seen.clone();
        let done = || seen.lock().unwrap().len() == 2;
        sink_until(&log, &member("sink", "one"), topic, &mut notes, "both are read", done).unwrap();
        let mut revoked = notes.revoked.lock().unwrap().clone();
        revoked.sort_unstable();
        assert_eq!(revoked, [0, 1]);
    }
}

pub fn a_sink_goes_on_at_its_own_position(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut door = producer(&log);
    append(&mut door, &[record("a", "1"), record("a", "2"), record("a", "3")]);
    let first = all(&log, Topic::Raw);
    let mut notes = Notes::default();
    let who = member("sink", "one");
    let seen = notes.seen.clone();
    sink_until(&log, &who, Topic::Raw, &mut notes, "three", || seen.lock().unwrap().len() == 3).unwrap();
    let incarnation = notes.incarnation.lock().unwrap().unwrap();
    // In the middle of what was appended together, and after a restart.
    let log = {
        drop(door);
        bed.reopen(log)
    };
    let at = Position { incarnation, next_offset: first[1].offset };
    let mut notes = Notes { positions: [(0, at)].into(), ..Notes::default() };
    let seen = notes.seen.clone();
    append(&mut producer(&log), &[record("a", "4")]);
    sink_until(&log, &who, Topic::Raw, &mut notes, "three again", || seen.lock().unwrap().len() >= 3)
        .unwrap();
    assert_eq!(values(&seen.lock().unwrap(), "a"), ["2", "3", "4"]);
}

fn refused(log: &impl EventLog, position: Position) -> String {
    let mut notes = Notes { positions: [(0, position)].into(), ..Notes::default() };
    let result = log.sink(&member("sink", "one"), Topic::Raw, &mut notes, &Stop::new());
    assert!(notes.seen.lock().unwrap().is_empty());
    match result {
        Err(Error::Position(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn incarnation(log: &impl EventLog) -> Incarnation {
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    let done = || !seen.lock().unwrap().is_empty();
    sink_until(log, &member("looks", "one"), Topic::Raw, &mut notes, "one is read", done).unwrap();
    notes.incarnation.lock().unwrap().unwrap()
}

pub fn a_position_beyond_the_end_is_refused(bed: &impl Bed) {
    let log = bed.fresh(1);
    append(&mut producer(&log), &[record("a", "1")]);
    let incarnation = incarnation(&log);
    let why = refused(&log, Position { incarnation, next_offset: 1_000_000 });
    assert!(why.contains("1000000") && why.contains("sink"), "{why}");
}

pub fn a_position_of_another_life_is_refused(bed: &impl Bed) {
    let log = bed.fresh(1);
    append(&mut producer(&log), &[record("a", "1")]);
    let Incarnation(number) = incarnation(&log);
    assert!(number < 1 << 53, "a JSON number keeps it");
    let why = refused(&log, Position { incarnation: Incarnation(number ^ 1), next_offset: 0 });
    assert!(why.contains(&number.to_string()), "{why}");
    let other = bed.fresh(1);
    append(&mut producer(&other), &[record("a", "1")]);
    assert_ne!(self::incarnation(&other), Incarnation(number), "another log is another life");
}

pub fn a_batch_that_may_be_retried_comes_again_unchanged(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut door = producer(&log);
    append(&mut door, &[record("a", "1"), record("a", "2")]);
    let tries = Arc::new(Mutex::new(Vec::new()));
    let tried = tries.clone();
    let mut notes = Notes {
        hook: Some(Box::new(move |batch| {
            let mut tried = tried.lock().unwrap();
            tried.push(seen(batch));
            if tried.len() < 3 { Err(Error::Retry("busy".to_owned())) } else { Ok(()) }
        })),
        ..Notes::default()
    };
    let got = notes.seen.clone();
    let mut more = true;
    sink_until(&log, &member("sink", "one"), Topic::Raw, &mut notes, "all three are written", || {
        if more && !tries.lock().unwrap().is_empty() {
            append(&mut door, &[record("a", "3")]);
            more = false;
        }
        got.lock().unwrap().len() == 3
    })
    .unwrap();
    let tries = tries.lock().unwrap();
    assert_eq!(tries[0], tries[1]);
    assert_eq!(tries[1], tries[2]);
    assert_eq!(values(&got.lock().unwrap(), "a"), ["1", "2", "3"]);
}

pub fn when_one_of_several_partitions_is_retried_nothing_is_lost_or_doubled(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    let to = |partition: u32, value: &str| Write { partition: Some(partition), ..record("k", value) };
    append(&mut door, &[to(0, "1"), to(1, "1"), to(0, "2"), to(1, "2")]);
    let mut refusals = 3;
    let mut notes = Notes {
        hook: Some(Box::new(move |batch| {
            if batch.partition != 0 || refusals == 0 {
                return Ok(());
            }
            refusals -= 1;
            Err(Error::Retry("busy".to_owned()))
        })),
        ..Notes::default()
    };
    let got = notes.seen.clone();
    let of = |partition: u32| {
        let got = got.lock().unwrap();
        got.iter()
            .filter(|seen| seen.partition == partition)
            .filter_map(|seen| seen.value.clone())
            .collect::<Vec<String>>()
    };
    let mut more = true;
    sink_until(&log, &member("sink", "one"), Topic::Raw, &mut notes, "all is written", || {
        if std::mem::take(&mut more) {
            append(&mut door, &[to(0, "3"), to(1, "3")]);
        }
        of(0).len() + of(1).len() >= 6
    })
    .unwrap();
    for partition in 0..2 {
        assert_eq!(of(partition), ["1", "2", "3"], "partition {partition}");
    }
}

pub fn an_error_of_the_sink_stops_it(bed: &impl Bed) {
    let log = bed.fresh(1);
    append(&mut producer(&log), &[record("a", "1")]);
    let mut notes =
        Notes { hook: Some(Box::new(|_| Err(Error::Storage("gone".to_owned())))), ..Notes::default() };
    let result = log.sink(&member("sink", "one"), Topic::Raw, &mut notes, &Stop::new());
    assert!(matches!(result, Err(Error::Storage(_))), "{result:?}");
    assert_eq!(lag(&log, "sink", Topic::Raw), 1);
}

pub fn lag_counts_what_is_still_to_be_read(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    let of = |group: &str| {
        let lag = log.lag(group, Topic::Raw).unwrap();
        assert_eq!(lag.iter().map(|lag| lag.partition).collect::<Vec<_>>(), [0, 1]);
        assert!(lag.iter().all(|lag| (lag.records == 0) == lag.oldest.is_none()), "{lag:?}");
        lag
    };
    assert_eq!(lag(&log, "sink", Topic::Raw), 0);
    let at = append(&mut door, &[record("a", "1"), record("a", "2"), record("b", "1")]).at;
    assert_eq!(lag(&log, "sink", Topic::Raw), 3);
    assert_eq!(of("sink").iter().filter_map(|lag| lag.oldest).min(), Some(at));
    let mut notes = Notes::default();
    let done = || of("sink").iter().all(|lag| lag.records == 0);
    sink_until(&log, &member("sink", "one"), Topic::Raw, &mut notes, "there is no lag", done).unwrap();
    append(&mut door, &[record("a", "3")]);
    assert_eq!(lag(&log, "sink", Topic::Raw), 1);
    assert_eq!(lag(&log, "fold", Topic::Raw), 4);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    assert_eq!(lag(&log, "fold", Topic::Raw), 0);
    drop(door);
    let log = bed.reopen(log);
    assert_eq!(lag(&log, "fold", Topic::Raw), 0);
    assert_eq!(lag(&log, "sink", Topic::Raw), 1, "known again before the sink is");
}

pub fn a_quiet_sink_may_keep_house(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut notes = Notes::default();
    let idled = notes.idled.clone();
    let done = || *idled.lock().unwrap() >= 2;
    sink_until(&log, &member("sink", "one"), Topic::Alerts, &mut notes, "it idled twice", done).unwrap();
}

pub fn a_stop_is_heard_at_once(bed: &impl Bed) {
    let log = bed.fresh(2);
    let (mut counter, mut notes) = (Counter::default(), Notes::default());
    let assigned = counter.log.clone();
    let stop = Stop::new();
    let heard = std::thread::scope(|scope| {
        let fold = scope.spawn(|| log.fold(&member("fold", "one"), &mut counter, &stop));
        let sink = scope.spawn(|| log.sink(&member("sink", "one"), Topic::Raw, &mut notes, &stop));
        until("the fold waits", || assigned.lock().unwrap().assigned.len() == 2);
        std::thread::sleep(Duration::from_millis(50));
        let asked = Instant::now();
        stop.stop();
        fold.join().unwrap().unwrap();
        sink.join().unwrap().unwrap();
        asked.elapsed()
    });
    assert!(heard < Duration::from_millis(800), "{heard:?}");
}
