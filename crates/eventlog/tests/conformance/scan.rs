//! Looking at a log and putting records back, outside of any group.

use std::ops::ControlFlow;

use pricemonitor_eventlog::{Append, Error, EventLog, Record, Result, Topic, Write};
use pricemonitor_model::partition::partition_of;

use super::workers::{Counter, all, fold_all};
use super::{Bed, append, lag, member, noise, numbered, producer, record, until};

/// Offset, key and value of what a scan shows, and where it ended.
fn scanned(
    log: &impl EventLog,
    topic: Topic,
    partition: u32,
    from: u64,
    to: Option<u64>,
) -> (Vec<(u64, String)>, u64) {
    let mut shown = Vec::new();
    let end = log
        .scan(topic, partition, from, to, &mut |record| {
            shown.push((record.offset, text(record)));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    (shown, end)
}

fn text(record: &Record<'_>) -> String {
    let part = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"-")).into_owned();
    format!("{}={}", part(record.key), part(record.value))
}

fn values(shown: &[(u64, String)]) -> Vec<&str> {
    shown.iter().map(|(_, text)| text.as_str()).collect()
}

pub fn a_scan_shows_what_a_reader_sees_and_changes_nothing(bed: &impl Bed) {
    let log = bed.fresh(3);
    let mut door = producer(&log);
    for round in 0..5 {
        let records: Vec<Write> =
            numbered("key", 40).iter().map(|key| record(key, &round.to_string())).collect();
        append(&mut door, &records);
    }
    let mut expected = Vec::new();
    for partition in 0..3 {
        log.scan(Topic::Raw, partition, 0, None, &mut |record| {
            expected.push((partition, record.offset, record.timestamp, text(record)));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    }
    assert_eq!(lag(&log, "reads-all", Topic::Raw), 200, "a scan is no reader");
    let mut read: Vec<_> = all(&log, Topic::Raw)
        .into_iter()
        .map(|seen| {
            let text = format!("{}={}", seen.key.unwrap(), seen.value.unwrap());
            (seen.partition, seen.offset, seen.at, text)
        })
        .collect();
    read.sort();
    assert_eq!(expected, read);
    assert_eq!(scanned(&log, Topic::Alerts, 2, 0, None), (Vec::new(), 0), "nothing is there");
}

pub fn a_scan_begins_and_ends_where_it_is_told(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut door = producer(&log);
    for n in 0..4 {
        append(&mut door, &[record("a", &n.to_string()), record("b", &n.to_string())]);
    }
    let (whole, end) = scanned(&log, Topic::Raw, 0, 0, None);
    let ends = log.ends(Topic::Raw).unwrap();
    // A cluster writes the mark behind a transaction after it told that it is committed.
    assert_eq!((whole.len(), ends.len(), ends[0].first, end <= ends[0].end), (8, 1, 0, true));
    assert!(whole[7].0 < end, "{whole:?} {end}");
    let (third, seventh) = (whole[2].0, whole[6].0);
    assert_eq!(scanned(&log, Topic::Raw, 0, third, Some(seventh)), (whole[2..6].to_vec(), seventh));
    assert_eq!(scanned(&log, Topic::Raw, 0, third, Some(third)), (Vec::new(), third));
    assert_eq!(scanned(&log, Topic::Raw, 0, end + 100, None), (Vec::new(), end + 100));
    // In steps, each of which breaks at its third record.
    let (mut steps, mut at) = (Vec::new(), 0);
    while at < end {
        let mut left = 3;
        at = log
            .scan(Topic::Raw, 0, at, None, &mut |record| {
                steps.push((record.offset, text(record)));
                left -= 1;
                Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })
            .unwrap();
    }
    assert_eq!(steps, whole);
    let wrong = log.scan(Topic::Raw, 1, 0, None, &mut |_| Ok(ControlFlow::Continue(())));
    assert!(matches!(&wrong, Err(Error::Worker(why)) if why.contains("partition 1")), "{wrong:?}");
}

pub fn a_scan_ends_where_the_partition_ended_when_it_began(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut door = producer(&log);
    append(&mut door, &[record("a", "1"), record("a", "2")]);
    let mut shown = Vec::new();
    let end = log
        .scan(Topic::Raw, 0, 0, None, &mut |record| {
            shown.push(text(record));
            append(&mut door, &[super::record("a", "later")]);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(shown, ["a=1", "a=2"]);
    assert_eq!(values(&scanned(&log, Topic::Raw, 0, end, None).0), ["a=later", "a=later"]);
}

pub fn a_scan_shows_nothing_that_was_given_up(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut door = producer(&log);
    append(&mut door, &[record("a", "first")]);
    bed.refuse_writes(true);
    door.append("test", &[record("a", "small"), record("a", &noise(1, 512 * 1024))], None).unwrap_err();
    bed.refuse_writes(false);
    let before = scanned(&log, Topic::Raw, 0, 0, None);
    until("it is taken", || match door.append("test", &[record("a", "second")], None) {
        Ok(_) => true,
        Err(Error::Retry(_)) => false,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(values(&before.0), ["a=first"]);
    assert_eq!(values(&scanned(&log, Topic::Raw, 0, 0, None).0), ["a=first", "a=second"]);
}

pub fn an_error_of_the_looker_ends_a_scan(bed: &impl Bed) {
    let log = bed.fresh(1);
    append(&mut producer(&log), &[record("a", "1"), record("a", "2")]);
    let mut shown = 0;
    let result: Result<u64> = log.scan(Topic::Raw, 0, 0, None, &mut |_| {
        shown += 1;
        Err(Error::Worker("enough".to_owned()))
    });
    assert!(matches!(&result, Err(Error::Worker(why)) if why == "enough"), "{result:?}");
    assert_eq!(shown, 1);
}

pub fn records_put_are_read_by_everybody_and_fence_nobody(bed: &impl Bed) {
    let log = bed.fresh(3);
    let mut door = producer(&log);
    append(&mut door, &[record("a", "1")]);
    let tombstone = Write { partition: None, key: Some(b"gone".to_vec()), value: None };
    let put = log
        .put(&[
            (Topic::Raw, record("a", "2")),
            (Topic::Raw, record("b", "1")),
            (Topic::Raw, Write { partition: Some(2), ..record("a", "elsewhere") }),
            (Topic::DeadLetters, tombstone),
        ])
        .unwrap();
    assert_eq!(put.records, 4);
    append(&mut door, &[record("a", "3")]);
    let place = |key: &str| partition_of(key.as_bytes(), 3);
    let of_a = scanned(&log, Topic::Raw, place("a"), 0, None).0;
    let of_a: Vec<&str> = values(&of_a).into_iter().filter(|text| text.starts_with("a=")).collect();
    let expected: &[&str] =
        if place("a") == 2 { &["a=1", "a=2", "a=elsewhere", "a=3"] } else { &["a=1", "a=2", "a=3"] };
    assert_eq!(of_a, expected);
    assert!(values(&scanned(&log, Topic::Raw, place("b"), 0, None).0).contains(&"b=1"));
    assert!(values(&scanned(&log, Topic::Raw, 2, 0, None).0).contains(&"a=elsewhere"));
    assert_eq!(values(&scanned(&log, Topic::DeadLetters, 0, 0, None).0), ["gone=-"]);
    let at: Vec<_> =
        all(&log, Topic::Raw).into_iter().filter(|seen| seen.value.as_deref() == Some("2")).collect();
    assert!(at[0].at <= put.at, "the time told is that of the last record");
}

pub fn what_is_put_is_put_whole_or_not_at_all(bed: &impl Bed) {
    let log = bed.fresh(2);
    log.put(&[
        (Topic::Raw, record("a", "1")),
        (Topic::Raw, Write { partition: Some(2), ..record("a", "2") }),
    ])
    .unwrap_err();
    for topic in [Topic::State, Topic::Checkpoints] {
        let error = log.put(&[(Topic::Raw, record("a", "3")), (topic, record("s", "stolen"))]).unwrap_err();
        assert!(matches!(&error, Error::Worker(why) if why.contains("only workers")), "{error}");
    }
    let large = record("a", &noise(1, 9 * 1024 * 1024));
    let error = log.put(&[(Topic::Raw, record("a", "4")), (Topic::DeadLetters, large)]).unwrap_err();
    assert!(matches!(error, Error::TooLarge(_)), "{error}");
    assert_eq!(log.put(&[]).unwrap().records, 0);
    log.put(&[(Topic::Raw, record("a", "5"))]).unwrap();
    let all: Vec<_> = all(&log, Topic::Raw).into_iter().filter_map(|seen| seen.value).collect();
    assert_eq!(all, ["5"]);
}

pub fn the_place_of_a_fold_is_told_by_its_state(bed: &impl Bed) {
    let log = bed.fresh(2);
    assert_eq!(log.folded("fold").unwrap(), [None, None]);
    let mut door = producer(&log);
    append(&mut door, &numbered("key", 10).iter().map(|key| record(key, "1")).collect::<Vec<_>>());
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    let offsets = |partition: u32| -> Vec<u64> {
        scanned(&log, Topic::Raw, partition, 0, None).0.iter().map(|(offset, ..)| *offset).collect()
    };
    let before = [0, 1].map(|partition| *offsets(partition).last().unwrap());
    let folded = log.folded("fold").unwrap();
    assert!(folded.iter().flatten().all(|position| position.incarnation == log.incarnation(Topic::Raw)));
    append(&mut door, &(0..20).map(|n| record(&format!("key{n}"), "2")).collect::<Vec<_>>());
    assert_eq!(log.folded("fold").unwrap(), folded, "what is not folded yet does not count");
    for (partition, last) in (0..).zip(before) {
        let next = *offsets(partition).iter().find(|offset| **offset > last).unwrap();
        let place = folded[partition as usize].unwrap().next_offset;
        assert!(last < place && place <= next, "{place} lies between what is folded, {last}, and {next}");
    }
}
