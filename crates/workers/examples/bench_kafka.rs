//! What the processor costs on a real Kafka, exactly once, beside a loop of librdkafka that does nothing but
//! read, write and commit:
//!
//! ```text
//! cargo xtask provision kafka
//! cargo run --release -p pricemonitor-workers --example bench_kafka [messages] [keys] [ways]
//! ```
//!
//! Each way runs in a process of its own over the same records of the same broker on this machine: 160 bytes, 4
//! partitions, the rules of `examples/tickets.yaml`; 40 % of the observations change the price, half of them
//! downwards, 1 % raise an alert, each is answered on the processed topic. Processor time is that of the process
//! alone; it hardly depends on what else the machine does, the time on the clock does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options, Setup, setup};
use pricemonitor_eventlog::{
    Batch, EventLog, Fold, Layout, Member, Observer, Out, Restored, Result, Stop, Topic,
};
use pricemonitor_model::{
    Admission, Baseline, Condition, Decimal, LevelAt, MonitorId, Movement, Observation, Rule, Side,
    Threshold, Time, wire,
};
use pricemonitor_testkit::{kafka, usage};
use pricemonitor_workers::processor::Processor;
use pricemonitor_workers::{Metrics, Witness};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const PARTITIONS: u32 = 4;

const RAW: &str = "default.bench.raw_prices";
const PROCESSED: &str = "default.bench.processed_prices";

/// Each way is a monitor of its own, so that each begins at the begin of the raw topic, which is one for all.
fn id(way: &str) -> MonitorId {
    MonitorId::new(None, way)
}

fn layout() -> Layout {
    Layout { partitions: PARTITIONS, names: [("raw", RAW.to_owned())].into() }
}

fn used() -> usage::Usage {
    usage::of(std::process::id()).unwrap()
}

/// xorshift64*: the same prices on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

fn rules() -> Vec<Rule> {
    let change = |name: &str, movement, percent: i64, baseline| Rule {
        name: name.into(),
        condition: Condition::Move {
            movement,
            threshold: Threshold::Percent(Decimal::from(percent)),
            baseline,
        },
        ..Rule::any_drop()
    };
    let (level, clear) = (Decimal::from(60), Decimal::from(70));
    let bargain = Condition::Level { side: Side::Below, level, clear, at: LevelAt::Published };
    vec![
        change("ten-percent-off", Movement::Drop, 10, Baseline::LastNotified),
        Rule { name: "bargain".into(), condition: bargain, ..Rule::any_drop() },
        change("big-rise", Movement::Rise, 25, Baseline::Previous),
    ]
}

/// Fills the raw topic: every key once, then prices that move around what the key costs. Tells the mean size.
fn fill(bootstrap: &str, messages: usize, keys: usize) -> usize {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "500000")
        .create()
        .unwrap();
    let mut random = Random(42);
    let mut usual: Vec<bool> = vec![true; keys];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    let (mut value, mut bytes) = (Vec::new(), 0);
    for n in 0..messages {
        let key = if n < keys { n } else { random.below(keys as u64) as usize };
        let base = 10_000 + (key as i64 * 7919) % 30_000;
        let cents = match random.below(100) {
            _ if n < keys => base,
            0 => base * 87 / 100,
            1..40 => {
                usual[key] = !usual[key];
                if usual[key] { base } else { base * 98 / 100 }
            }
            _ if usual[key] => base,
            _ => base * 98 / 100,
        };
        let item = format!("e{}/l{key}", key % 97);
        let at = Time::from_millis(now - 600_000 + (n * 300_000 / messages) as i64);
        let mut observation = Observation::new("marketplace", item, Decimal::new(cents, 2), "USD", at);
        observation.labels.set("event", "e12");
        value.clear();
        wire::write_observation(&observation, &mut value);
        bytes += value.len();
        let key = observation.key();
        let mut record = BaseRecord::<[u8], [u8]>::to(RAW).key(key.as_bytes()).payload(&value);
        while let Err((_, again)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = again;
        }
        if n % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(120)).unwrap();
    bytes / messages
}

/// Counts what was committed and how long a transaction took at most.
#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    transactions: AtomicU64,
    slowest: AtomicU64,
}

impl Observer for Counts {
    fn committed(&self, _reader: &str, records: usize, took: Duration) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.slowest.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
    }
}

/// Answers every record by itself: what the engine costs without JSON and state.
struct Echo;

impl Fold for Echo {
    fn assigned(&mut self, _: u32, _: Restored<'_>) -> Result<()> {
        Ok(())
    }
    fn apply(&mut self, batch: &Batch<'_>, out: &mut Out) -> Result<()> {
        for record in batch.records {
            out.record(Topic::Processed, None, record.key, record.value);
        }
        Ok(())
    }
    fn committed(&mut self) {}
    fn aborted(&mut self) {}
    fn revoked(&mut self, _: u32) {}
}

/// One line: messages a second, and processor time a million, without and with the start of the process.
fn report(what: &str, messages: usize, wall: Duration, cpu: Duration, more: &str) {
    let all = used();
    let per_million = |cpu: Duration| cpu.as_secs_f64() * 1e6 / messages as f64;
    println!(
        "{what:<32} {:>8.0} messages/s, {:>5.2} s CPU a million ({:>5.2} with the start), {:>5.1} MiB{more}",
        messages as f64 / wall.as_secs_f64(),
        per_million(cpu),
        per_million(all.cpu),
        all.peak as f64 / 1_048_576.0,
    );
}

fn open(bootstrap: &str, name: &str, counts: Arc<Counts>) -> KafkaLog {
    let options = Options { group_prefix: format!("{name}."), observer: counts, ..Options::default() };
    let connection = Connection { bootstrap_servers: bootstrap.to_owned(), properties: Default::default() };
    setup(&connection, &id(name), &layout(), &Setup { adopt: true, ..Setup::default() }).unwrap();
    KafkaLog::open(&connection, &id(name), &layout(), options).unwrap()
}

fn member() -> Member {
    Member { group: "processor".to_owned(), instance: "bench".to_owned() }
}

fn fold(bootstrap: &str, messages: usize, name: &str, work: &mut impl Fold) {
    let counts = Arc::new(Counts::default());
    let log = open(bootstrap, name, counts.clone());
    let stop = Stop::new();
    let done = || counts.records.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| log.fold(&member(), work, &stop));
        while done() == 0 && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (first, began, before) = (done(), Instant::now(), used());
        while done() < messages as u64 && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let share = messages as f64 / (messages as u64 - first) as f64;
        let (wall, cpu) = (began.elapsed().mul_f64(share), (used().cpu - before.cpu).mul_f64(share));
        stop.stop();
        running.join().unwrap().unwrap();
        let (transactions, slowest) =
            (counts.transactions.load(Ordering::Relaxed), counts.slowest.load(Ordering::Relaxed));
        let more = format!(", {transactions} transactions, the slowest {slowest} ms");
        report(name, messages, wall, cpu, &more);
    });
}

fn processor() -> Processor {
    let admission = Admission { partitions: Some(PARTITIONS), ..Admission::default() };
    let metrics = Metrics::new().unwrap().monitor("bench");
    Processor::new(id("processor"), Arc::new(admission), rules(), Witness::none(), metrics)
}

/// Times the hand-over of the state.
struct Restoring {
    inner: Processor,
    records: usize,
    began: Option<(Instant, Duration)>,
}

impl Fold for Restoring {
    fn assigned(&mut self, partition: u32, restored: Restored<'_>) -> Result<()> {
        self.began.get_or_insert_with(|| (Instant::now(), used().cpu));
        self.inner.assigned(partition, restored)
    }
    fn settled(&mut self) {
        let (began, before) = self.began.unwrap();
        report("restore (records of state)", self.records, began.elapsed(), used().cpu - before, "");
    }
    fn apply(&mut self, batch: &Batch<'_>, out: &mut Out) -> Result<()> {
        self.inner.apply(batch, out)
    }
    fn committed(&mut self) {
        self.inner.committed();
    }
    fn aborted(&mut self) {
        self.inner.aborted();
    }
    fn revoked(&mut self, partition: u32) {
        self.inner.revoked(partition);
    }
}

fn restore(bootstrap: &str, records: usize) {
    let log = open(bootstrap, "processor", Arc::default());
    let stop = Stop::new();
    let mut work = Restoring { inner: processor(), records, began: None };
    // The start of the whole hand-over: what is restored before the first partition is handed over counts too.
    work.began = Some((Instant::now(), used().cpu));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| log.fold(&member(), &mut work, &stop));
        std::thread::sleep(Duration::from_secs(15));
        stop.stop();
        running.join().unwrap().unwrap();
    });
}

/// librdkafka and nothing else, a call for each message, transactions of 20,000.
fn bare(bootstrap: &str, messages: usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "20")
        .set("queued.max.messages.kbytes", "4096")
        .create()
        .unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", "bare")
        .set("compression.type", "lz4")
        .set("linger.ms", "1")
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(RAW, partition as i32, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut done, mut began) = (0, None);
    while done < messages {
        let mut count = 0;
        let mut offsets = TopicPartitionList::new();
        let mut next = [0; PARTITIONS as usize];
        producer.begin_transaction().unwrap();
        while count < 20_000 && done + count < messages {
            let Some(message) = consumer.poll(Duration::from_millis(50)) else { continue };
            let message = message.unwrap();
            began.get_or_insert_with(|| (Instant::now(), used().cpu));
            let mut record = BaseRecord::<[u8], [u8]>::to(PROCESSED)
                .key(message.key().unwrap())
                .payload(message.payload().unwrap());
            while let Err((_, again)) = producer.send(record) {
                producer.poll(Duration::from_millis(1));
                record = again;
            }
            next[message.partition() as usize] = message.offset() + 1;
            count += 1;
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        for (partition, next) in next.iter().enumerate().filter(|(_, next)| **next > 0) {
            offsets.add_partition_offset(RAW, partition as i32, Offset::Offset(*next)).unwrap();
        }
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&offsets, &group, Duration::from_secs(10)).unwrap();
        producer.commit_transaction(Duration::from_secs(30)).unwrap();
        done += count;
    }
    let (began, before) = began.unwrap();
    report("librdkafka alone, call by call", messages, began.elapsed(), used().cpu - before, "");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [way, bootstrap, messages] = &arguments[..]
        && way.parse::<usize>().is_err()
    {
        let messages = messages.parse().unwrap();
        return match way.as_str() {
            "bare" => bare(bootstrap, messages),
            "engine" => fold(bootstrap, messages, "engine", &mut Echo),
            "restore" => restore(bootstrap, messages),
            _ => fold(bootstrap, messages, "processor", &mut processor()),
        };
    }
    let number = |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().unwrap());
    let (messages, keys) = (number(0, 2_000_000), number(1, 100_000));
    let broker =
        kafka::Kafka::start(&kafka::Options { long_run: true, ..kafka::Options::default() }).unwrap();
    let bootstrap = broker.bootstrap();
    let connection = Connection { bootstrap_servers: bootstrap.clone(), properties: Default::default() };
    let run = |way: &str, count: usize| {
        let before = usage::of(broker.id()).unwrap().cpu;
        let own = std::env::current_exe().unwrap();
        // As docs/servers.md advises: by itself, glibc keeps free memory apart for every thread.
        let done = Command::new(own)
            .args([way, &bootstrap, &count.to_string()])
            .env("MALLOC_ARENA_MAX", "2")
            .status()
            .unwrap();
        assert!(done.success(), "{way} failed");
        let cost = (usage::of(broker.id()).unwrap().cpu - before).as_secs_f64();
        println!("{:<32} {:>5.2} s CPU a million of the broker", "", cost * 1e6 / count as f64);
    };
    setup(&connection, &id("bench"), &layout(), &Setup::default()).unwrap();
    let size = fill(&bootstrap, messages, keys);
    println!("{messages} messages of {size} bytes over {keys} keys and {PARTITIONS} partitions");
    let ways = arguments.get(2).map_or("bare,engine,processor", String::as_str);
    for way in ways.split(',') {
        run(way, messages);
    }
    let log = open(&bootstrap, "processor", Arc::default());
    let state: u64 = log.ends(Topic::State).unwrap().iter().map(|ends| ends.end - ends.first).sum();
    run("restore", state as usize);
}
