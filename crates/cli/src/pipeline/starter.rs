//! Starting the workers of one monitor from the same ingredients.

use std::sync::Arc;
use std::time::Duration;

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::{EventLog, Log, Member, Stop, Topic};
use pricemonitor_model::{Condition, LevelAt};
use pricemonitor_sources::Context;
use pricemonitor_store::{Database, HistoryWriter};
use pricemonitor_workers::alert::{Acceptor, Route, Sender, Wake};
use pricemonitor_workers::health::Part;
use pricemonitor_workers::processor::Processor;
use pricemonitor_workers::producer::{self, Producer};
use pricemonitor_workers::storage::{CsvFile, HistorySink};
use pricemonitor_workers::supervise::Worker;
use pricemonitor_workers::{AtWork, MonitorMetrics, now};
use tokio_util::sync::CancellationToken;

use super::monitor::{Reader, Sending};
use super::{Ground, Shared};
use crate::exit::{Failure, Result};

/// How often a tick is appended while a rule depends on time, and while none does.
const TICK_OFTEN: Duration = Duration::from_secs(30);
const TICK_SELDOM: Duration = Duration::from_secs(600);

/// Starts one worker after the other.
pub(super) struct Starter {
    pub(super) monitor: Arc<Monitor>,
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) database: Option<Database>,
    pub(super) metrics: MonitorMetrics,
    /// Those that read, as they are started.
    pub(super) readers: Vec<Reader>,
}

impl Starter {
    pub(super) fn new(monitor: Arc<Monitor>, shared: Arc<Shared>, ground: Ground) -> Starter {
        let metrics = shared.metrics.monitor(monitor.id.as_str());
        let Ground { log, database } = ground;
        Starter { monitor, shared, log, database, metrics, readers: Vec::new() }
    }

    /// A member of the worker's group, which the manifest may name on a cluster. In the data folder the group is
    /// where the worker stands: there another name would begin anew.
    fn member(&mut self, worker: &'static str, named: Option<&String>, topic: Topic) -> Member {
        let named = named.filter(|_| matches!(self.log, Log::Kafka(_)));
        let group = named.cloned().unwrap_or_else(|| format!("{}.{worker}", self.monitor.id));
        self.readers.push((worker, group.clone(), topic));
        Member { group, instance: self.shared.instance.clone() }
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

    pub(super) fn producer(&self, context: Arc<Context>) -> Result<Worker> {
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
        let group = format!("{}.producer", self.monitor.id);
        let member = Member { group, instance: self.shared.instance.clone() };
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

    pub(super) fn processor(&mut self) -> Result<Worker> {
        let (monitor, log) = (self.monitor.clone(), self.log.clone());
        let member = self.member("processor", monitor.kafka.groups.processor.as_ref(), Topic::Raw);
        let (witness, metrics) = (self.shared.witness.clone(), self.metrics.clone());
        let admission = Arc::new(monitor.admission.clone());
        self.worker("processor", move |stop, at_work| {
            let (id, rules) = (monitor.id.clone(), monitor.rules.clone());
            let fold = Processor::new(id, admission.clone(), rules, witness.clone(), metrics.clone());
            log.fold(&member, &mut at_work.when_settled(fold), stop)
        })
    }

    /// The history in the database, if the monitor has one.
    pub(super) fn history(&mut self) -> Result<Option<Worker>> {
        let Some(database) = self.database.clone() else { return Ok(None) };
        let (monitor, log) = (self.monitor.clone(), self.log.clone());
        let member = self.member("storage", monitor.kafka.groups.storage.as_ref(), Topic::Raw);
        let runtime = self.shared.runtime.clone();
        let admission = Arc::new(monitor.admission.clone());
        let metrics = self.metrics.clone();
        let worker = self.worker("storage", move |stop, at_work| {
            let key = runtime
                .block_on(database.register(&monitor.id, monitor.retention, now()))
                .map_err(|error| pricemonitor_eventlog::Error::Storage(error.to_string()))?;
            let writer = HistoryWriter::new(key);
            let (id, rt) = (monitor.id.clone(), runtime.clone());
            let sink = HistorySink::new(id, admission.clone(), database.clone(), writer, rt, metrics.clone());
            log.sink(&member, Topic::Raw, &mut at_work.when_settled(sink), stop)
        })?;
        Ok(Some(worker))
    }

    /// The CSV file, if the monitor has one. Without a database it is what reads as the group of storage.
    pub(super) fn csv(&mut self) -> Result<Option<Worker>> {
        let Some(csv) = self.monitor.csv.clone() else { return Ok(None) };
        let path = self.shared.data_dir.join(&csv.path);
        let monitor = self.monitor.clone();
        let named = monitor.kafka.groups.storage.as_ref().filter(|_| self.database.is_none());
        let member = self.member("csv", named, Topic::Raw);
        let (log, metrics) = (self.log.clone(), self.metrics.clone());
        let admission = Arc::new(self.monitor.admission.clone());
        let worker = self.worker("csv", move |stop, at_work| {
            let (path, source) = (path.clone(), csv.source.clone());
            let sink = CsvFile::new(admission.clone(), path, source, metrics.clone());
            log.sink(&member, Topic::Raw, &mut at_work.when_settled(sink), stop)
        })?;
        Ok(Some(worker))
    }

    pub(super) fn alerts(&mut self, database: &Database, wake: &Wake) -> Result<Worker> {
        let monitor = self.monitor.clone();
        let member = self.member("alert", monitor.kafka.groups.alert.as_ref(), Topic::Alerts);
        let routes: Vec<Route> = self
            .monitor
            .channels
            .iter()
            .map(|channel| Route { channel: channel.name.clone(), send_resolved: channel.send_resolved })
            .collect();
        let (id, log) = (self.monitor.id.clone(), self.log.clone());
        let (database, runtime) = (database.clone(), self.shared.runtime.clone());
        let (wake, metrics) = (wake.clone(), self.metrics.clone());
        self.worker("alert", move |stop, at_work| {
            let (database, runtime) = (database.clone(), runtime.clone());
            let sink =
                Acceptor::new(id.clone(), routes.clone(), database, wake.clone(), runtime, metrics.clone());
            log.sink(&member, Topic::Alerts, &mut at_work.when_settled(sink), stop)
        })
    }

    /// One sender for each channel. A channel whose secret is missing is off; its alerts are kept.
    pub(super) fn senders(&self, database: &Database, wake: &Wake) -> Result<Vec<Sending>> {
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
                instance: self.shared.instance.clone(),
                channel,
                max_age: i64::try_from(settings.max_age.as_millis()).unwrap_or(i64::MAX),
                database: database.clone(),
                health: self.shared.health.clone(),
                metrics: self.metrics.clone(),
                clock: pricemonitor_workers::now,
            };
            let cancel = CancellationToken::new();
            let task = self.shared.runtime.spawn(sender.run(wake.clone(), cancel.clone()));
            senders.push(Sending::new(cancel, task));
        }
        Ok(senders)
    }
}
