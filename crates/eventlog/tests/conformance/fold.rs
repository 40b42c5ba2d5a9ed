//! Read, change state, write, in one transaction.

use std::collections::BTreeMap;

use pricemonitor_eventlog::{Error, EventLog, Topic, Write};

use super::workers::{Counter, Seen, all, fold_all, fold_until, restored, values};
use super::{Bed, append, lag, member, numbered, producer, record};

fn rounds(log: &impl EventLog, keys: &[String], rounds: std::ops::Range<usize>) {
    let mut door = producer(log);
    for round in rounds {
        let records: Vec<Write> = keys.iter().map(|key| record(key, &round.to_string())).collect();
        append(&mut door, &records);
    }
}

/// Every key was folded `rounds` times, once each, in order.
fn exactly_once(seen: &[Seen], keys: &[String], rounds: usize) {
    assert_eq!(seen.len(), keys.len() * rounds);
    let expected: Vec<String> = (0..rounds).map(|round| format!("{round}#{}", round + 1)).collect();
    for key in keys {
        let values: Vec<_> =
            values(seen, key).into_iter().map(|value| value.split('.').next().unwrap()).collect();
        assert_eq!(values, expected, "{key}");
    }
}

fn counts(restored: &BTreeMap<u32, (u64, BTreeMap<String, u64>)>) -> BTreeMap<String, u64> {
    restored.values().flat_map(|(_, keys)| keys.clone()).collect()
}

pub fn records_state_and_position_change_together(bed: &impl Bed) {
    let log = bed.fresh(3);
    let keys = numbered("key", 25);
    rounds(&log, &keys, 0..8);
    let mut counter = Counter::default();
    fold_all(&log, &member("fold", "one"), &mut counter);
    exactly_once(&all(&log, Topic::Processed), &keys, 8);
    let state = restored(&log, "fold");
    assert_eq!(counts(&state), keys.iter().map(|key| (key.clone(), 8)).collect());
    let positions: u64 = state.values().map(|(next, _)| next).sum();
    assert!(positions >= 200, "every record is behind the position");
    assert_eq!(lag(&log, "fold", Topic::Raw), 0);
    assert!(counter.log.lock().unwrap().commits >= 1);
}

pub fn an_aborted_transaction_leaves_no_trace_and_its_records_come_again(bed: &impl Bed) {
    let log = bed.fresh(2);
    let keys = numbered("key", 50);
    rounds(&log, &keys, 0..2);
    let mut counter = Counter { fill: 4000, ..Counter::default() };
    let events = counter.log.clone();
    bed.refuse_writes(true);
    let mut healed = false;
    let result = fold_until(&log, &member("fold", "one"), &mut counter, "everything is folded", || {
        if !healed && events.lock().unwrap().aborts >= 2 {
            assert_eq!(lag(&log, "nobody", Topic::Processed), 0, "nothing of an aborted transaction is seen");
            assert_eq!(lag(&log, "fold", Topic::Raw), 100, "the position did not move");
            assert!(log.status().unavailable.is_some(), "the log says what is wrong");
            bed.refuse_writes(false);
            healed = true;
        }
        healed && lag(&log, "fold", Topic::Raw) == 0
    });
    bed.refuse_writes(false);
    result.unwrap();
    exactly_once(&all(&log, Topic::Processed), &keys, 2);
    assert_eq!(counts(&restored(&log, "fold")), keys.iter().map(|key| (key.clone(), 2)).collect());
    assert_eq!(log.status().unavailable, None);
}

pub fn restored_state_equals_what_was_committed(bed: &impl Bed) {
    let log = bed.fresh(4);
    let keys = numbered("key", 40);
    rounds(&log, &keys, 0..5);
    let mut counter = Counter::default();
    let events = counter.log.clone();
    let mut before = BTreeMap::new();
    // Counted while it still has its partitions.
    let who = member("fold", "one");
    fold_until(&log, &who, &mut counter, "all is folded", || lag(&log, "fold", Topic::Raw) == 0).unwrap();
    for key in &keys {
        before.insert(key.clone(), 5);
    }
    assert!(events.lock().unwrap().restored.values().all(|(_, keys)| keys.is_empty()), "it began empty");
    let log = bed.reopen(log);
    assert_eq!(counts(&restored(&log, "fold")), before);
    // The next owner goes on counting where the last one stopped.
    rounds(&log, &keys, 5..6);
    fold_all(&log, &who, &mut Counter::default());
    exactly_once(&all(&log, Topic::Processed), &keys, 6);
}

pub fn removed_keys_do_not_come_back(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    append(&mut door, &[record("stays", "1"), record("goes", "1"), record("returns", "1")]);
    append(&mut door, &[record("goes", "remove"), record("returns", "remove")]);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    append(&mut door, &[record("returns", "2")]);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    drop(door);
    let log = bed.reopen(log);
    let expected = [("returns".to_owned(), 1), ("stays".to_owned(), 1)];
    assert_eq!(counts(&restored(&log, "fold")), expected.into_iter().collect());
}

pub fn dead_letters_and_alerts_are_written_with_the_transaction(bed: &impl Bed) {
    let log = bed.fresh(2);
    append(&mut producer(&log), &[record("a", "dead"), record("b", "alert"), record("c", "x")]);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    assert_eq!(values(&all(&log, Topic::DeadLetters), "a"), ["dead#1"]);
    assert_eq!(values(&all(&log, Topic::Alerts), "b"), ["alert#1"]);
    assert_eq!(all(&log, Topic::Processed).len(), 1);
}

pub fn an_error_of_the_fold_stops_it_and_commits_nothing(bed: &impl Bed) {
    let log = bed.fresh(1);
    append(&mut producer(&log), &[record("a", "1")]);
    let mut counter = Counter {
        hook: Some(Box::new(|_| Err(Error::Worker("cannot read this".to_owned())))),
        ..Counter::default()
    };
    let events = counter.log.clone();
    let result = fold_until(&log, &member("fold", "one"), &mut counter, "it gave up", || {
        events.lock().unwrap().aborts == 1
    });
    assert!(matches!(result, Err(Error::Worker(_))), "{result:?}");
    assert_eq!(lag(&log, "nobody", Topic::Processed), 0);
    assert_eq!(lag(&log, "fold", Topic::Raw), 1);
    assert_eq!(restored(&log, "fold").get(&0), Some(&(0, BTreeMap::new())));
}

pub fn a_fold_goes_on_where_it_stopped(bed: &impl Bed) {
    let log = bed.fresh(2);
    let keys = numbered("key", 10);
    for round in 0..4 {
        rounds(&log, &keys, round..round + 1);
        fold_all(&log, &member("fold", "one"), &mut Counter::default());
    }
    exactly_once(&all(&log, Topic::Processed), &keys, 4);
}

pub fn partitions_are_revoked_when_a_fold_stops(bed: &impl Bed) {
    let log = bed.fresh(3);
    append(&mut producer(&log), &[record("a", "1")]);
    let mut counter = Counter::default();
    fold_all(&log, &member("fold", "one"), &mut counter);
    let mut revoked = counter.log.lock().unwrap().revocations.clone();
    revoked.sort_unstable();
    assert_eq!(revoked, [0, 1, 2]);
    assert!(counter.counts().is_empty());
}
