//! The queue of monitors that are to be looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::runtime::controller::{Action, Config as Queue};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::runtime::{Controller, Predicate as _, PredicateConfig, WatchStreamExt as _, predicates};
use pricemonitor_model::Time;
use rand::Rng as _;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{Error, Kubernetes};
use crate::cache::{Cache, Key};
use crate::conditions::counted;
use crate::events::{News, tell};
use crate::kinds::{self, CONFIG_MAP, MONITOR, SECRET};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::reconcile::{Done, Look, Settings, reconcile};
use crate::watches::{Children, WATCH, changes, scoped};

/// How many monitors are looked at at once.
const TOGETHER: u16 = 8;
/// Changes that come within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// A monitor is looked at this often when nothing tells of it.
const LOOK: Duration = Duration::from_secs(15 * 60);
/// The same while something is under way.
const SOON: Duration = Duration::from_secs(5);
/// The same while the cluster refuses something, of which no watch tells when it does so no more.
const REFUSED: Duration = Duration::from_secs(30);
/// The same while an object is missing. Its watch tells when it comes; this is for a watch that was away at that moment.
const MISSING: Duration = Duration::from_secs(60);
/// First and longest wait after a failure.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Monitors that wait for a place in the queue.
const TOUCHED: usize = 1_024;
/// How long a replica that ends goes on telling what it has done.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// The most that is kept of a monitor to be told once the API takes it.
const UNTOLD: usize = 16;

/// What the reconciles of one term of leadership share.
pub struct Shared {
    /// The API.
    pub api: Kubernetes,
    /// What the operator was started with.
    pub settings: Settings,
    /// Metrics.
    pub metrics: Metrics,
    /// Writes Events.
    pub reporter: Reporter,
    cache: Cache,
    /// Monitors that are there.
    known: Mutex<HashMap<Key, Known>>,
    /// Monitors that were touched since the last look at them.
    waiting: Mutex<HashSet<Key>>,
    /// Places for looks, whatever the number of namespaces.
    places: Semaphore,
}

/// What is known of a monitor.
#[derive(Default)]
struct Known {
    /// Failures in a row.
    failures: u32,
    /// The API wants not to be asked for it before.
    rests: Option<Instant>,
    /// Conditions and their statuses.
    conditions: Vec<(String, String)>,
    /// What it reads: ConfigMaps (`true`) and Secrets.
    reads: BTreeSet<(bool, String)>,
    /// What could not be told yet.
    untold: Vec<News>,
}

impl Shared {
    /// With nothing known yet.
    pub fn new(api: Kubernetes, settings: Settings, metrics: Metrics, reporter: Reporter) -> Shared {
        let (cache, known, waiting) = (Cache::default(), Mutex::default(), Mutex::default());
        let places = Semaphore::new(usize::from(TOGETHER));
        Shared { api, settings, metrics, reporter, cache, known, waiting, places }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, monitor: &Key, waits: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waits {
            waiting.insert(monitor.clone());
        } else {
            waiting.remove(monitor);
        }
        self.metrics.queued(waiting.len());
    }

    /// A monitor is there.
    fn see(&self, monitor: Key) {
        self.known().entry(monitor).or_default();
    }

    /// Changes what is known of a monitor. One that has gone meanwhile is not put back.
    fn update<T>(&self, monitor: &Key, change: impl FnOnce(&mut Known) -> T) -> Option<T> {
        self.known().get_mut(monitor).map(change)
    }

    /// For how long the API still wants not to be asked for a monitor.
    fn rest(&self, monitor: &Key) -> Option<Duration> {
        let end = self.update(monitor, |known| known.rests).flatten()?;
        end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    fn learn(&self, monitor: &Key, done: &Done) {
        let conditions = counted(&done.status.conditions);
        let mut known = self.known();
        let Some(one) = known.get_mut(monitor) else { return };
        if done.failure.is_none() {
            (one.failures, one.rests) = (0, None);
        }
        if one.conditions != conditions {
            one.conditions = conditions;
            self.count(&known);
        }
    }

    fn forget(&self, gone: impl Fn(&Key) -> bool) {
        let mut known = self.known();
        known.retain(|monitor, _| !gone(monitor));
        self.count(&known);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|monitor| !gone(monitor));
        self.metrics.queued(waiting.len());
    }

    fn count(&self, known: &HashMap<Key, Known>) {
        let mut counts = BTreeMap::new();
        let all = known.values().flat_map(|known| &known.conditions);
        all.for_each(|one| *counts.entry(one.clone()).or_default() += 1);
        self.metrics.conditions(&counts);
    }

    /// Monitors that read an object.
    fn readers(&self, config_map: bool, object: &Key) -> Vec<Key> {
        let read = (config_map, object.1.clone());
        let known = self.known();
        let readers = known.iter().filter(|(key, known)| key.0 == object.0 && known.reads.contains(&read));
        readers.map(|(key, _)| key.clone()).collect()
    }
}

/// Watches the monitors of a namespace, or of all, and brings each to what it says, until `stop`; reconciles under way
/// are finished.
pub async fn run(shared: Arc<Shared>, namespace: Option<String>, stop: CancellationToken) {
    let mut watches = JoinSet::new();
    let (touched, to_look_at) = mpsc::channel(TOUCHED);
    let mut listed = Vec::new();
    for kind in kinds::of(shared.settings.apis) {
        let (done, first) = oneshot::channel();
        listed.push(first);
        let (namespace, cache, touched) = (namespace.clone(), shared.cache.clone(), touched.clone());
        let children = Children { kind, namespace, cache, touched, listed: Some(done) };
        watches.spawn(children.watch(shared.api.client(), stop.clone()));
    }
    // Before that, what is there would be taken for missing.
    let complete = futures::future::join_all(listed);
    let go_on = tokio::select! {
        all = complete => all.iter().all(Result::is_ok),
        () = stop.cancelled() => false,
    };
    if go_on {
        queue(shared, namespace.as_deref(), to_look_at, stop).await;
    }
    while watches.join_next().await.is_some() {}
}

async fn queue(
    shared: Arc<Shared>,
    namespace: Option<&str>,
    touched: mpsc::Receiver<Key>,
    stop: CancellationToken,
) {
    let resource = MONITOR.resource();
    let writer = reflector::store::Writer::<Monitor>::new(resource.clone());
    let (store, all) = (writer.as_reader(), writer.as_reader());
    let (listening, here) = (shared.clone(), namespace.map(str::to_owned));
    let changed = predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
    let monitors = scoped::<Monitor>(shared.api.client(), MONITOR, namespace);
    let events = watcher(monitors, Config::default().timeout(WATCH).page_size(100))
        .default_backoff()
        .reflect(writer)
        .inspect_ok(move |event| match event {
            Event::Apply(monitor) | Event::InitApply(monitor) => listening.see(key(monitor)),
            Event::Delete(monitor) => listening.forget(|known| *known == key(monitor)),
            Event::InitDone => {
                let ours = |known: &Key| here.as_ref().is_none_or(|here| *here == known.0);
                listening.forget(|known| ours(known) && all.get(&reference(known)).is_none());
            }
            Event::Init => {}
        })
        .inspect_err(|error| tracing::warn!("cannot watch {}: {error}", MONITOR.plural))
        .applied_objects()
        .predicate_filter(changed, PredicateConfig::default())
        .inspect_ok({
            let all = shared.clone();
            move |monitor| all.wait(&key(monitor), true)
        });
    // What belongs to a monitor that is gone is nobody's.
    let enqueue = {
        let (all, there) = (shared.clone(), store.clone());
        move |monitor: Key| {
            let found = reference(&monitor);
            let known = there.get(&found).is_some();
            if known {
                all.wait(&monitor, true);
            }
            std::future::ready(known.then_some(found))
        }
    };
    let mut controller = Controller::for_stream_with(events, store, resource)
        .with_config(Queue::default().debounce(DEBOUNCE).concurrency(TOGETHER))
        .reconcile_on(touched.filter_map(enqueue.clone()));
    for kind in [SECRET, CONFIG_MAP] {
        let all = shared.clone();
        let readers = changes(shared.api.client(), kind, namespace)
            .flat_map(move |object| stream::iter(all.readers(kind == CONFIG_MAP, &object)));
        controller = controller.reconcile_on(readers.filter_map(enqueue.clone()));
    }
    controller
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(one, failed, shared)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!("{error}");
            }
        })
        .await;
}

fn reference((namespace, name): &Key) -> ObjectRef<Monitor> {
    ObjectRef::new_with(name, MONITOR.resource()).within(namespace)
}

fn key(monitor: &Monitor) -> Key {
    (monitor.namespace().unwrap_or_default(), monitor.name_any())
}

async fn one(monitor: Arc<Monitor>, shared: Arc<Shared>) -> Result<Action, Error> {
    let key = key(&monitor);
    // It is never closed.
    let _place = shared.places.acquire().await;
    shared.wait(&key, false);
    if shared.api.is_over() {
        return Err(Error::NotLeading);
    }
    if let Some(rest) = shared.rest(&key) {
        return Ok(Action::requeue(rest));
    }
    let begun = Instant::now();
    shared.metrics.begun();
    let (done, news) = look(&monitor, &key, &shared).await;
    let failed = done.as_ref().map_or_else(Some, |done| done.failure.as_ref());
    let result = match failed {
        None => "ok",
        Some(Error::NotLeading) => "not-leading",
        Some(_) => "failed",
    };
    shared.metrics.reconciled(result, begun.elapsed());
    if let Ok(done) = &done {
        shared.learn(&key, done);
    }
    tell_or_keep(&monitor, &key, &shared, news, failed).await;
    let done = done?;
    if let Some(failure) = done.failure {
        return Err(failure);
    }
    tracing::debug!(namespace = key.0, monitor = key.1, "reconciled in {:.1?}", begun.elapsed());
    let is = |reason: &str| done.status.conditions.iter().any(|one| one.reason == reason);
    let again = match () {
        () if done.soon => SOON,
        () if is("ApplyFailed") || is("ReadFailed") => REFUSED,
        () if is("MissingReference") => MISSING,
        () => LOOK,
    };
    // Many monitors may miss the same object since the same moment.
    Ok(Action::requeue(again.mul_f64(rand::rng().random_range(1.0..1.2))))
}

/// Looks at a monitor; what came of it, and what is to be told.
async fn look(monitor: &Monitor, key: &Key, shared: &Shared) -> (Result<Done, Error>, Vec<News>) {
    let taken = shared.update(key, |known| (known.failures, std::mem::take(&mut known.untold)));
    let (failures, mut news) = taken.unwrap_or_default();
    let reads = |reads: BTreeSet<(bool, String)>| {
        shared.update(key, |known| known.reads = reads);
    };
    let (now, again) = (now(), failures > 0);
    let Shared { api, cache, settings, .. } = shared;
    let look = Look { api, cache, settings, now: &now, again, reads: &reads };
    let done = reconcile(&look, &monitor.resource(), &mut news).await;
    (done, news)
}

/// Tells the news. While the API cannot be asked they are kept for the next look.
async fn tell_or_keep(
    monitor: &Monitor,
    key: &Key,
    shared: &Shared,
    mut news: Vec<News>,
    failed: Option<&Error>,
) {
    if matches!(failed, Some(Error::Busy(..) | Error::Away(_))) {
        news.drain(..news.len().saturating_sub(UNTOLD));
        shared.update(key, |known| known.untold = news);
        return;
    }
    // Each with a memory of its own: one that remembers takes an event with another text for the same.
    let recorder = Recorder::new(shared.api.client(), shared.reporter.clone());
    let told = tell(&recorder, monitor, &news);
    let ending = async {
        shared.api.over().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = told => {}
        () = ending => {}
    }
}

/// The time as Kubernetes writes it.
fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_seconds(i64::try_from(since.as_secs()).unwrap_or_default()).to_string().replace(".000Z", "Z")
}

fn failed(monitor: Arc<Monitor>, error: &Error, shared: Arc<Shared>) -> Action {
    let key = key(&monitor);
    if matches!(error, Error::NotLeading) {
        return Action::requeue(BACK_OFF.1);
    }
    tracing::warn!(namespace = key.0, monitor = key.1, "tried again soon: {error}");
    let wait = shared.update(&key, |known| {
        let back_off = BACK_OFF.0.saturating_mul(1 << known.failures.min(6)).min(BACK_OFF.1);
        known.failures = known.failures.saturating_add(1);
        let rest = error.rest();
        known.rests = (!rest.is_zero()).then(|| Instant::now() + rest);
        back_off.max(rest)
    });
    // One that is gone needs no other look.
    wait.map_or_else(Action::await_change, Action::requeue)
}
