//! Several members: fencing, and partitions that change hands.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use pricemonitor_eventlog::{Append, Error, EventLog, Ownership, Stop, Topic, Write};

use super::workers::{Counter, Notes, all, fold_all, values};
use super::{Bed, append, gained, lag, member, numbered, producer, record, until};

pub fn a_fold_that_was_replaced_cannot_write(bed: &impl Bed) {
    let log = bed.fresh(1);
    append(&mut producer(&log), &[record("a", "1"), record("a", "2")]);
    let who = member("fold", "one");
    let (held, holds) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let mut zombie = Counter {
        hook: Some(Box::new(move |_| {
            held.send(()).unwrap();
            gone.recv().unwrap();
            Ok(())
        })),
        ..Counter::default()
    };
    let events = zombie.log.clone();
    let stop = Stop::new();
    std::thread::scope(|scope| {
        let old = scope.spawn(|| log.fold(&who, &mut zombie, &stop));
        holds.recv_timeout(Duration::from_secs(30)).unwrap();
        // While the old one is in the middle of a transaction, the new one does the work.
        fold_all(&log, &who, &mut Counter::default());
        go.send(()).unwrap();
        let result = old.join().unwrap();
        assert!(matches!(result, Err(Error::Fenced(_))), "{result:?}");
    });
    assert_eq!(events.lock().unwrap().commits, 0);
    assert_eq!(events.lock().unwrap().aborts, 1);
    assert_eq!(values(&all(&log, Topic::Processed), "a"), ["1#1", "2#2"]);
}

pub fn an_appender_that_was_replaced_cannot_append(bed: &impl Bed) {
    let log = bed.fresh(2);
    let who = member("producer", "one");
    let mut zombie = producer(&log);
    zombie.append("s", &[record("a", "1")], Some(b"1")).unwrap();
    let mut heir = log.appender(&who).unwrap();
    let (partitions, checkpoints) = gained(&mut heir);
    assert_eq!(partitions, [0, 1]);
    assert_eq!(checkpoints, [("s".to_owned(), b"1".to_vec())]);
    let error = zombie.append("s", &[record("a", "zombie")], Some(b"zombie")).unwrap_err();
    assert!(matches!(error, Error::Fenced(_)), "{error:?}");
    let error = zombie.poll(Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::Fenced(_)), "{error:?}");
    drop(zombie);
    heir.append("s", &[record("a", "2")], Some(b"2")).unwrap();
    assert_eq!(values(&all(&log, Topic::Raw), "a"), ["1", "2"]);
}

pub fn a_sink_that_was_replaced_ends(bed: &impl Bed) {
    let log = bed.fresh(1);
    let mut door = producer(&log);
    append(&mut door, &[record("a", "1")]);
    let who = member("sink", "one");
    let (mut old, mut new) = (Notes::default(), Notes::default());
    let (old_seen, new_seen) = (old.seen.clone(), new.seen.clone());
    let (old_stop, new_stop) = (Stop::new(), Stop::new());
    std::thread::scope(|scope| {
        let first = scope.spawn(|| log.sink(&who, Topic::Raw, &mut old, &old_stop));
        until("the first has read", || old_seen.lock().unwrap().len() == 1);
        let second = scope.spawn(|| log.sink(&who, Topic::Raw, &mut new, &new_stop));
        let result = first.join().unwrap();
        assert!(matches!(result, Err(Error::Fenced(_))), "{result:?}");
        append(&mut door, &[record("a", "2")]);
        until("the second has read", || new_seen.lock().unwrap().len() == 2);
        new_stop.stop();
        second.join().unwrap().unwrap();
    });
    assert_eq!(old_seen.lock().unwrap().len(), 1, "nothing reaches the one that was replaced");
}

pub fn partitions_move_between_folds_and_nothing_is_lost_or_doubled(bed: &impl Bed) {
    let log = bed.fresh(6);
    let keys = numbered("key", 30);
    let mut door = producer(&log);
    let mut round = 0;
    let mut more = |rounds: usize| {
        for _ in 0..rounds {
            let records: Vec<Write> = keys.iter().map(|key| record(key, &round.to_string())).collect();
            append(&mut door, &records);
            round += 1;
        }
        round
    };
    let (mut one, mut two) = (Counter::default(), Counter::default());
    let (first, second) = (one.log.clone(), two.log.clone());
    let (stop_one, stop_two) = (Stop::new(), Stop::new());
    let owned = |log: &std::sync::Arc<std::sync::Mutex<super::workers::CounterLog>>| {
        log.lock().unwrap().assigned.len()
    };
    let total = std::thread::scope(|scope| {
        let a = scope.spawn(|| log.fold(&member("fold", "a"), &mut one, &stop_one));
        until("the first has all partitions", || owned(&first) == 6);
        more(5);
        let b = scope.spawn(|| log.fold(&member("fold", "b"), &mut two, &stop_two));
        until("they share", || {
            more(1);
            owned(&first) == 3 && owned(&second) == 3
        });
        more(5);
        stop_one.stop();
        a.join().unwrap().unwrap();
        until("the second has all partitions", || {
            more(1);
            owned(&second) == 6
        });
        let total = more(5);
        until("all is folded", || lag(&log, "fold", Topic::Raw) == 0);
        stop_two.stop();
        b.join().unwrap().unwrap();
        total
    });
    let seen = all(&log, Topic::Processed);
    assert_eq!(seen.len(), total * keys.len());
    let expected: Vec<String> = (0..total).map(|round| format!("{round}#{}", round + 1)).collect();
    keys.iter().for_each(|key| assert_eq!(values(&seen, key), expected, "{key}"));
}

pub fn sources_move_between_appenders_with_their_checkpoints(bed: &impl Bed) {
    let log = bed.fresh(4);
    let mut one = producer(&log);
    let sources = numbered("source", 12);
    for source in &sources {
        one.append(source, &[record(source, "1")], Some(source.as_bytes())).unwrap();
    }
    let mut two = log.appender(&member("producer", "two")).unwrap();
    // Both are polled all the time, as workers do it: an engine may need either for a move.
    let (mut lost, mut got) = (None, None);
    until("half of the sources have moved", || {
        if let Some(Ownership::Lost { partitions }) = one.poll(Duration::from_millis(20)).unwrap() {
            lost = Some(partitions);
        }
        match two.poll(Duration::from_millis(20)).unwrap() {
            Some(Ownership::Gained { partitions, checkpoints, .. }) if !partitions.is_empty() => {
                got = Some((partitions, checkpoints));
            }
            _ => {}
        }
        lost.is_some() && got.is_some()
    });
    let ((partitions, checkpoints), lost) = (got.unwrap(), lost.unwrap());
    assert_eq!(partitions, lost);
    assert_eq!(partitions.len(), 2, "equal shares");
    let moved: BTreeMap<_, _> = checkpoints.into_iter().collect();
    assert!(!moved.is_empty() && moved.iter().all(|(source, checkpoint)| source.as_bytes() == checkpoint));
    for source in &sources {
        let (owner, other): (&mut dyn Append, &mut dyn Append) =
            if moved.contains_key(source) { (&mut two, &mut one) } else { (&mut one, &mut two) };
        owner.append(source, &[record(source, "2")], None).unwrap();
        let error = other.append(source, &[record(source, "x")], None).unwrap_err();
        assert!(matches!(error, Error::NotOwned(_)), "{source}: {error:?}");
    }
    drop(one);
    let (back, _) = gained(&mut two);
    assert_eq!(back.len(), 2, "what the first had");
    let seen = all(&log, Topic::Raw);
    sources.iter().for_each(|source| assert_eq!(values(&seen, source), ["1", "2"]));
}

pub fn every_partition_has_exactly_one_owner(bed: &impl Bed) {
    let log = bed.fresh(2);
    let mut counters: Vec<Counter> = (0..4).map(|_| Counter::default()).collect();
    let logs: Vec<_> = counters.iter().map(|counter| counter.log.clone()).collect();
    let stop = Stop::new();
    std::thread::scope(|scope| {
        for (n, counter) in counters.iter_mut().enumerate() {
            let (log, stop) = (&log, &stop);
            scope.spawn(move || log.fold(&member("fold", &format!("m{n}")), counter, stop).unwrap());
        }
        let owned = || logs.iter().flat_map(|log| log.lock().unwrap().assigned.clone()).collect::<Vec<_>>();
        until("both partitions are owned for a while", || {
            let settled = Instant::now();
            let mut two = true;
            while two && settled.elapsed() < Duration::from_millis(100) {
                let mut owners = owned();
                owners.sort_unstable();
                assert!(owners.len() <= 2, "a partition has two owners: {owners:?}");
                two = owners == [0, 1];
            }
            two
        });
        stop.stop();
    });
}

pub fn a_member_ends_that_has_not_heard_yet_what_is_its_own<B: Bed>(bed: &B)
where
    B::Log: Send + Sync + 'static,
{
    let log = Arc::new(bed.fresh(1));
    let (held, holds) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let mut busy = Counter {
        settling: Some(Box::new(move || {
            held.send(()).unwrap();
            gone.recv().unwrap();
        })),
        ..Counter::default()
    };
    let (ended, ends) = mpsc::channel();
    let (stop, stop_busy) = (Stop::new(), Stop::new());
    let (its_log, told) = (log.clone(), stop_busy.clone());
    std::thread::scope(|scope| {
        let joined = |name: &'static str| {
            let (log, stop) = (log.clone(), stop.clone());
            let mut counter = Counter::default();
            let events = counter.log.clone();
            scope.spawn(move || log.fold(&member("fold", name), &mut counter, &stop).unwrap());
            until("a member has settled", || events.lock().unwrap().settled);
        };
        joined("the owner of the partition");
        // Not scoped: a scope would wait for whoever does not end.
        std::thread::spawn(move || {
            ended.send(its_log.fold(&member("fold", "busy"), &mut busy, &told)).unwrap()
        });
        holds.recv_timeout(Duration::from_secs(30)).unwrap();
        // While it is busy, all are told anew what is their own.
        joined("one more");
        std::thread::sleep(Duration::from_millis(300));
        stop_busy.stop();
        go.send(()).unwrap();
        let how = ends.recv_timeout(Duration::from_secs(30));
        stop.stop();
        assert!(matches!(how, Ok(Ok(()))), "{how:?}");
    });
}
