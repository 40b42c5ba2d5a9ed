//! Watches of what a monitor is made of and of what it reads. They fill the cache, and tell which monitors are to be
//! looked at.

use std::collections::HashSet;

use futures::channel::mpsc::Sender;
use futures::{SinkExt as _, Stream, StreamExt as _};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::{DynamicResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Key};
use crate::kinds::Kind;
use crate::live::{Live, monitor_of};

/// The API ends a watch after this many seconds; a broken connection shows by then.
pub const WATCH: u32 = 200;
/// Children of all monitors.
const OURS: &str = "app.kubernetes.io/managed-by=pricemonitor-operator";
/// Objects of one answer of a list: it is in memory as a whole.
const PAGE: u32 = 100;

/// A kind in a namespace, or in all.
pub fn scoped<K>(client: Client, kind: Kind, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &kind.resource()),
        None => Api::all_with(client, &kind.resource()),
    }
}

/// Where a watch puts what it hears.
#[derive(Debug)]
pub struct Children {
    /// What is watched.
    pub kind: Kind,
    /// Where; none: everywhere.
    pub namespace: Option<String>,
    /// What is there.
    pub cache: Cache,
    /// Monitors to look at, once the first list is complete.
    pub touched: Sender<Key>,
    /// Told when the first list is complete.
    pub listed: Option<oneshot::Sender<()>>,
}

impl Children {
    /// Watches children until `stop`. What cannot be watched is said, and tried again.
    pub async fn watch(self, client: Client, stop: CancellationToken) {
        let config = Config::default().labels(OURS).timeout(WATCH).page_size(PAGE);
        let namespace = self.namespace.clone();
        if self.kind.is_read_whole() {
            let api = scoped::<DynamicObject>(client, self.kind, namespace.as_deref());
            self.follow(watcher(api, config).default_backoff(), stop).await;
        } else {
            let api = scoped::<PartialObjectMeta<DynamicObject>>(client, self.kind, namespace.as_deref());
            self.follow(watcher(api, config).default_backoff(), stop).await;
        }
    }

    async fn follow<K: Serialize>(
        mut self,
        events: impl Stream<Item = watcher::Result<Event<K>>>,
        stop: CancellationToken,
    ) {
        let mut events = Box::pin(events);
        let mut told = HashSet::new();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                None => return,
                Some(Err(error)) => tracing::warn!("cannot watch {}: {error}", self.kind.plural),
                Some(Ok(event)) => {
                    for monitor in self.learn(event, &mut told) {
                        self.hand_on(monitor, &stop).await;
                    }
                }
            }
        }
    }

    /// Monitors that are to be looked at after an event. `told` is what the list under way has told of.
    fn learn<K: Serialize>(&mut self, event: Event<K>, told: &mut HashSet<Key>) -> Vec<Key> {
        match event {
            Event::Init => told.clear(),
            Event::InitDone => {
                let lost = self.cache.keep(self.kind, self.namespace.as_deref(), told);
                told.clear();
                if let Some(listed) = self.listed.take() {
                    // Nobody waits when all ends.
                    let _ = listed.send(());
                }
                return lost;
            }
            Event::InitApply(object) => {
                let object = serde_json::to_value(object).unwrap_or_default();
                told.extend(name_of(&object));
                return self.put(&object);
            }
            Event::Apply(object) => return self.put(&serde_json::to_value(object).unwrap_or_default()),
            Event::Delete(object) => {
                let object = serde_json::to_value(object).unwrap_or_default();
                let gone = monitor_of(&object).zip(name_of(&object));
                let version = Live::of(self.kind, &object).version;
                let removed =
                    gone.filter(|(monitor, (_, name))| self.cache.remove(monitor, self.kind, name, version));
                return removed.map(|(monitor, _)| monitor).into_iter().collect();
            }
        }
        Vec::new()
    }

    fn put(&self, object: &Value) -> Vec<Key> {
        let Some(monitor) = monitor_of(object) else { return Vec::new() };
        let changed = self.cache.put(monitor.clone(), Live::of(self.kind, object), false);
        if changed { vec![monitor] } else { Vec::new() }
    }

    async fn hand_on(&mut self, monitor: Key, stop: &CancellationToken) {
        // All monitors are looked at when the first lists are complete.
        if self.listed.is_none() {
            // It is refused only when all ends.
            tokio::select! {
                () = stop.cancelled() => {}
                _ = self.touched.send(monitor) => {}
            }
        }
    }
}

fn name_of(object: &Value) -> Option<Key> {
    let metadata = &object["metadata"];
    Some((metadata["namespace"].as_str()?.to_owned(), metadata["name"].as_str()?.to_owned()))
}

/// Names of objects of a kind that have changed, or may have. What cannot be watched is said, and tried again.
pub fn changes(
    client: Client,
    kind: Kind,
    namespace: Option<&str>,
) -> impl Stream<Item = Key> + Send + 'static {
    let api = scoped::<PartialObjectMeta<DynamicObject>>(client, kind, namespace);
    watcher(api, Config::default().timeout(WATCH)).default_backoff().touched_objects().filter_map(
        move |touched| async move {
            let touched =
                touched.inspect_err(|error| tracing::warn!("cannot watch {}: {error}", kind.plural));
            touched.ok().map(|object| (object.namespace().unwrap_or_default(), object.name_any()))
        },
    )
}
