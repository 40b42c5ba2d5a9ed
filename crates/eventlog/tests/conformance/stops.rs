//! Records of a later program.

use std::collections::BTreeMap;

use pricemonitor_eventlog::{EventLog, Stop, Topic, Write};

use super::workers::{Counter, Notes, all, fold_all, sink_until, too_new, values};
use super::{Bed, append, member, producer, record, until};

/// A record of partition 0 for `old`, of partition 1 for everybody else.
fn to(key: &str, value: &str) -> Write {
    Write { partition: Some(u32::from(key != "old")), ..record(key, value) }
}

pub fn a_fold_stops_in_front_of_a_record_that_is_too_new_and_the_other_partitions_go_on(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    append(&mut door, &[to("old", "1"), to("other", "1"), to("old", "2")]);
    append(&mut door, &[to("old", "too new"), to("old", "3"), to("other", "2")]);
    let (mut fold, stop, who) = (Counter::default(), Stop::new(), member("fold", "one"));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| log.fold(&who, &mut fold, &stop));
        until("the log says why", || log.status().unavailable.is_some_and(|why| why.contains("too new")));
        append(&mut door, &[to("old", "4"), to("other", "3")]);
        until("the other partition has gone on", || values(&all(&log, Topic::Processed), "other").len() == 3);
        assert!(log.status().unavailable.is_some_and(|why| why.contains("upgrade")));
        assert!(!running.is_finished());
        stop.stop();
        running.join().unwrap().unwrap();
    });
    assert_eq!(log.status().unavailable, None, "nobody stands in front of it now");
    let told = all(&log, Topic::Processed);
    assert_eq!(
        (values(&told, "old"), values(&told, "other")),
        (vec!["1#1", "2#2"], vec!["1#1", "2#2", "3#3"])
    );
    let raw = all(&log, Topic::Raw);
    let barrier = raw.iter().find(|seen| seen.value.as_deref() == Some("too new")).unwrap();
    assert_eq!(log.folded("fold").unwrap()[0].unwrap().next_offset, barrier.offset);
    // Whoever knows more goes on from there, with the state as it was.
    fold_all(&log, &who, &mut Counter { newer: true, ..Counter::default() });
    let told = all(&log, Topic::Processed);
    assert_eq!(values(&told, "old"), ["1#1", "2#2", "too new#3", "3#4", "4#5"]);
    assert_eq!(values(&told, "other"), ["1#1", "2#2", "3#3"]);
}

pub fn a_sink_stops_in_front_of_a_record_that_is_too_new_and_the_other_partitions_go_on(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    append(&mut door, &[to("old", "1"), to("other", "1"), to("old", "2")]);
    append(&mut door, &[to("old", "too new"), to("old", "3"), to("other", "2")]);
    let mut notes = Notes {
        hook: Some(Box::new(|batch| {
            let newer = batch.records.iter().find(|record| record.value == Some(b"too new"));
            newer.map_or(Ok(()), |record| Err(too_new(record.offset)))
        })),
        ..Notes::default()
    };
    let (seen, stop, who) = (notes.seen.clone(), Stop::new(), member("sink", "one"));
    let seen_of = |key: &str| {
        let seen = seen.lock().unwrap();
        values(&seen, key).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| log.sink(&who, Topic::Raw, &mut notes, &stop));
        until("the log says why", || log.status().unavailable.is_some_and(|why| why.contains("too new")));
        append(&mut door, &[to("old", "4"), to("other", "3")]);
        until("the other partition has gone on", || seen_of("other").len() == 3);
        assert!(!running.is_finished());
        stop.stop();
        running.join().unwrap().unwrap();
    });
    assert_eq!(log.status().unavailable, None, "nobody stands in front of it now");
    assert_eq!(
        (seen_of("old"), seen_of("other")),
        (vec!["1".into(), "2".into()], vec!["1".to_owned(), "2".to_owned(), "3".to_owned()])
    );
    let positions: BTreeMap<_, _> = std::mem::take(&mut notes.positions);
    let mut newer = Notes { positions, ..Notes::default() };
    let seen = newer.seen.clone();
    let done = || seen.lock().unwrap().len() == 3;
    sink_until(&log, &who, Topic::Raw, &mut newer, "the rest is read", done).unwrap();
    assert_eq!(values(&seen.lock().unwrap(), "old"), ["too new", "3", "4"]);
}
