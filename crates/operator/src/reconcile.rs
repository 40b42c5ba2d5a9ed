//! One monitor is brought to what its resource says: read, judge, build, write, tell.

use std::collections::{BTreeMap, BTreeSet};

use pricemonitor_config::PriceMonitor;
use pricemonitor_config::schema::unknown_fields;
use pricemonitor_model::Time;
use serde::Deserialize as _;
use serde_json::Value;

use crate::api::{Error, Kubernetes};
use crate::cache::{Cache, Key};
use crate::children::children;
use crate::conditions::{Facts, status};
use crate::defaults::Defaults;
use crate::dereference::{Dereferenced, dereference};
use crate::ending::{end, finalize, left, let_go};
use crate::events::News;
use crate::execute::{Outcome, execute};
use crate::inputs::{Apis, Inputs};
use crate::live::Live;
use crate::observed::Observed;
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

/// One look at a monitor: with what, and what is known of it.
pub struct Look<'a> {
    /// The API.
    pub api: &'a Kubernetes,
    /// The objects that are there; what is written is put into it.
    pub cache: &'a Cache,
    /// What the operator was started with.
    pub settings: &'a Settings,
    /// The time, in RFC 3339.
    pub now: &'a str,
    /// Whether the look before this one failed, too. What fails once is not told: it mostly passes at once.
    pub again: bool,
    /// Is told which Secrets and ConfigMaps the monitor reads before they are read, so that no change is missed:
    /// whether a ConfigMap, and the name.
    pub reads: &'a (dyn Fn(BTreeSet<(bool, String)>) + Send + Sync),
}

impl std::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Look").field("now", &self.now).field("again", &self.again).finish_non_exhaustive()
    }
}

/// What a reconcile came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The status as it is now.
    pub status: PriceMonitorStatus,
    /// Look again soon: something is under way that nobody tells of.
    pub soon: bool,
    /// What failed, though the rest was done and the status tells of it: to be tried again.
    pub failure: Option<Error>,
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

    pub(crate) fn uid(&self) -> &str {
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
            unread: Vec::new(),
            refused: Vec::new(),
            notes: Vec::new(),
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

/// Brings the children of `resource` to what it says, and its status to what is so. What a person should hear of is
/// put into `news`, in its order, also when it fails.
///
/// # Errors
/// When the API does not answer: to be tried again. What is wrong with the resource, and what lasts, is told in its
/// status.
pub async fn reconcile(look: &Look<'_>, resource: &Value, news: &mut Vec<News>) -> Result<Done, Error> {
    let seen = Seen::of(resource, look.now);
    let live = lives(look.cache, &seen.key);
    let monitor = match PriceMonitor::deserialize(resource) {
        Ok(monitor) => monitor,
        Err(_) if seen.ending().is_some() => {
            return let_go(look, &seen, left("the resource cannot be read"), news).await;
        }
        Err(error) => {
            let problems = vec![error.to_string()];
            return report(look.api, &seen, &live, news, |facts| facts.problems = problems).await;
        }
    };
    if seen.ending().is_some() {
        return end(look, &seen, &monitor, news).await;
    }
    if seen.facts(Observed(&live)).paused {
        return report(look.api, &seen, &live, news, |facts| facts.setup = facts.observed.setup()).await;
    }
    let needed = references::needed(&monitor, &look.settings.defaults);
    (look.reads)(needed.values().flatten().map(name_of).collect());
    let found = dereference(look.api, seen.namespace(), &needed).await?;
    let inputs = inputs(look.settings, &seen, &live, &found);
    let built = match children(&monitor, &inputs) {
        Ok(built) => built,
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let told = report(look.api, &seen, &live, news, |facts| {
                (facts.problems, facts.setup) = (problems, facts.observed.setup());
                (facts.missing, facts.unread) = (found.missing, found.unread);
            });
            return Ok(Done { failure: found.failure, ..told.await? });
        }
    };
    let mut outcome = Outcome::default();
    outcome.take(finalize(look.api, &seen, &monitor).await);
    execute(look, &seen, &built, &mut outcome, news).await;
    let failure = outcome.failure.take().or(found.failure);
    match failure {
        // It would not take the status either, wants to be left alone, or will have done better in a moment.
        Some(error @ (Error::NotLeading | Error::Busy(..))) => return Err(error),
        Some(error) if !look.again => return Err(error),
        _ => {}
    }
    let setup = built.list.iter().find(|child| child.kind() == "Job").map(|child| child.name().to_owned());
    let running = inputs.running_image.clone().filter(|running| *running != look.settings.worker_image);
    let newer = running.filter(|_| monitor.spec.image.is_none()).map(|_| look.settings.worker_image.clone());
    let live = lives(look.cache, &seen.key);
    let told = report(look.api, &seen, &live, news, |facts| {
        facts.sources = monitor.spec.sources.iter().map(|source| source.name.clone()).collect();
        facts.topics = topics(&monitor, seen.namespace());
        (facts.missing, facts.unread, facts.refused) = (found.missing, found.unread, outcome.refused);
        facts.notes = built.notes.iter().map(ToString::to_string).collect();
        (facts.setup, facts.newer_image) = (setup, newer);
        facts.image = Some(built.image.clone());
    });
    match (told.await, failure) {
        (Ok(done), failure) => Ok(Done { failure, ..done }),
        // Why it was not asked for the rest tells more.
        (Err(Error::Away(_) | Error::Failed(_)), Some(failure)) => Err(failure),
        (Err(error), _) => Err(error),
    }
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
        optional_keys: found.optional.clone(),
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

/// Writes the status where it has changed, and tells when the monitor became well or ill.
async fn report(
    api: &Kubernetes,
    seen: &Seen<'_>,
    live: &[Live],
    news: &mut Vec<News>,
    add: impl FnOnce(&mut Facts<'_>),
) -> Result<Done, Error> {
    let mut facts = seen.facts(Observed(live));
    add(&mut facts);
    let status = status(&seen.before, &facts, seen.now);
    if status != seen.before {
        api.set_status(seen.namespace(), &seen.key.1, &status).await?;
    }
    let of = |status: &PriceMonitorStatus, kind: &str| {
        status.conditions.iter().find(|one| one.kind == kind).cloned()
    };
    if let Some(ready) = of(&status, "Ready")
        && of(&seen.before, "Ready").is_none_or(|before| before.reason != ready.reason)
    {
        // What passes by itself is no trouble.
        let passes = ["SetupNotStarted", "SetupRunning", "WorkersNotReady", "RollingOut", "Suspended"];
        let trouble = ready.status != "True" && !passes.contains(&ready.reason.as_str());
        news.push(News::of(trouble, &ready.reason, ready.message));
    }
    let notes = facts.notes.join("; ");
    let known = of(&seen.before, "Degraded").is_some_and(|before| before.message.ends_with(&notes));
    if !notes.is_empty() && !known {
        news.push(News::of(true, "WithoutEffect", notes));
    }
    Ok(Done { status, ..Done::default() })
}
