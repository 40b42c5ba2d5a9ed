//! One monitor's workers in this process: started together, stopped in the order of the pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::embedded::EmbeddedLog;
use pricemonitor_eventlog::{EventLog, Layout, Member, Stop, Topic};
use pricemonitor_model::{Condition, LevelAt};
use pricemonitor_sources::Context;
use pricemonitor_store::HistoryWriter;
use pricemonitor_store::csv::CsvSink;
use pricemonitor_workers::alert::{Acceptor, Route, Sender, Wake};
use pricemonitor_workers::health::Part;
use pricemonitor_workers::processor::Processor;
use pricemonitor_workers::producer::{self, Producer};
use pricemonitor_workers::storage::{CsvFile, HistorySink};
use pricemonitor_workers::supervise::Worker;
use pricemonitor_workers::{AtWork, MonitorMetrics, now};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Shared;
use crate::exit::{Failure, Result};
use crate::input::Loaded;

/// Name of this process among the members of a group; there is only one on a data folder.
const INSTANCE: &str = "up";
/// How often a tick is appended while a rule depends on time, and while none does.
const TICK_OFTEN: Duration = Duration::from_secs(30);
const TICK_SELDOM: Duration = Duration::from_secs(600);
/// How long the workers may take to catch up before they are stopped.
const DRAIN: Duration = Duration::from_millis(1500);
/// How long the sources may take to end, and all workers together; one that hangs is left behind.
const SOURCES: Duration = Duration::from_millis(1000);
const WORKERS: Duration = Duration::from_millis(3000);
/// How long messages under way, all together, may take before their senders are ended.
const LAST_MESSAGE: Duration = Duration::from_millis(750);

/// A worker that reads, with its group and topic.
pub(crate) type Reader = (&'static str, String, Topic);

/// A monitor at work.
pub(crate) struct Running {
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) log: EmbeddedLog,
    pub(crate) metrics: MonitorMetrics,
    /// Names of the workers that read, with their group and topic, for lag.
    pub(crate) readers: Vec<Reader>,
    producer: Option<Worker>,
    processor: Worker,
    sinks: Vec<Worker>,
    senders: Vec<Sending>,
}

/// A sender at work; it ends when this is dropped.
struct Sending {
    cancel: DropGuard,
    task: JoinHandle<()>,
}

/// Starts one worker after the other from the same ingredients.
struct Starter {
    monitor: Arc<Monitor>,
    shared: Arc<Shared>,
    log: EmbeddedLog,
    metrics: MonitorMetrics,
    readers: Vec<Reader>,
}

impl Running {
    /// Starts every worker of a monitor: readers first, so that nothing waits when prices come.
    pub(crate) fn start(loaded: Loaded, shared: Arc<Shared>) -> Result<Running> {
        let monitor = Arc::new(loaded.monitor);
        let layout = Layout { partitions: monitor.partitions, names: monitor.topics.clone() };
        let log = shared.log.monitor(&monitor.id, &layout).map_err(Failure::input)?;
        shared
            .runtime
            .block_on(shared.database.register(&monitor.id, monitor.retention, now()))
            .map_err(Failure::input)?;
        let metrics = shared.metrics.monitor(monitor.id.as_str());
        // What a person can put right is told before anything runs, so that no message is under way then.
        let sources = sources(&monitor, &loaded.base_dir, &shared)?;
        if let Some(csv) = &monitor.csv {
            drop(CsvSink::open(&shared.data_dir.join(&csv.path), &csv.source).map_err(Failure::input)?);
        }
        let mut starter = Starter { monitor, shared, log, metrics, readers: Vec::new() };
        let senders = starter.senders()?;
        let mut sinks = vec![starter.alerts(&senders.1)?, starter.history()?];
        sinks.extend(starter.csv()?);
        let processor = starter.processor()?;
        let producer = if starter.monitor.suspend { None } else { Some(starter.producer(sources)?) };
        let Starter { monitor, log, metrics, readers, .. } = starter;
        Ok(Running { monitor, log, metrics, readers, producer, processor, sinks, senders: senders.0 })
    }
}

impl Starter {
    fn member(&mut self, worker: &'static str, topic: Topic) -> Member {
        let group = format!("{}.{worker}", self.monitor.id);
        self.readers.push((worker, group.clone(), topic));
        Member { group, instance: INSTANCE.to_owned() }
    }

    fn worker(
        &self,
        name: &'static str,
        run: impl FnMut(&Stop, &AtWork) -> pricemonitor_eventlog::Result<()> + Send + 'static,
    ) -> Result<Worker> {
        let fatal = self.shared.fatal.clone();
        let last_words = move |why: String| drop(fatal.try_send(why));
        let (health, metrics) = (self.shared.health.clone(), self.metrics.clone());
        Worker::start(name, self.monitor.id.as_str(), health, metrics, last_words, run)
            .map_err(Failure::runtime)
    }

    fn producer(&self, context: Arc<Context>) -> Result<Worker> {
        let by_time = self
            .monitor
            .rules
            .iter()
            .any(|rule| matches!(rule.condition, Condition::Level { at: LevelAt::Starts, .. }));
        let settings = producer::Settings {
            monitor: self.monitor.id.to_string(),
            sources: self.monitor.sources.clone(),
            key: self.monitor.key,
            tick_every: if by_time { TICK_OFTEN } else { TICK_SELDOM },
            make: Arc::new(move |source| {
                pricemonitor_sources::build(source, &context).map_err(|why| why.to_string())
            }),
        };
        let member = Member { group: format!("{}.producer", self.monitor.id), instance: INSTANCE.to_owned() };
        let producer = Producer::new(
            self.log.clone(),
            member,
            settings,
            self.shared.health.clone(),
            self.metrics.clone(),
            self.shared.runtime.clone(),
        );
        self.worker("producer", move |stop, at_work| producer.run(stop, at_work))
    }

    fn processor(&mut self) -> Result<Worker> {
        let member = self.member("processor", Topic::Raw);
        let (monitor, log) = (self.monitor.clone(), self.log.clone());
        let (witness, metrics) = (self.shared.witness.clone(), self.metrics.clone());
        let admission = Arc::new(monitor.admission.clone());
        self.worker("processor", move |stop, at_work| {
            let (id, rules) = (monitor.id.clone(), monitor.rules.clone());
            let fold = Processor::new(id, admission.clone(), rules, witness.clone(), metrics.clone());
            log.fold(&member, &mut at_work.when_settled(fold), stop)
        })
    }

    fn history(&mut self) -> Result<Worker> {
        let member = self.member("storage", Topic::Raw);
        let (monitor, log, shared) = (self.monitor.clone(), self.log.clone(), self.shared.clone());
        let (database, runtime) = (shared.database.clone(), shared.runtime.clone());
        let admission = Arc::new(monitor.admission.clone());
        let metrics = self.metrics.clone();
        self.worker("storage", move |stop, at_work| {
            let key = runtime
                .block_on(database.register(&monitor.id, monitor.retention, now()))
                .map_err(|error| pricemonitor_eventlog::Error::Storage(error.to_string()))?;
            let writer = HistoryWriter::new(key);
            let (id, rt) = (monitor.id.clone(), runtime.clone());
            let sink = HistorySink::new(id, admission.clone(), database.clone(), writer, rt, metrics.clone());
            log.sink(&member, Topic::Raw, &mut at_work.when_settled(sink), stop)
        })
    }

    fn csv(&mut self) -> Result<Option<Worker>> {
        let Some(csv) = self.monitor.csv.clone() else { return Ok(None) };
        let path = self.shared.data_dir.join(&csv.path);
        let member = self.member("csv", Topic::Raw);
        let (log, metrics) = (self.log.clone(), self.metrics.clone());
        let admission = Arc::new(self.monitor.admission.clone());
        let worker = self.worker("csv", move |stop, at_work| {
            let file = CsvSink::open(&path, &csv.source)
                .map_err(|error| pricemonitor_eventlog::Error::Storage(error.to_string()))?;
            let sink = CsvFile::new(admission.clone(), file, metrics.clone());
            log.sink(&member, Topic::Raw, &mut at_work.when_settled(sink), stop)
        })?;
        Ok(Some(worker))
    }

    fn alerts(&mut self, wake: &Wake) -> Result<Worker> {
        let member = self.member("alert", Topic::Alerts);
        let routes: Vec<Route> = self
            .monitor
            .channels
            .iter()
            .map(|channel| Route { channel: channel.name.clone(), send_resolved: channel.send_resolved })
            .collect();
        let (id, log, shared) = (self.monitor.id.clone(), self.log.clone(), self.shared.clone());
        let (database, runtime) = (shared.database.clone(), shared.runtime.clone());
        let (wake, metrics) = (wake.clone(), self.metrics.clone());
        self.worker("alert", move |stop, at_work| {
            let (database, runtime) = (database.clone(), runtime.clone());
            let sink =
                Acceptor::new(id.clone(), routes.clone(), database, wake.clone(), runtime, metrics.clone());
            log.sink(&member, Topic::Alerts, &mut at_work.when_settled(sink), stop)
        })
    }

    /// One sender for each channel. A channel whose secret is missing is off; its alerts are kept.
    fn senders(&self) -> Result<(Vec<Sending>, Wake)> {
        let wake = Wake::default();
        let mut senders = Vec::new();
        for settings in &self.monitor.channels {
            let part = Part::channel(self.monitor.id.as_str(), &settings.name);
            let channel = match pricemonitor_notify::build(settings, &self.shared.secrets) {
                Ok(channel) => channel,
                Err(pricemonitor_notify::BuildError::Secret(why)) => {
                    tracing::warn!(channel = settings.name, "off, its alerts are kept: {why}");
                    self.shared.health.off(&part, format!("off, its alerts are kept: {why}"));
                    continue;
                }
                Err(why) => return Err(Failure::input(format!("channel `{}`: {why}", settings.name))),
            };
            let sender = Sender {
                monitor: self.monitor.id.clone(),
                instance: INSTANCE.to_owned(),
                channel,
                max_age: i64::try_from(settings.max_age.as_millis()).unwrap_or(i64::MAX),
                database: self.shared.database.clone(),
                health: self.shared.health.clone(),
                metrics: self.metrics.clone(),
            };
            let cancel = CancellationToken::new();
            let task = self.shared.runtime.spawn(sender.run(wake.clone(), cancel.clone()));
            senders.push(Sending { cancel: cancel.drop_guard(), task });
        }
        Ok((senders, wake))
    }
}

/// Makes each source once, so that a mistake in one ends the start, not a poll. Those of a suspended
/// monitor are not made: their secrets may be missing.
fn sources(monitor: &Monitor, base_dir: &std::path::Path, shared: &Shared) -> Result<Arc<Context>> {
    let context = Context {
        base_dir: base_dir.to_owned(),
        secrets: shared.secrets.clone(),
        secrets_dir: shared.secrets_dir.clone(),
    };
    for source in monitor.sources.iter().filter(|_| !monitor.suspend) {
        pricemonitor_sources::build(source, &context).map_err(|why| {
            Failure::input(format!("{}, source `{}`: {why}", monitor.id.name(), source.name))
        })?;
    }
    Ok(Arc::new(context))
}

/// What was still on its way when the workers stopped.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    /// Readers with records still to be read at the next start, by monitor.
    pub(crate) left: Vec<(String, &'static str, u64)>,
    /// Errors that ended a worker.
    pub(crate) errors: Vec<String>,
}

/// Stops the pipelines from the front: sources, then processors, then sinks, then senders, each
/// after it has had time to take what the one before it wrote.
pub(crate) fn stop_in_order(running: Vec<Running>, shared: &Shared) -> Flushed {
    let mut flushed = Flushed::default();
    let mut running = running;
    for one in &running {
        one.producer.iter().for_each(Worker::stop);
    }
    let producers = running.iter_mut().filter_map(|one| one.producer.take()).collect();
    let begun = Instant::now();
    join(producers, begun + SOURCES, &mut flushed);
    let deadline = Instant::now() + DRAIN;
    for one in &running {
        drain(&one.log, &one.readers, |worker| worker == "processor", deadline);
    }
    running.iter().for_each(|one| one.processor.stop());
    let (mut processors, mut sinks, mut senders, mut logs) = (vec![], vec![], vec![], vec![]);
    for one in running {
        processors.push(one.processor);
        sinks.extend(one.sinks);
        senders.extend(one.senders);
        logs.push((one.monitor, one.log, one.readers));
    }
    let last = begun + WORKERS;
    join(processors, last, &mut flushed);
    for (_, log, readers) in &logs {
        drain(log, readers, |worker| worker != "processor", deadline);
    }
    sinks.iter().for_each(Worker::stop);
    join(sinks, last, &mut flushed);
    for (monitor, log, readers) in logs {
        for (name, group, topic) in readers {
            let left = lag(&log, &group, topic);
            if left > 0 {
                flushed.left.push((monitor.id.to_string(), name, left));
            }
        }
    }
    shared.runtime.block_on(end(senders));
    flushed
}

/// Waits for workers that were asked to stop, all of them against one deadline.
fn join(workers: Vec<Worker>, deadline: Instant, flushed: &mut Flushed) {
    for worker in workers {
        if let Err(error) = worker.join(deadline) {
            flushed.errors.push(error.to_string());
        }
    }
}

fn drain(log: &EmbeddedLog, readers: &[Reader], which: impl Fn(&str) -> bool, deadline: Instant) {
    for (_, group, topic) in readers.iter().filter(|(name, ..)| which(name)) {
        while lag(log, group, *topic) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn lag(log: &EmbeddedLog, group: &str, topic: Topic) -> u64 {
    log.lag(group, topic).map_or(0, |lag| lag.iter().map(|partition| partition.records).sum())
}

async fn end(senders: Vec<Sending>) {
    let deadline = tokio::time::Instant::now() + LAST_MESSAGE;
    let tasks: Vec<_> = senders
        .into_iter()
        .map(|sender| {
            drop(sender.cancel);
            sender.task
        })
        .collect();
    for mut task in tasks {
        if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
        }
    }
}
