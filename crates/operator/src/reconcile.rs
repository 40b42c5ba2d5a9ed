//! One monitor is brought to what its resource says: read, judge, build, write, tell.

use std::collections::{BTreeMap, BTreeSet};

use pricemonitor_config::PriceMonitor;
use pricemonitor_config::schema::unknown_fields;
use pricemonitor_model::Time;
use serde::Deserialize as _;
use serde_json::Value;

use crate::api::{Error, Kubernetes};
use crate::cache::{Cache, Entry, Key};
use crate::children::{Children, children};
use crate::conditions::{Facts, status};
use crate::defaults::Defaults;
use crate::dereference::{Dereferenced, dereference};
use crate::ending::{end, finalize, left, let_go};
use crate::events::News;
use crate::inputs::{Apis, Inputs};
use crate::kinds::{self, Kind, MONITOR};
use crate::live::Live;
use crate::observed::Observed;
use crate::plan::{APPLIED, contains, plan};
use crate::references::{self, Reference};
use crate::role::Role;
use crate::status::PriceMonitorStatus;

/// A monitor with it is left alone.
pub const PAUSED: &str = "pricemonitor.dev/paused";

/// What the operator was started with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What it adds to every monitor.
    pub defaults: Defaults,
    /// The workers' image for new monitors.
    pub worker_image: String,
    /// Which APIs the cluster has.
    pub apis: Apis,
}

/// What a reconcile did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The status as it is now.
    pub status: PriceMonitorStatus,
    /// What a person should hear of, in its order.
    pub news: Vec<News>,
    /// Secrets and ConfigMaps that it reads: whether a ConfigMap, and the name.
    pub reads: BTreeSet<(bool, String)>,
    /// Look again soon: something is under way that nobody tells of.
    pub soon: bool,
}

/// A resource, as far as it can be read whatever is in it.
pub(crate) struct Seen<'a> {
    pub(crate) resource: &'a Value,
    pub(crate) key: Key,
    before: PriceMonitorStatus,
    pub(crate) now: &'a str,
}

impl<'a> Seen<'a> {
    pub(crate) fn of(resource: &'a Value, now: &'a str) -> Seen<'a> {
        let text = |key: &str| resource["metadata"][key].as_str().unwrap_or_default().to_owned();
        let before = PriceMonitorStatus::deserialize(&resource["status"]).unwrap_or_default();
        Seen { resource, key: (text("namespace"), text("name")), before, now }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.key.0
    }

    fn uid(&self) -> &str {
        self.resource["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// What a new manifest of the processor has for its generation: it grows with each change, and a monitor that was
    /// deleted and made anew goes on above its predecessor.
    fn epoch(&self) -> Option<u64> {
        const CHANGES: u64 = 1_000_000;
        let metadata = &self.resource["metadata"];
        let made = metadata["creationTimestamp"].as_str()?.parse::<Time>().ok()?.millis() / 1_000;
        let changes = metadata["generation"].as_u64()?.min(CHANGES - 1);
        u64::try_from(made).ok()?.checked_mul(CHANGES)?.checked_add(changes)
    }

    /// Since when it is being deleted.
    pub(crate) fn ending(&self) -> Option<&str> {
        self.resource["metadata"]["deletionTimestamp"].as_str()
    }

    fn facts<'o>(&self, observed: Observed<'o>) -> Facts<'o> {
        Facts {
            generation: self.resource["metadata"]["generation"].as_i64(),
            observed,
            sources: Vec::new(),
            topics: Vec::new(),
            problems: Vec::new(),
            missing: Vec::new(),
            refused: None,
            unknown: unknown_fields(self.resource),
            setup: None,
            paused: self.resource["metadata"]["annotations"][PAUSED] == "true",
            suspended: self.resource["spec"]["suspend"] == true,
            image: None,
            newer_image: None,
            selector: format!(
                "app.kubernetes.io/name=pricemonitor,app.kubernetes.io/instance={},\
                 app.kubernetes.io/component=processor",
                self.key.1
            ),
        }
    }
}

/// Brings the children of `resource` to what it says, and its status to what is so. `now` is a time in RFC 3339.
/// `cache` has to know the objects that are there; what is written is put into it.
///
/// # Errors
/// When the API does not answer: to be tried again. What is wrong with the resource is told in its status.
pub async fn reconcile(
    api: &Kubernetes,
    cache: &Cache,
    settings: &Settings,
    resource: &Value,
    now: &str,
) -> Result<Done, Error> {
    let seen = Seen::of(resource, now);
    let live = lives(cache, &seen.key);
    let monitor = match PriceMonitor::deserialize(resource) {
        Ok(monitor) => monitor,
        Err(_) if seen.ending().is_some() => {
            return let_go(api, &seen, left("the resource cannot be read")).await;
        }
        Err(error) => {
            return report(api, &seen, &live, |facts| facts.problems = vec![error.to_string()]).await;
        }
    };
    if seen.ending().is_some() {
        return end(api, cache, settings, &seen, &monitor).await;
    }
    if seen.facts(Observed(&live)).paused {
        return report(api, &seen, &live, |facts| facts.setup = facts.observed.setup()).await;
    }
    let needed = references::needed(&monitor, &settings.defaults);
    let reads: BTreeSet<(bool, String)> = needed.values().flatten().map(name_of).collect();
    let found = dereference(api, seen.namespace(), &needed).await?;
    let inputs = inputs(settings, &seen, &live, &found);
    let built = match children(&monitor, &inputs) {
        Ok(built) => built,
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let told = report(api, &seen, &live, |facts| {
                (facts.problems, facts.missing, facts.setup) =
                    (problems, found.missing, facts.observed.setup());
            });
            return Ok(Done { reads, ..told.await? });
        }
    };
    finalize(api, &seen, &monitor).await?;
    let (mut news, refused) = execute(api, cache, settings, &seen, &built).await?;
    let setup = built.list.iter().find(|child| child.kind() == "Job").map(|child| child.name().to_owned());
    let running = inputs.running_image.clone().filter(|running| *running != settings.worker_image);
    let newer = running.filter(|_| monitor.spec.image.is_none()).map(|_| settings.worker_image.clone());
    let done = report(api, &seen, &lives(cache, &seen.key), |facts| {
        facts.sources = monitor.spec.sources.iter().map(|source| source.name.clone()).collect();
        facts.topics = topics(&monitor, seen.namespace());
        (facts.missing, facts.refused) = (found.missing, refused);
        (facts.setup, facts.newer_image) = (setup, newer);
        facts.image = Some(built.image.clone());
    })
    .await?;
    news.extend(done.news);
    Ok(Done { news, reads, ..done })
}

pub(crate) fn lives(cache: &Cache, monitor: &Key) -> Vec<Live> {
    cache.of(monitor).into_iter().map(|entry| entry.live).collect()
}

fn name_of(reference: &Reference) -> (bool, String) {
    (reference.config_map, reference.name.clone())
}

pub(crate) fn inputs(settings: &Settings, seen: &Seen<'_>, live: &[Live], found: &Dereferenced) -> Inputs {
    let observed = Observed(live);
    Inputs {
        defaults: settings.defaults.clone(),
        worker_image: settings.worker_image.clone(),
        // What somebody has put into a Deployment by hand is not what it should run.
        running_image: seen.before.image.clone().or_else(|| observed.image()),
        uid: Some(seen.uid().to_owned()),
        references: hashes(found, observed),
        processor: observed.processor(),
        epoch: seen.epoch(),
        replicas: observed.replicas(),
        apis: settings.apis,
        deleting: false,
    }
}

/// What roles read. While something is missing its readers stay as they are: pods that run have what they need, and new
/// ones could not start.
fn hashes(found: &Dereferenced, observed: Observed<'_>) -> BTreeMap<Role, String> {
    let mut hashes = found.hashes.clone();
    let kept = found.lacking.iter().filter_map(|role| Some((*role, observed.references(*role)?)));
    hashes.extend(kept);
    hashes
}

fn topics(monitor: &PriceMonitor, namespace: &str) -> Vec<String> {
    let named = monitor.spec.kafka.as_ref().and_then(|kafka| kafka.topics.clone()).unwrap_or_default();
    let own = |name: Option<String>, default: &str| {
        name.unwrap_or_else(|| format!("{namespace}.{}.{default}", monitor.metadata.name))
    };
    vec![
        own(named.raw, "raw_prices"),
        own(named.processed, "processed_prices"),
        own(named.alerts, "price_alerts"),
    ]
}

/// Writes what is to be written. Tells what the cluster did not take: the others are written all the same.
pub(crate) async fn execute(
    api: &Kubernetes,
    cache: &Cache,
    settings: &Settings,
    seen: &Seen<'_>,
    built: &Children,
) -> Result<(Vec<News>, Option<String>), Error> {
    let there: Vec<Entry> = cache.of(&seen.key);
    let plan = plan(built, &there, seen.uid(), seen.ending().is_some());
    let writer = Writer { api, cache, kinds: kinds::of(settings.apis), seen };
    let (mut changed, mut refused, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let mut apply = plan.apply;
    for wanted in plan.compare {
        if !writer.is_so(&wanted).await? {
            apply.push(wanted);
        }
    }
    for wanted in &apply {
        match writer.apply(wanted).await {
            Ok(what) => changed.push(what),
            Err(Error::Refused(why)) => refused.push(why),
            Err(other) => return Err(other),
        }
    }
    for live in plan.prune {
        // At the end of a monitor an object is gone when its pods are.
        let with_pods = seen.ending().is_some();
        match api.delete(seen.namespace(), live, with_pods).await {
            Ok(()) => {
                if !with_pods {
                    cache.remove(&seen.key, live.kind, &live.name, live.version);
                }
                gone.push(format!("{} {}", live.kind.kind, live.name));
            }
            Err(Error::Refused(why)) => refused.push(why),
            Err(other) => return Err(other),
        }
    }
    let mut news = Vec::new();
    if !changed.is_empty() {
        news.push(News::of(false, "Applied", changed.join(", ")));
    }
    if !gone.is_empty() {
        news.push(News::of(false, "Pruned", gone.join(", ")));
    }
    Ok((news, (!refused.is_empty()).then(|| refused.join("; "))))
}

struct Writer<'a> {
    api: &'a Kubernetes,
    cache: &'a Cache,
    kinds: Vec<Kind>,
    seen: &'a Seen<'a>,
}

impl Writer<'_> {
    fn kind(&self, object: &Value) -> Result<Kind, Error> {
        let known = self.kinds.iter().copied().find(|kind| kind.has(object));
        known.ok_or_else(|| Error::Refused(format!("the kind {} is not known", object["kind"])))
    }

    /// Whether the object in the cluster is as it is wanted.
    async fn is_so(&self, wanted: &Value) -> Result<bool, Error> {
        let kind = self.kind(wanted)?;
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let there = self.api.get(self.seen.namespace(), kind, name).await?;
        let there = there.filter(|there| contains(there, wanted));
        if let Some(there) = &there {
            self.cache.put(self.seen.key.clone(), Live::of(kind, there), true);
        }
        Ok(there.is_some())
    }

    /// Applies an object. What the server made of it counts as what is wanted until somebody changes it.
    async fn apply(&self, wanted: &Value) -> Result<String, Error> {
        let kind = self.kind(wanted)?;
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let there = self.cache.of(&self.seen.key);
        let there = there.iter().find(|entry| entry.live.is(kind.kind, name));
        let ours = there.is_some_and(|entry| entry.live.owner.as_deref() == Some(self.seen.uid()));
        let stored = if ours {
            if kind.kind == "Deployment" && wanted["spec"]["replicas"].is_null() {
                self.api.let_go_of_replicas(self.seen.namespace(), kind, name).await?;
            }
            self.api.apply(kind, wanted, true).await?
        } else {
            self.apply_over(kind, name, wanted).await?
        };
        let stored = stored.ok_or_else(|| Error::Refused(foreign(kind, name)))?;
        self.cache.put(self.seen.key.clone(), Live::of(kind, &stored), true);
        Ok(format!("{} {name}", kind.kind))
    }

    /// Applies an object that is not known to be there. One that is there all the same is taken over where it is the
    /// monitor's own, or was its predecessor's of the same name; else there is none.
    async fn apply_over(&self, kind: Kind, name: &str, wanted: &Value) -> Result<Option<Value>, Error> {
        match self.api.get(self.seen.namespace(), kind, name).await? {
            None => self.api.apply(kind, wanted, false).await,
            Some(there) if self.is_own(&there) => self.api.apply(kind, wanted, true).await,
            Some(_) => Ok(None),
        }
    }

    fn is_own(&self, there: &Value) -> bool {
        let metadata = &there["metadata"];
        let owners: Vec<&Value> = metadata["ownerReferences"].as_array().into_iter().flatten().collect();
        let controller = owners.iter().find(|owner| owner["controller"] == true);
        match controller {
            Some(owner) => {
                owner["uid"] == self.seen.uid()
                    || owner["kind"] == MONITOR.kind && owner["name"] == *self.seen.key.1
            }
            // Somebody took its owner, or it has none because it holds data.
            None => metadata["annotations"][APPLIED].is_string(),
        }
    }
}

fn foreign(kind: Kind, name: &str) -> String {
    format!(
        "the {} `{name}` is there and does not belong to this monitor: delete it, or give the monitor another name",
        kind.kind
    )
}

/// Writes the status where it has changed, and tells when the monitor became well or ill.
async fn report(
    api: &Kubernetes,
    seen: &Seen<'_>,
    live: &[Live],
    add: impl FnOnce(&mut Facts<'_>),
) -> Result<Done, Error> {
    let mut facts = seen.facts(Observed(live));
    add(&mut facts);
    let status = status(&seen.before, &facts, seen.now);
    if status != seen.before {
        api.set_status(seen.namespace(), &seen.key.1, &status).await?;
    }
    let ready = |status: &PriceMonitorStatus| {
        let ready = status.conditions.iter().find(|one| one.kind == "Ready");
        ready.map(|ready| (ready.status == "True", ready.reason.clone(), ready.message.clone()))
    };
    let (before, after) = (ready(&seen.before), ready(&status));
    let mut news = Vec::new();
    if let Some((well, reason, message)) = after
        && before.is_none_or(|(_, known, _)| known != reason)
    {
        // What passes by itself is no trouble.
        let passes = ["SetupNotStarted", "SetupRunning", "WorkersNotReady", "RollingOut", "Suspended"];
        news.push(News::of(!well && !passes.contains(&reason.as_str()), &reason, message));
    }
    Ok(Done { status, news, ..Done::default() })
}
