//! The real binary's workers as processes of their own, on a real broker and a real database: how long a price takes
//! from the log to a webhook, and how long a killed processor is missed. `cargo xtask bench cluster` builds and runs
//! it; it prints and judges nothing.

#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::place::{Place, free_port};
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, topics, usage, wait};

/// Run-up before anything counts: Java compiles for the first minute, and once more when it first compacts the state.
const RUN_UP: Duration = Duration::from_secs(160);
/// How long latency is measured: what the servers do once a minute or so (compaction of state, autovacuum) is in it.
const WINDOW: Duration = Duration::from_secs(100);
/// Kills of the processor, each followed by a start at once.
const KILLS: usize = 5;
const SOON: Duration = Duration::from_secs(60);

/// Some 10,000 prices a second in 40 transactions, of which one in a hundred is an alert.
fn manifest(hook: &str) -> String {
    let source =
        |n: u32| format!("  - {{name: market-{n}, interval: 100ms, simulator: {{events: 75, seed: {n}}}}}\n");
    format!(
        "apiVersion: pricemonitor.dev/v1alpha1
kind: PriceMonitor
metadata: {{name: load}}
spec:
  sources:
{}  rules: [{{name: deep-drop, drop: {{percent: 20}}}}]
  channels: [{{name: hook, webhook: {{url: '{hook}'}}}}]
  kafka: {{partitions: 4}}
",
        (1..=4).map(source).collect::<String>()
    )
}

struct Cluster {
    binary: PathBuf,
    place: Place,
    kafka: Kafka,
    postgres: Postgres,
}

/// A worker and the port of its metrics.
struct Worker {
    process: Process,
    port: u16,
}

impl Cluster {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).arg("-f").arg(self.place.at("load.yaml"));
        command.env("KAFKA_BOOTSTRAP_SERVERS", self.kafka.bootstrap());
        command.env("POSTGRES_HOST", "127.0.0.1").env("POSTGRES_PORT", self.postgres.port().to_string());
        command.env("POSTGRES_DB", "postgres").env("POSTGRES_USER", "postgres");
        command
    }

    fn start(&self, role: &str, port: u16) -> Result<Worker> {
        let mut command = self.command(&["run", role, "--listen", &format!("127.0.0.1:{port}")]);
        command.arg("--data-dir").arg(self.place.path());
        if role == "producer" {
            // It tells when each append was acknowledged.
            command.env("RUST_LOG", "warn,pricemonitor_eventlog::kafka::appender=trace");
            command.args(["--log-format", "json"]);
        }
        Ok(Worker { process: Process::start(&mut command)?, port })
    }

    fn ready(&self, role: &str) -> Result<Worker> {
        let worker = self.start(role, free_port()?)?;
        wait::until(&format!("the {role} to be ready"), SOON, || {
            http::get(worker.port, "/readyz").is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(worker)
    }
}

impl Worker {
    fn metric(&self, name: &str) -> f64 {
        let text = http::get(self.port, "/metrics").map(|answer| answer.body).unwrap_or_default();
        http::metric(&text, &format!("pricemonitor_{name}"), &[]).unwrap_or(0.0)
    }
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: bench_cluster PATH-OF-PRICEMONITOR")?;
    let binary = fs::canonicalize(&path).with_context(|| format!("{path}: build it first"))?;
    let hook = Receiver::keeping_connections(|_| Answer::status(200))?;
    // Between the two clocks that are compared: the log's is the system's, the receiver's runs by itself.
    let (clock, instant) = (SystemTime::now().duration_since(UNIX_EPOCH)?, Instant::now());
    let cluster = Cluster {
        binary,
        place: Place::new()?,
        kafka: Kafka::start(&kafka::Options { long_run: true, ..kafka::Options::default() })?,
        postgres: Postgres::start(&postgres::Options::default())?,
    };
    cluster.place.write("load.yaml", manifest(&hook.url("/")))?;
    let set_up = Process::start(&mut cluster.command(&["setup"]))?.wait(SOON)?;
    ensure!(set_up.code() == Some(0), "setup: {}", set_up.output.all());
    let storage = cluster.ready("storage")?;
    let alert = cluster.ready("alert")?;
    let mut processor = cluster.ready("processor")?;
    let producer = cluster.ready("producer")?;

    std::thread::sleep(RUN_UP);
    let (appended, begun) = (producer.metric("observations_appended_total"), Instant::now());
    let workers =
        [("producer", &producer), ("processor", &processor), ("storage", &storage), ("alert", &alert)];
    let mut programs: Vec<(&str, u32)> =
        workers.iter().map(|(name, worker)| (*name, worker.process.id())).collect();
    programs.push(("Kafka", cluster.kafka.id()));
    let spent = |(_, id): &(&str, u32)| usage::of(*id).map(|used| used.cpu.as_secs_f64());
    let before = programs.iter().map(spent).collect::<Result<Vec<f64>>>()?;
    std::thread::sleep(WINDOW);
    let (ended, took) = (Instant::now(), begun.elapsed().as_secs_f64());
    let offered = producer.metric("observations_appended_total") - appended;
    println!("{:.0} prices/s offered, {took:.0} s", offered / took);
    for (program, before) in programs.iter().zip(before) {
        let used = usage::of(program.1)?;
        println!(
            "  {:<10} {:>5.2} cores, {:>4.0} MiB most memory",
            program.0,
            (used.cpu.as_secs_f64() - before) / took,
            used.peak as f64 / f64::from(1 << 20)
        );
    }

    let mean = |worker: &Worker, name: &str| {
        1000.0 * worker.metric(&format!("{name}_sum")) / worker.metric(&format!("{name}_count")).max(1.0)
    };
    println!(
        "mean times: {:.1} ms an append, {:.1} ms a transaction of the processor, {:.1} ms a write of the storage, \
         {:.1} ms of the outbox",
        mean(&producer, "append_duration_seconds"),
        mean(&processor, "transaction_duration_seconds"),
        mean(&storage, "sink_write_duration_seconds"),
        mean(&alert, "sink_write_duration_seconds")
    );
    kills(&cluster, &mut processor)?;
    let millis = |at: Instant| (clock + (at - instant)).as_millis() as i64;
    let killed = takeover(&cluster, processor)?;
    let finished = producer.process.terminate(Duration::from_secs(10))?;
    for worker in [alert, storage] {
        worker.process.terminate(Duration::from_secs(10))?;
    }
    // Nothing is written any more, so that reading comes to an end.
    resumed(&cluster, millis(killed))?;
    latency(&cluster, &hook, &acknowledged(&finished.output.stderr)?, begun..ended, millis)
}

/// When the appends with records up to a time of the log were acknowledged, by that time; in milliseconds since 1970.
fn acknowledged(log: &str) -> Result<BTreeMap<i64, i64>> {
    let mut acknowledged = BTreeMap::new();
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let (Some(at), Some(told)) = (line["at"].as_i64(), line["timestamp"].as_str()) else { continue };
        acknowledged.entry(at).or_insert(told.parse::<jiff::Timestamp>()?.as_millisecond());
    }
    Ok(acknowledged)
}

/// From the price's append being acknowledged to the arrival of its alert, whole and piece by piece.
fn latency(
    cluster: &Cluster,
    hook: &Receiver,
    acknowledged: &BTreeMap<i64, i64>,
    window: std::ops::Range<Instant>,
    millis: impl Fn(Instant) -> i64,
) -> Result<()> {
    let names = ["default.load.raw_prices", "default.load.price_alerts"].map(str::to_owned);
    let topics = topics::all_committed(&cluster.kafka, &names)?;
    let logged: HashMap<(u32, u64), i64> =
        topics[0].iter().map(|taken| ((taken.partition, taken.offset), taken.time)).collect();
    let mut raised = HashMap::new();
    for taken in &topics[1] {
        let alert: serde_json::Value = serde_json::from_str(&taken.value)?;
        raised.insert(alert["id"].as_str().unwrap_or_default().to_owned(), taken.time);
    }
    let outbox = outbox(cluster)?;
    let mut ways = Vec::new();
    for received in hook.received().iter().filter(|received| window.contains(&received.at)) {
        let alert: serde_json::Value = serde_json::from_str(&received.body)?;
        let place = &alert["coordinates"];
        let (Some(partition), Some(offset)) = (place["partition"].as_u64(), place["offset"].as_u64()) else {
            continue;
        };
        let id = alert["id"].as_str().unwrap_or_default();
        let (Some(logged), Some(raised), Some((accepted, attempted))) =
            (logged.get(&(u32::try_from(partition)?, offset)), raised.get(id), outbox.get(id))
        else {
            continue;
        };
        // One producer appends one after the other: the first one that reaches so far is the price's own.
        let Some((_, acknowledged)) = acknowledged.range(logged..).next() else { continue };
        ways.push([*logged, *acknowledged, *raised, *accepted, *attempted, millis(received.at)]);
    }
    ensure!(!ways.is_empty(), "no alert arrived");
    println!("from the log to the webhook, {} alerts, in milliseconds:      p50    p99  longest", ways.len());
    let print = |name: &str, from: usize, to: usize| {
        let mut waits: Vec<i64> = ways.iter().map(|way| way[to] - way[from]).collect();
        waits.sort_unstable();
        let share = |percent: usize| waits[(waits.len() - 1) * percent / 100];
        println!("  {name:<52} {:>6} {:>6} {:>8}", share(50), share(99), share(100));
    };
    print("price in the log, to its append's acknowledgement", 0, 1);
    print("acknowledged, to the alert's record", 1, 2);
    print("alert's record, to the alert worker", 2, 3);
    print("alert worker, to its turn on the channel", 3, 4);
    print("its turn, to the webhook", 4, 5);
    print("acknowledged, to the webhook", 1, 5);
    Ok(())
}

/// When each alert was accepted and when it was tried to be delivered, by its id; in milliseconds since 1970.
fn outbox(cluster: &Cluster) -> Result<HashMap<String, (i64, i64)>> {
    let rows = cluster.postgres.rows(
        "SELECT a.id, round(extract(epoch FROM a.accepted_at) * 1000)::bigint,
                round(extract(epoch FROM d.attempted_at) * 1000)::bigint
         FROM price_drop_alerts a JOIN alert_deliveries d ON d.alert = a.seq WHERE d.attempted_at IS NOT NULL",
    )?;
    rows.into_iter().map(|row| Ok((row[0].clone(), (row[1].parse()?, row[2].parse()?)))).collect()
}

/// `kill -9` and a start at once, until the new process has committed something.
fn kills(cluster: &Cluster, processor: &mut Worker) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..KILLS {
        let port = processor.port;
        let killed = Instant::now();
        let old = std::mem::replace(&mut processor.process, Process::start(&mut Command::new("true"))?);
        old.kill9()?;
        *processor = cluster.start("processor", port)?;
        wait::until("the next committed result", SOON, || {
            processor.metric("observations_processed_total") > 0.0
        })?;
        times.push(killed.elapsed());
        std::thread::sleep(Duration::from_secs(3));
    }
    times.sort_unstable();
    println!("from kill -9 to the next committed result, started again at once: {times:.2?}");
    Ok(())
}

/// When every partition had a result again after a processor was `killed`: those of others never stop.
fn resumed(cluster: &Cluster, killed: i64) -> Result<()> {
    /// What was under way when it was killed is no result of the heir.
    const UNDER_WAY: i64 = 1000;
    let topics = topics::all_committed(&cluster.kafka, &["default.load.processed_prices".to_owned()])?;
    let mut first: HashMap<u32, i64> = HashMap::new();
    for taken in topics[0].iter().filter(|taken| taken.time > killed + UNDER_WAY) {
        let time = first.entry(taken.partition).or_insert(taken.time);
        *time = taken.time.min(*time);
    }
    let resumed = first.values().max().context("no result after the kill")? - killed;
    println!("  the last of its partitions had a result again after {:.1} s", resumed as f64 / 1000.0);
    Ok(())
}

/// A processor is killed and never comes back; another one takes its partitions, and has a backlog then. Tells when it
/// was killed.
fn takeover(cluster: &Cluster, processor: Worker) -> Result<Instant> {
    let other = cluster.ready("processor")?;
    std::thread::sleep(Duration::from_secs(5));
    let oldest = || {
        let text = http::get(other.port, "/metrics").map(|answer| answer.body).unwrap_or_default();
        let lags = text.lines().filter(|line| line.starts_with("pricemonitor_consumer_lag_seconds{"));
        lags.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, f64::max)
    };
    let killed = Instant::now();
    processor.process.kill9()?;
    wait::until("the partitions of the killed processor to wait", SOON, || oldest() > 3.0)?;
    wait::until("the other processor to have caught up", SOON, || oldest() < 1.5)?;
    let caught_up = killed.elapsed();
    println!("a processor that does not come back: the other one has caught up after {caught_up:.1?}");
    other.process.terminate(Duration::from_secs(10))?;
    Ok(killed)
}
