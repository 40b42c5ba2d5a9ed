//! What operators do to a cluster and to processes, and what becomes of the records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod conformance;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use conformance::workers::{Counter, Notes, Seen, all, fold_all, fold_until, sink_until, values};
use conformance::{append, gained, lag, member, numbered, producer, record, until};
use futures::executor::block_on;
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{Append, Error, EventLog, Layout, Ownership, Stop, Topic, Write};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::kafka;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};

static BROKER: LazyLock<kafka::Kafka> =
    LazyLock::new(|| kafka::Kafka::start(&kafka::Options::default()).unwrap());

/// What the child is to fold: bootstrap servers, monitor and instance.
const CHILD: &str = "PRICEMONITOR_TEST_KAFKA_CHILD";
const PARTITIONS: u32 = 4;
const KEYS: usize = 20;

fn layout() -> Layout {
    Layout { partitions: PARTITIONS, ..Layout::default() }
}

fn connection(bootstrap: &str) -> Connection {
    // `PRICEMONITOR_KAFKA_DEBUG=cgrp,topic,fetch` has librdkafka tell what it does.
    let debug = std::env::var("PRICEMONITOR_KAFKA_DEBUG").ok().map(|parts| ("debug".to_owned(), parts));
    Connection { bootstrap_servers: bootstrap.to_owned(), properties: debug.into_iter().collect() }
}

fn open_with(bootstrap: &str, name: &str, options: Options) -> KafkaLog {
    // What the engine says explains a test that fails.
    let _ = tracing_subscriber::fmt()
        .with_env_filter("pricemonitor=debug,librdkafka=debug")
        .with_ansi(false)
        .try_init();
    let id = MonitorId::new(None, name);
    let options = Options { group_prefix: format!("{id}."), linger: Duration::from_millis(5), ..options };
    KafkaLog::open(&connection(bootstrap), &id, &layout(), options).unwrap()
}

fn open(name: &str) -> KafkaLog {
    open_with(&BROKER.bootstrap(), name, Options::default())
}

fn fresh(name: &str) -> KafkaLog {
    set_up(&BROKER.bootstrap(), name);
    open(name)
}

fn set_up(bootstrap: &str, name: &str) {
    setup(&connection(bootstrap), &MonitorId::new(None, name), &layout(), &Setup::default()).unwrap();
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", BROKER.bootstrap()).create().unwrap()
}

fn rounds(door: &mut impl Append, rounds: std::ops::Range<usize>) {
    for round in rounds {
        let records: Vec<Write> =
            numbered("key", KEYS).iter().map(|key| record(key, &round.to_string())).collect();
        append(door, &records);
    }
}

/// Every key was answered once for each round, in order.
fn exactly_once(log: &KafkaLog, rounds: usize) {
    let seen = all(log, Topic::Processed);
    let expected: Vec<String> = (0..rounds).map(|round| format!("{round}#{}", round + 1)).collect();
    for key in numbered("key", KEYS) {
        assert_eq!(values(&seen, &key), expected, "{key}");
    }
}

/// A process of its own that folds until it is killed.
fn child(name: &str, instance: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{} {name} {instance}", BROKER.bootstrap()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The child's work. Does nothing when run as a test.
#[test]
fn child_process() {
    let Ok(what) = std::env::var(CHILD) else { return };
    let [bootstrap, name, instance] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let log = open_with(bootstrap, name, Options::default());
    let _ = log.fold(&member("fold", instance), &mut Counter::default(), &Stop::new());
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until `done`, at most two minutes: other tests keep the machine busy. Tells how long that took.
fn in_time(what: &str, done: impl FnMut() -> bool) -> Duration {
    until_or(what, done, String::new)
}

/// As [`in_time`]; says in which state it was given up.
fn until_or(what: &str, mut done: impl FnMut() -> bool, state: impl Fn() -> String) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(120), "waited in vain until {what}: {}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
    began.elapsed()
}

/// Appends numbered rounds until told to stop, whatever becomes of the broker; the checkpoint says which was the last
/// that happened. Tells how many.
fn append_whatever_happens(log: &KafkaLog, enough: &AtomicBool) -> usize {
    let mut door = log.appender(&member("producer", "one")).unwrap();
    gained(&mut door);
    let (mut round, mut unsure) = (0, false);
    while !enough.load(Ordering::SeqCst) || unsure {
        match door.poll(Duration::from_millis(5)) {
            Ok(Some(Ownership::Gained { checkpoints, partitions, .. })) => {
                let last = checkpoints.iter().find(|(source, _)| source == "s");
                round =
                    last.map_or(0, |(_, last)| String::from_utf8_lossy(last).parse::<usize>().unwrap() + 1);
                unsure = false;
                println!("{}: owns {partitions:?}, goes on with round {round}", now());
            }
            Ok(None) => {}
            Ok(Some(lost)) => println!("{}: {lost:?}", now()),
            Err(Error::Retry(why)) => {
                println!("{}: poll: {why}", now());
                continue;
            }
            Err(error) => panic!("{error:?}"),
        }
        if unsure {
            continue;
        }
        let records: Vec<Write> =
            numbered("key", KEYS).iter().map(|key| record(key, &round.to_string())).collect();
        match door.append("s", &records, Some(round.to_string().as_bytes())) {
            Ok(_) => round += 1,
            Err(Error::Ambiguous(why)) => {
                println!("{}: round {round} may have happened: {why}", now());
                unsure = true;
            }
            Err(error @ (Error::Retry(_) | Error::NotOwned(_))) => {
                println!("{}: round {round}: {error}", now())
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    round
}

/// Seconds since the first call.
fn now() -> String {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    format!("{:.3} s", BEGUN.elapsed().as_secs_f64())
}

/// Which values of the first key came several times, where.
fn several_times(seen: &[Seen]) -> String {
    let mut places: BTreeMap<&str, Vec<(u32, u64)>> = BTreeMap::new();
    let first = numbered("key", 1).remove(0);
    for one in seen.iter().filter(|one| one.key.as_ref() == Some(&first)) {
        places.entry(one.value.as_deref().unwrap_or_default()).or_default().push((one.partition, one.offset));
    }
    places.retain(|_, places| places.len() > 1);
    places.into_iter().map(|(value, places)| format!("{value} at {places:?}")).collect::<Vec<_>>().join(", ")
}

/// Ends all threads of a test also when a part of it fails: else it would wait for them for ever.
struct EndAll<'t>(&'t Stop, &'t AtomicBool);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        self.0.stop();
        self.1.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_broker_that_is_killed_under_load_loses_and_doubles_nothing() {
    let mut broker = kafka::Kafka::start(&kafka::Options::default()).unwrap();
    let bootstrap = broker.bootstrap();
    set_up(&bootstrap, "killed");
    let log = open_with(&bootstrap, "killed", Options::default());
    let (mut counter, mut notes) = (Counter::default(), Notes::default());
    let (folded, written) = (counter.log.clone(), notes.seen.clone());
    let (stop, enough) = (Stop::new(), AtomicBool::new(false));
    let total = std::thread::scope(|scope| {
        let _end = EndAll(&stop, &enough);
        let folding = scope.spawn(|| {
            log.fold(&member("fold", "one"), &mut counter, &stop)
                .inspect_err(|error| println!("fold: {error}"))
        });
        let storing = scope.spawn(|| {
            log.sink(&member("sink", "one"), Topic::Raw, &mut notes, &stop)
                .inspect_err(|error| println!("sink: {error}"))
        });
        let appending = scope.spawn(|| append_whatever_happens(&log, &enough));
        let commits = || folded.lock().unwrap().commits;
        // Shorter and longer than a transaction may last.
        for away in [0, 0, 8] {
            let before = commits();
            in_time("there is load", || commits() > before + 5);
            broker.kill().unwrap();
            let told = in_time("the log says that no broker is there", || log.status().unavailable.is_some());
            std::thread::sleep(Duration::from_secs(away).saturating_sub(told));
            broker.restart().unwrap();
            let before = commits();
            let state = || {
                let ended = (folding.is_finished(), storing.is_finished(), appending.is_finished());
                format!("{:?}, {} commits, ended: {ended:?}", log.status(), commits())
            };
            let back = until_or("it goes on by itself", || commits() > before, state);
            println!("away for {away} s or a little more; {back:?} from the restart to the next transaction");
            in_time("the log is available again", || log.status().unavailable.is_none());
        }
        enough.store(true, Ordering::SeqCst);
        let total = appending.join().unwrap();
        in_time("all is folded", || lag(&log, "fold", Topic::Raw) == 0);
        let stored = || (written.lock().unwrap().len(), storing.is_finished(), lag(&log, "sink", Topic::Raw));
        until_or(
            "all is stored",
            || stored() == (total * KEYS, false, 0),
            || format!("{:?} of {}; {}", stored(), total * KEYS, several_times(&written.lock().unwrap())),
        );
        stop.stop();
        folding.join().unwrap().unwrap();
        storing.join().unwrap().unwrap();
        total
    });
    exactly_once(&log, total);
    let raw = all(&log, Topic::Raw);
    assert_eq!(raw.len(), total * KEYS);
    let mut stored: Vec<_> =
        written.lock().unwrap().iter().map(|seen| (seen.partition, seen.offset)).collect();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len(), total * KEYS, "the sink saw a record twice");
}

#[test]
fn a_process_that_was_stopped_beyond_its_session_writes_nothing_more_of_what_it_lost() {
    let log = fresh("zombie");
    let mut door = producer(&log);
    rounds(&mut door, 0..3);
    let mut zombie = child("zombie", "zombie");
    until("the child works", || lag(&log, "fold", Topic::Raw) == 0);
    let (mut heir, stop) = (Counter::default(), Stop::new());
    let events = heir.log.clone();
    let owned = || events.lock().unwrap().assigned.len();
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| log.fold(&member("fold", "heir"), &mut heir, &stop));
        until("they share", || owned() == PARTITIONS as usize / 2);
        signal(&zombie, Signal::STOP);
        rounds(&mut door, 3..6);
        let taken = in_time("the heir has everything", || owned() == PARTITIONS as usize);
        println!("{taken:?} until a lost instance was taken over");
        in_time("the heir has done the work", || lag(&log, "fold", Topic::Raw) == 0);
        signal(&zombie, Signal::CONT);
        rounds(&mut door, 6..9);
        in_time("all is folded", || lag(&log, "fold", Topic::Raw) == 0);
        in_time("they share again", || owned() == PARTITIONS as usize / 2);
        rounds(&mut door, 9..12);
        in_time("all is folded", || lag(&log, "fold", Topic::Raw) == 0);
        stop.stop();
        folding.join().unwrap().unwrap();
    });
    zombie.kill().unwrap();
    zombie.wait().unwrap();
    exactly_once(&log, 12);
}

#[test]
fn a_process_that_was_killed_has_its_partitions_back_when_it_starts_again() {
    let log = fresh("again");
    let mut door = producer(&log);
    rounds(&mut door, 0..2);
    let (mut round, mut running) = (2, child("again", "one"));
    in_time("the child works", || lag(&log, "fold", Topic::Raw) == 0);
    for _ in 0..3 {
        rounds(&mut door, round..round + 1);
        round += 1;
        running.kill().unwrap();
        running.wait().unwrap();
        let began = Instant::now();
        running = child("again", "one");
        rounds(&mut door, round..round + 1);
        round += 1;
        in_time("it goes on", || lag(&log, "fold", Topic::Raw) == 0);
        println!("{:?} from kill -9 to the next committed result", began.elapsed());
    }
    running.kill().unwrap();
    running.wait().unwrap();
    exactly_once(&log, round);
}

#[test]
fn a_fold_of_an_older_generation_gives_up_and_names_both() {
    let log = fresh("epochs");
    rounds(&mut producer(&log), 0..2);
    let of = |config_epoch| {
        open_with(&BROKER.bootstrap(), "epochs", Options { config_epoch, ..Options::default() })
    };
    fold_all(&of(5), &member("fold", "one"), &mut Counter::default());
    let older = fold_until(&of(4), &member("fold", "one"), &mut Counter::default(), "it has ended", || true);
    let older = older.err().unwrap_or_else(|| {
        // The stop was quicker than the assignment.
        let (log, stop) = (of(4), Stop::new());
        log.fold(&member("fold", "one"), &mut Counter::default(), &stop).unwrap_err()
    });
    let text = older.to_string();
    assert!(matches!(older, Error::Superseded(_)), "{text}");
    assert!(text.contains("generation 5") && text.contains("generation 4"), "{text}");
    // Who does not compare, and who is newer, go on; the newer one is the measure from then on.
    rounds(&mut producer(&log), 2..3);
    fold_all(&of(0), &member("fold", "one"), &mut Counter::default());
    rounds(&mut producer(&log), 3..4);
    fold_all(&of(6), &member("fold", "one"), &mut Counter::default());
    let older = of(5).fold(&member("fold", "one"), &mut Counter::default(), &Stop::new()).unwrap_err();
    assert!(matches!(&older, Error::Superseded(text) if text.contains("generation 6")), "{older:?}");
    exactly_once(&log, 4);
}

#[test]
fn deleted_group_offsets_change_nothing() {
    let log = fresh("offsets");
    rounds(&mut producer(&log), 0..3);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    let read = || seen.lock().unwrap().len();
    sink_until(&log, &member("sink", "one"), Topic::Raw, &mut notes, "all is stored", || read() == 3 * KEYS)
        .unwrap();
    let groups = ["fold", "sink"].map(|group| format!("default.offsets.{group}"));
    for group in &groups {
        // A member of a static name is in the group until its session has ended.
        in_time("the group is deleted", || {
            block_on(admin().delete_groups(&[group], &AdminOptions::new())).unwrap().remove(0).is_ok()
        });
    }
    assert_eq!(lag(&log, "fold", Topic::Raw), 3 * KEYS as u64, "the group knows nothing any more");
    // Also when there is nothing more to read, the group hears where its members stand.
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    let told = || lag(&log, "sink", Topic::Raw) == 0;
    sink_until(&log, &member("sink", "one"), Topic::Raw, &mut notes, "its place is told", told).unwrap();
    rounds(&mut producer(&log), 3..5);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    sink_until(&log, &member("sink", "one"), Topic::Raw, &mut notes, "all is stored", || read() == 5 * KEYS)
        .unwrap();
    exactly_once(&log, 5);
    assert_eq!(read(), 5 * KEYS);
}

#[test]
fn a_raw_topic_that_was_made_anew_stops_readers_with_the_reason() {
    let log = fresh("anew");
    rounds(&mut producer(&log), 0..2);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    let mut notes = Notes::default();
    let seen = notes.seen.clone();
    sink_until(&log, &member("sink", "one"), Topic::Raw, &mut notes, "all is stored", || {
        seen.lock().unwrap().len() == 2 * KEYS
    })
    .unwrap();
    for deleted in block_on(admin().delete_topics(&[log.name(Topic::Raw)], &AdminOptions::new())).unwrap() {
        deleted.unwrap();
    }
    std::thread::sleep(Duration::from_secs(1));
    let made =
        setup(&connection(&BROKER.bootstrap()), &MonitorId::new(None, "anew"), &layout(), &Setup::default());
    assert_eq!(made.unwrap().made, [log.name(Topic::Raw)]);
    drop(log);
    let log = open("anew");
    let fold = log.fold(&member("fold", "one"), &mut Counter::default(), &Stop::new());
    assert!(matches!(&fold, Err(Error::Position(text)) if text.contains("made anew")), "{fold:?}");
    let sink = log.sink(&member("sink", "one"), Topic::Raw, &mut notes, &Stop::new());
    assert!(matches!(&sink, Err(Error::Position(text)) if text.contains("made anew")), "{sink:?}");
    // Who has no position begins with the new life.
    rounds(&mut producer(&log), 0..1);
    assert_eq!(all(&log, Topic::Raw).len(), KEYS);
}

#[test]
fn a_position_behind_deleted_records_stops_with_the_reason() {
    let log = fresh("deleted");
    let mut door = producer(&log);
    rounds(&mut door, 0..1);
    fold_all(&log, &member("fold", "one"), &mut Counter::default());
    rounds(&mut door, 1..6);
    let mut all_of_it = TopicPartitionList::new();
    for (partition, ends) in (0..).zip(log.ends(Topic::Raw).unwrap()) {
        all_of_it
            .add_partition_offset(log.name(Topic::Raw), partition, Offset::Offset(ends.end as i64))
            .unwrap();
    }
    block_on(admin().delete_records(&all_of_it, &AdminOptions::new())).unwrap();
    let fold = log.fold(&member("fold", "one"), &mut Counter::default(), &Stop::new());
    assert!(matches!(&fold, Err(Error::Position(text)) if text.contains("retention")), "{fold:?}");
}

#[test]
fn a_partition_that_its_sink_cannot_take_waits_and_the_others_go_on() {
    let log = fresh("pressure");
    let mut door = producer(&log);
    let put = |door: &mut <KafkaLog as EventLog>::Appender, round: usize| {
        let one = |partition| Write { partition: Some(partition), ..record("k", &round.to_string()) };
        append(door, &(0..PARTITIONS).map(one).collect::<Vec<_>>());
    };
    put(&mut door, 0);
    let refuse = Arc::new(AtomicBool::new(true));
    let (refused, tried) = (refuse.clone(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let batches = tried.clone();
    let mut notes = Notes {
        hook: Some(Box::new(move |batch| {
            if batch.partition != 1 || !refused.load(Ordering::SeqCst) {
                return Ok(());
            }
            batches
                .lock()
                .unwrap()
                .push(batch.records.iter().map(|record| record.offset).collect::<Vec<_>>());
            Err(Error::Retry("the disk is full".to_owned()))
        })),
        ..Notes::default()
    };
    let (seen, together) = (notes.seen.clone(), notes.together.clone());
    let by_partition = || {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        seen.lock().unwrap().iter().for_each(|seen| *counts.entry(seen.partition).or_default() += 1);
        counts
    };
    let stop = Stop::new();
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| log.sink(&member("sink", "one"), Topic::Raw, &mut notes, &stop));
        until("the sink refuses", || !tried.lock().unwrap().is_empty());
        for round in 1..40 {
            put(&mut door, round);
        }
        until("the others have all", || by_partition() == [(0, 40), (2, 40), (3, 40)].into());
        assert_eq!(log.status().unavailable.as_deref(), Some("the disk is full"));
        until("it was tried again", || tried.lock().unwrap().len() >= 4);
        let tried = tried.lock().unwrap().clone();
        assert!(tried.iter().all(|batch| *batch == tried[0]), "{tried:?}");
        refuse.store(false, Ordering::SeqCst);
        until("the last one has all", || by_partition().get(&1) == Some(&40));
        until("nothing is wrong any more", || log.status().unavailable.is_none());
        assert!(*together.lock().unwrap() > 1, "what came of several partitions came together");
        put(&mut door, 40);
        until("it reads on", || by_partition() == (0..PARTITIONS).map(|partition| (partition, 41)).collect());
        stop.stop();
        storing.join().unwrap().unwrap();
    });
    for partition in 0..PARTITIONS {
        let values: Vec<_> =
            seen.lock().unwrap().iter().filter(|seen| seen.partition == partition).cloned().collect();
        let expected: Vec<String> = (0..41).map(|round| round.to_string()).collect();
        assert_eq!(
            values.into_iter().filter_map(|seen| seen.value).collect::<Vec<_>>(),
            expected,
            "{partition}"
        );
    }
}
