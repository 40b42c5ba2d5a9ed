//! One monitor's workers in this process: started together, stopped in the order of the pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::embedded::{EmbeddedLog, Layout};
use pricemonitor_eventlog::{EventLog, Member, Stop, Topic};
use pricemonitor_model::{Condition, LevelAt};
use pricemonitor_store::HistoryWriter;
use pricemonitor_store::csv::CsvSink;
use pricemonitor_workers::alert::{Acceptor, Route, Sender, Wake};
use pricemonitor_workers::health::Part;
use pricemonitor_workers::processor::Processor;
use pricemonitor_workers::producer::{self, Producer};
use pricemonitor_workers::storage::{CsvFile, HistorySink};
use pricemonitor_workers::supervise::Worker;
use pricemonitor_workers::{MonitorMetrics, now};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::exit::{Failure, Result};
use crate::input::Loaded;

/// Name of this process among the members of a group; there is only one on a data folder.
const INSTANCE: &str = "up";
/// How often a tick is appended while a rule depends on time, and while none does.
const TICK_OFTEN: Duration = Duration::from_secs(30);
const TICK_SELDOM: Duration = Duration::from_secs(600);
/// How long the workers may take to catch up before they are stopped.
const DRAIN: Duration = Duration::from_millis(2000);
/// How long a message under way may take before its sender is ended.
const LAST_MESSAGE: Duration = Duration::from_millis(1000);

/// A monitor at work.
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) log: EmbeddedLog,
    pub(crate) metrics: MonitorMetrics,
    /// Names of the workers that read, with their group and topic, for lag.
    pub(crate) readers: Vec<(&'static str, String, Topic)>,
    producer: Option<Worker>,
    processor: Worker,
    sinks: Vec<Worker>,
    senders: Vec<(CancellationToken, JoinHandle<()>)>,
}

/// Starts one worker after the other from the same ingredients.
struct Starter {
    monitor: Arc<Monitor>,
    shared: Arc<Shared>,
    log: EmbeddedLog,
    metrics: MonitorMetrics,
    readers: Vec<(&'static str, String, Topic)>,
}

impl Running {
    /// Starts every worker of a monitor: readers first, so that nothing waits when prices come.
    pub(crate) fn start(loaded: Loaded, shared: Arc<Shared>) -> Result<Running> {
        let monitor = Arc::new(loaded.monitor);
        let id = monitor.id.to_string();
        let layout = Layout { partitions: monitor.partitions, names: monitor.topics.clone() };
        let log = shared.log.monitor(&monitor.id, &layout).map_err(Failure::input)?;
        shared
            .runtime
            .block_on(shared.database.register(&monitor.id, monitor.retention, now()))
            .map_err(Failure::input)?;
        let metrics = shared.metrics.monitor(&id);
        let mut starter = Starter { monitor, shared, log, metrics, readers: Vec::new() };
        let senders = starter.senders()?;
        let mut sinks = vec![starter.alerts(&senders.1)?, starter.history()?];
        sinks.extend(starter.csv()?);
        let processor = starter.processor()?;
        let producer = if starter.monitor.suspend { None } else { Some(starter.producer(&loaded.base_dir)?) };
        let Starter { log, metrics, readers, .. } = starter;
        Ok(Running { id, log, metrics, readers, producer, processor, sinks, senders: senders.0 })
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
        run: impl FnMut(&Stop) -> pricemonitor_eventlog::Result<()> + Send + 'static,
    ) -> Result<Worker> {
        let fatal = self.shared.fatal.clone();
        let last_words = move |why: String| drop(fatal.try_send(why));
        let (health, metrics) = (self.shared.health.clone(), self.metrics.clone());
        Worker::start(name, self.monitor.id.as_str(), health, metrics, last_words, run)
            .map_err(Failure::runtime)
    }

    fn producer(&self, base_dir: &std::path::Path) -> Result<Worker> {
        let context = Arc::new(pricemonitor_sources::Context {
            base_dir: base_dir.to_owned(),
            secrets: self.shared.secrets.clone(),
            secrets_dir: self.shared.secrets_dir.clone(),
        });
        // Each source is made once now, so that a mistake in one ends the start, not a poll.
        for source in &self.monitor.sources {
            pricemonitor_sources::build(source, &context).map_err(|why| {
                Failure::input(format!("{}, source `{}`: {why}", self.monitor.id.name(), source.name))
            })?;
        }
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
        self.worker("producer", move |stop| producer.run(stop))
    }

    fn processor(&mut self) -> Result<Worker> {
        let member = self.member("processor", Topic::Raw);
        let (monitor, log) = (self.monitor.clone(), self.log.clone());
        let (witness, metrics) = (self.shared.witness.clone(), self.metrics.clone());
        let admission = Arc::new(monitor.admission.clone());
        self.worker("processor", move |stop| {
            let (id, rules) = (monitor.id.clone(), monitor.rules.clone());
            let mut fold = Processor::new(id, admission.clone(), rules, witness.clone(), metrics.clone());
            log.fold(&member, &mut fold, stop)
        })
    }

    fn history(&mut self) -> Result<Worker> {
        let member = self.member("storage", Topic::Raw);
        let (monitor, log, shared) = (self.monitor.clone(), self.log.clone(), self.shared.clone());
        let (database, runtime) = (shared.database.clone(), shared.runtime.clone());
        let admission = Arc::new(monitor.admission.clone());
        let metrics = self.metrics.clone();
        self.worker("storage", move |stop| {
            let key = runtime
                .block_on(database.register(&monitor.id, monitor.retention, now()))
                .map_err(|error| pricemonitor_eventlog::Error::Storage(error.to_string()))?;
            let writer = HistoryWriter::new(key);
            let (id, rt) = (monitor.id.clone(), runtime.clone());
            let mut sink =
                HistorySink::new(id, admission.clone(), database.clone(), writer, rt, metrics.clone());
            log.sink(&member, Topic::Raw, &mut sink, stop)
        })
    }

    fn csv(&mut self) -> Result<Option<Worker>> {
        let Some(csv) = self.monitor.csv.clone() else { return Ok(None) };
        let path = self.shared.data_dir.join(&csv.path);
        // Opened once now, so that somebody else's file is told at the start.
        drop(CsvSink::open(&path, &csv.source).map_err(Failure::input)?);
        let member = self.member("csv", Topic::Raw);
        let (log, metrics) = (self.log.clone(), self.metrics.clone());
        let admission = Arc::new(self.monitor.admission.clone());
        let worker = self.worker("csv", move |stop| {
            let file = CsvSink::open(&path, &csv.source)
                .map_err(|error| pricemonitor_eventlog::Error::Storage(error.to_string()))?;
            let mut sink = CsvFile::new(admission.clone(), file, metrics.clone());
            log.sink(&member, Topic::Raw, &mut sink, stop)
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
        self.worker("alert", move |stop| {
            let (database, runtime) = (database.clone(), runtime.clone());
            let mut sink =
                Acceptor::new(id.clone(), routes.clone(), database, wake.clone(), runtime, metrics.clone());
            log.sink(&member, Topic::Alerts, &mut sink, stop)
        })
    }

    /// One sender for each channel. A channel whose secret is missing is off; its alerts are kept.
    #[allow(clippy::type_complexity)]
    fn senders(&self) -> Result<(Vec<(CancellationToken, JoinHandle<()>)>, Wake)> {
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
            senders.push((cancel, task));
        }
        Ok((senders, wake))
    }
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
    for one in &mut running {
        if let Some(producer) = one.producer.take() {
            note(producer.join(), &mut flushed);
        }
    }
    let deadline = Instant::now() + DRAIN;
    running.iter().for_each(|one| drain(one, "processor", deadline));
    running.iter().for_each(|one| one.processor.stop());
    for one in running {
        let Running { id, log, readers, processor, sinks, senders, .. } = one;
        note(processor.join(), &mut flushed);
        drain_readers(&log, readers.iter().filter(|(name, ..)| *name != "processor"), deadline);
        sinks.iter().for_each(Worker::stop);
        sinks.into_iter().for_each(|sink| note(sink.join(), &mut flushed));
        for (name, group, topic) in readers {
            let left = lag(&log, &group, topic);
            if left > 0 {
                flushed.left.push((id.clone(), name, left));
            }
        }
        shared.runtime.block_on(end(senders));
    }
    flushed
}

fn note(result: pricemonitor_eventlog::Result<()>, flushed: &mut Flushed) {
    if let Err(error) = result {
        flushed.errors.push(error.to_string());
    }
}

fn drain(one: &Running, worker: &str, deadline: Instant) {
    drain_readers(&one.log, one.readers.iter().filter(|(name, ..)| *name == worker), deadline);
}

fn drain_readers<'r>(
    log: &EmbeddedLog,
    readers: impl Iterator<Item = &'r (&'static str, String, Topic)>,
    deadline: Instant,
) {
    for (_, group, topic) in readers {
        while lag(log, group, *topic) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn lag(log: &EmbeddedLog, group: &str, topic: Topic) -> u64 {
    log.lag(group, topic).map_or(0, |lag| lag.iter().map(|partition| partition.records).sum())
}

async fn end(senders: Vec<(CancellationToken, JoinHandle<()>)>) {
    senders.iter().for_each(|(cancel, _)| cancel.cancel());
    for (_, mut task) in senders {
        if tokio::time::timeout(LAST_MESSAGE, &mut task).await.is_err() {
            task.abort();
        }
    }
}
