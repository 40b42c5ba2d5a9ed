//! The producer's door.

use std::collections::BTreeMap;
use std::time::Duration;

use pricemonitor_eventlog::{Append, Appending, Error, EventLog, Topic, Write};
use pricemonitor_model::partition::partition_of;

use super::workers::{all, values};
use super::{Bed, append, gained, member, noise, numbered, producer, record};

pub fn records_of_a_key_are_read_in_the_order_appended(bed: &impl Bed) {
    let log = bed.fresh(3);
    let mut door = producer(&log);
    let keys = numbered("key", 20);
    for round in 0..30 {
        let records: Vec<Write> = keys.iter().map(|key| record(key, &round.to_string())).collect();
        assert_eq!(append(&mut door, &records).records, 20);
    }
    let seen = all(&log, Topic::Raw);
    assert_eq!(seen.len(), 600);
    let expected: Vec<String> = (0..30).map(|round| round.to_string()).collect();
    for key in &keys {
        assert_eq!(values(&seen, key), expected, "{key}");
    }
    for one in &seen {
        let key = one.key.as_deref().unwrap();
        assert_eq!(one.partition, partition_of(key.as_bytes(), 3), "{key}");
    }
    for partition in 0..3 {
        let offsets: Vec<u64> = seen.iter().filter(|s| s.partition == partition).map(|s| s.offset).collect();
        assert!(offsets.is_sorted_by(|one, next| one < next), "offsets increase");
    }
}

pub fn a_tick_reaches_every_raw_partition(bed: &impl Bed) {
    let log = bed.fresh(4);
    let mut door = producer(&log);
    append(&mut door, &[Write { value: Some(b"tick".to_vec()), ..Write::default() }]);
    let mut partitions: Vec<u32> = all(&log, Topic::Raw).iter().map(|seen| seen.partition).collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1, 2, 3]);
}

pub fn a_named_partition_wins_over_the_key(bed: &impl Bed) {
    let log = bed.fresh(3);
    let mut door = producer(&log);
    for partition in [2, 0] {
        append(&mut door, &[Write { partition: Some(partition), ..record("same", &partition.to_string()) }]);
    }
    let seen = all(&log, Topic::Raw);
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.value == Some(seen.partition.to_string())), "{seen:?}");
    let beyond = Write { partition: Some(3), ..record("same", "x") };
    assert!(door.append("test", &[beyond], None).is_err(), "there is no partition 3");
}

pub fn record_times_never_run_backwards(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    let told: Vec<_> = (0..20).map(|n| append(&mut door, &[record(&format!("k{n}"), "v")]).at).collect();
    assert!(told.is_sorted(), "{told:?}");
    let seen = all(&log, Topic::Raw);
    assert_eq!(seen.len(), 20);
    for (n, at) in told.iter().enumerate() {
        let key = format!("k{n}");
        assert!(
            seen.iter().any(|seen| seen.key.as_deref() == Some(&key) && seen.at == *at),
            "{key} has the time told"
        );
    }
}

pub fn records_and_checkpoint_are_appended_together_or_not_at_all(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    let large = noise(1, 512 * 1024);
    door.append("s", &[record("a", "first")], Some(b"1")).unwrap();
    bed.refuse_writes(true);
    let error = door.append("s", &[record("a", &large)], Some(b"2")).unwrap_err();
    assert!(matches!(error, Error::Retry(_)), "{error:?}");
    bed.refuse_writes(false);
    drop(door);
    let mut door = log.appender(&member("producer", "one")).unwrap();
    assert_eq!(gained(&mut door).1, [("s".to_owned(), b"1".to_vec())]);
    door.append("s", &[record("a", "second")], Some(b"2")).unwrap();
    assert_eq!(values(&all(&log, Topic::Raw), "a"), ["first", "second"]);
}

pub fn several_sources_append_at_once_and_one_that_cannot_does_not_keep_the_others_from_it(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut door = producer(&log);
    let beyond = noise(1, 9 * 1024 * 1024);
    let records =
        [vec![record("a", "1")], vec![record("b", &beyond)], vec![record("a", "2"), record("c", "3")]];
    let asked: Vec<Appending<'_>> = ["one", "large", "two"]
        .into_iter()
        .zip(&records)
        .map(|(source, records)| Appending { source, records, checkpoint: Some(source.as_bytes()) })
        .collect();
    let together = door.append_all(&[asked[0], asked[2]]);
    assert_eq!(together.iter().map(|one| one.as_ref().unwrap().records).collect::<Vec<_>>(), [1, 2]);
    let apart = door.append_all(&asked);
    assert!(matches!(apart[1], Err(Error::TooLarge(_))), "{apart:?}");
    assert!(apart[0].is_ok() && apart[2].is_ok(), "{apart:?}");
    assert!(door.append_all(&[]).is_empty());
    drop(door);
    let mut door = log.appender(&member("producer", "one")).unwrap();
    let checkpoints: BTreeMap<_, _> = gained(&mut door).1.into_iter().collect();
    assert_eq!(checkpoints.into_keys().collect::<Vec<_>>(), ["one", "two"]);
    let seen = all(&log, Topic::Raw);
    assert_eq!(values(&seen, "a"), ["1", "2", "1", "2"]);
    assert_eq!((values(&seen, "b").len(), values(&seen, "c").len()), (0, 2));
}

pub fn checkpoints_survive_a_restart_and_the_last_one_counts(bed: &impl Bed) {
    let log = bed.fresh(3);
    let mut door = producer(&log);
    let mut expected = BTreeMap::new();
    for round in 0..5u8 {
        for source in numbered("source", 7) {
            door.append(&source, &[], Some(&[round; 3])).unwrap();
            expected.insert(source, vec![round; 3]);
        }
    }
    drop(door);
    let log = bed.reopen(log);
    let mut door = log.appender(&member("producer", "one")).unwrap();
    let (partitions, checkpoints) = gained(&mut door);
    assert_eq!(partitions, [0, 1, 2]);
    assert_eq!(checkpoints.len(), expected.len(), "each source once");
    assert_eq!(checkpoints.into_iter().collect::<BTreeMap<_, _>>(), expected);
}

pub fn a_checkpoint_may_be_set_without_records(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut door = producer(&log);
    assert_eq!(door.append("s", &[], Some(b"etag")).unwrap().records, 0);
    door.append("s", &[record("a", "b")], None).unwrap();
    drop(door);
    let mut door = log.appender(&member("producer", "one")).unwrap();
    assert_eq!(gained(&mut door).1, [("s".to_owned(), b"etag".to_vec())], "an append without one keeps it");
    assert_eq!(all(&log, Topic::Raw).len(), 1);
}

pub fn a_source_that_is_not_owned_is_refused(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut owner = producer(&log);
    // One partition: the second member gets nothing.
    let mut other = log.appender(&member("producer", "two")).unwrap();
    let first = other.poll(Duration::from_secs(5)).unwrap();
    assert!(first.is_some(), "the first call tells what is owned, even when that is nothing");
    let error = other.append("s", &[record("a", "stolen")], Some(b"x")).unwrap_err();
    assert!(matches!(error, Error::NotOwned(_)), "{error:?}");
    append(&mut owner, &[record("a", "right")]);
    assert_eq!(values(&all(&log, Topic::Raw), "a"), ["right"]);
}
