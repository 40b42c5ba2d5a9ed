//! The producer: polls the sources it owns and appends what they show.
//!
//! One thread owns the log's [`Append`] door and does nothing else; one task for each owned source
//! polls it, hands over what is to be appended and waits for the answer before it polls again. So
//! back-pressure reaches the source: a slow log means fewer polls, not a longer queue.

mod checkpoint;
mod poller;
mod records;
mod ticks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_config::{KeySpec, SourceSettings};
use pricemonitor_eventlog::{Append, Appended, Appending, Error, EventLog, Member, Ownership, Stop, Write};
use pricemonitor_model::partition::partition_of;
use pricemonitor_sources::Source;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::at_work::AtWork;
use crate::health::Health;
use crate::metrics::MonitorMetrics;

/// How long the thread waits for work before it looks after its ownership again.
const TURN: Duration = Duration::from_millis(250);
/// No more requests share a transaction once they have so many records.
const TOGETHER: usize = 5_000;
/// How long pollers, all together, may take to notice that they lost their sources.
const LET_GO: Duration = Duration::from_millis(500);

/// Makes a source anew, each time it is gained. Fails with a sentence for people.
pub type MakeSource = Arc<dyn Fn(&SourceSettings) -> Result<Box<dyn Source>, String> + Send + Sync>;

/// What a producer needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Id of the monitor.
    pub monitor: String,
    /// All sources of the monitor; which of them are polled here is the log's decision.
    pub sources: Vec<SourceSettings>,
    /// What a record's key is.
    pub key: KeySpec,
    /// How often a tick is appended while nothing else asks for one.
    pub tick_every: Duration,
    /// Makes sources.
    pub make: MakeSource,
}

/// What a poller asks the thread to append.
struct Request {
    source: String,
    records: Vec<Write>,
    checkpoint: Option<Vec<u8>>,
    answer: oneshot::Sender<Result<Appended, Error>>,
}

/// The producer of one monitor.
pub struct Producer<L> {
    log: L,
    member: Member,
    settings: Settings,
    health: Health,
    metrics: MonitorMetrics,
    runtime: Handle,
}

struct Owned {
    cancel: CancellationToken,
    task: JoinHandle<()>,
    /// Its end was seen; a task must not be waited for twice.
    over: bool,
}

impl<L: EventLog> Producer<L> {
    /// A producer that polls on `runtime`.
    pub fn new(
        log: L,
        member: Member,
        settings: Settings,
        health: Health,
        metrics: MonitorMetrics,
        runtime: Handle,
    ) -> Self {
        Producer { log, member, settings, health, metrics, runtime }
    }

    /// Polls and appends until `stop`. Blocks the calling thread, which must not be one of the runtime's.
    ///
    /// # Errors
    /// What the log says; pollers have then been ended.
    pub fn run(&self, stop: &Stop, at_work: &AtWork) -> Result<(), Error> {
        let mut door = self.log.appender(&self.member)?;
        let (to, mut requests) = mpsc::channel::<Request>(self.settings.sources.len().max(1));
        let mut owned: HashMap<String, (u32, Owned)> = HashMap::new();
        let result = self.turns(&mut door, &to, &mut requests, &mut owned, (stop, at_work));
        // Whoever still waits for an answer gets none and ends; nothing of it was appended.
        requests.close();
        drop(requests);
        self.let_go(owned.drain().map(|(_, (_, source))| source).collect());
        result
    }

    fn turns(
        &self,
        door: &mut L::Appender,
        to: &mpsc::Sender<Request>,
        requests: &mut mpsc::Receiver<Request>,
        owned: &mut HashMap<String, (u32, Owned)>,
        (stop, at_work): (&Stop, &AtWork),
    ) -> Result<(), Error> {
        while !stop.is_stopped() {
            while let Some(change) = door.poll(Duration::ZERO)? {
                self.change(change, to, owned);
                // The first call tells what is owned at the start.
                at_work.say();
            }
            self.alive(owned)?;
            let next = self.runtime.block_on(async { tokio::time::timeout(TURN, requests.recv()).await });
            let Ok(Some(first)) = next else { continue };
            self.append(door, together(first, requests))?;
        }
        Ok(())
    }

    /// Appends what several pollers ask for, and gives each its answer.
    ///
    /// # Errors
    /// One after which this producer is of no use any more.
    fn append(&self, door: &mut L::Appender, requests: Vec<Request>) -> Result<(), Error> {
        let all: Vec<Appending<'_>> = requests
            .iter()
            .map(|one| Appending {
                source: &one.source,
                records: &one.records,
                checkpoint: one.checkpoint.as_deref(),
            })
            .collect();
        let started = Instant::now();
        let results = door.append_all(&all);
        self.metrics.append_seconds().observe(started.elapsed().as_secs_f64());
        let mut fatal = None;
        for (request, result) in requests.into_iter().zip(results) {
            match &result {
                // A record that is too large is the source's doing: to start anew would only meet it again.
                Ok(_) | Err(Error::NotOwned(_) | Error::Retry(_) | Error::TooLarge(_)) => {}
                Err(error) => fatal = Some(error.clone()),
            }
            // A poller that is gone does not want its answer any more.
            let _ = request.answer.send(result);
        }
        fatal.map_or(Ok(()), Err)
    }

    /// A poller ends only when asked, when its append fails, or by a bug. The last would leave its
    /// source unread with nobody the wiser, so the producer then starts anew.
    fn alive(&self, owned: &mut HashMap<String, (u32, Owned)>) -> Result<(), Error> {
        for (name, (_, source)) in owned.iter_mut().filter(|(_, (_, source))| !source.over) {
            source.over = source.task.is_finished();
            if source.over && self.runtime.block_on(&mut source.task).is_err_and(|error| error.is_panic()) {
                return Err(Error::Worker(format!(
                    "the source `{name}` ended by a bug (panic); see the log"
                )));
            }
        }
        Ok(())
    }

    fn change(
        &self,
        change: Ownership,
        to: &mpsc::Sender<Request>,
        owned: &mut HashMap<String, (u32, Owned)>,
    ) {
        match change {
            Ownership::Gained { partitions, of, checkpoints } => {
                let checkpoints: HashMap<String, Vec<u8>> = checkpoints.into_iter().collect();
                for source in &self.settings.sources {
                    let partition = partition_of(source.name.as_bytes(), of);
                    if !partitions.contains(&partition) || owned.contains_key(&source.name) {
                        continue;
                    }
                    let started = self.start(source, checkpoints.get(&source.name), to.clone());
                    owned.insert(source.name.clone(), (partition, started));
                }
            }
            Ownership::Lost { partitions } => {
                let lost: Vec<String> = owned
                    .iter()
                    .filter(|(_, (p, _))| partitions.contains(p))
                    .map(|(name, _)| name.clone())
                    .collect();
                let gone =
                    lost.iter().filter_map(|name| owned.remove(name)).map(|(_, source)| source).collect();
                self.let_go(gone);
            }
        }
    }

    fn start(
        &self,
        source: &SourceSettings,
        checkpoint: Option<&Vec<u8>>,
        to: mpsc::Sender<Request>,
    ) -> Owned {
        let cancel = CancellationToken::new();
        let poller = poller::Poller::new(
            source.clone(),
            &self.settings,
            checkpoint.map(Vec::as_slice),
            to,
            self.health.clone(),
            self.metrics.clone(),
        );
        let task = self.runtime.spawn(poller.run(cancel.clone()));
        Owned { cancel, task, over: false }
    }

    /// Ends pollers and waits for them, but not for ever: one that hangs in its source is aborted.
    fn let_go(&self, owned: Vec<Owned>) {
        owned.iter().for_each(|source| source.cancel.cancel());
        self.runtime.block_on(async {
            let deadline = tokio::time::Instant::now() + LET_GO;
            for mut source in owned.into_iter().filter(|source| !source.over) {
                if tokio::time::timeout_at(deadline, &mut source.task).await.is_err() {
                    source.task.abort();
                }
            }
        });
    }
}

/// The first request with others that wait already: while a transaction is under way, those of the next one gather.
fn together(first: Request, waiting: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut records = first.records.len();
    let mut requests = vec![first];
    while records < TOGETHER
        && let Ok(request) = waiting.try_recv()
    {
        records += request.records.len();
        requests.push(request);
    }
    requests
}
