//! What is to be written is written. One object that is not taken does not keep the others from being written.

use serde_json::Value;

use crate::api::{Error, Kubernetes};
use crate::cache::{Cache, Entry};
use crate::children::Children;
use crate::drift;
use crate::events::News;
use crate::kinds::{self, Kind, MONITOR};
use crate::live::Live;
use crate::plan::{APPLIED, contains, plan};
use crate::reconcile::{Look, Seen};

/// What was not done.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What the cluster did not take, each as a sentence.
    pub(crate) refused: Vec<String>,
    /// Why it is to be tried again soon: what concerns everything before what concerns one object.
    pub(crate) failure: Option<Error>,
}

impl Outcome {
    /// The result of a step, if it was done.
    pub(crate) fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        let error = match result {
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        self.refused.push(error.to_string());
        if !matches!(error, Error::Refused(_)) && (self.failure.is_none() || error.is_everywhere()) {
            self.failure = Some(error);
        }
        None
    }

    /// Whether nothing more can be done now.
    fn is_over(&self) -> bool {
        self.failure.as_ref().is_some_and(Error::is_everywhere)
    }
}

/// Writes what is to be written, and tells of it.
pub(crate) async fn execute(
    look: &Look<'_>,
    seen: &Seen<'_>,
    built: &Children,
    outcome: &mut Outcome,
    news: &mut Vec<News>,
) {
    let there: Vec<Entry> = look.cache.of(&seen.key);
    let plan = plan(built, &there, seen.uid(), seen.ending().is_some());
    let writer = Writer { api: look.api, cache: look.cache, kinds: kinds::of(look.settings.apis), seen };
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    let mut apply = plan.apply;
    for wanted in plan.compare {
        if outcome.is_over() {
            break;
        }
        if outcome.take(writer.is_so(&wanted).await) == Some(false) {
            apply.push(wanted);
        }
    }
    for wanted in &apply {
        if outcome.is_over() {
            break;
        }
        changed.extend(outcome.take(writer.apply(wanted).await).flatten());
    }
    for live in plan.prune {
        if outcome.is_over() {
            break;
        }
        gone.extend(outcome.take(writer.prune(live).await));
    }
    if !changed.is_empty() {
        news.push(News::of(false, "Applied", changed.join(", ")));
    }
    if !gone.is_empty() {
        news.push(News::of(false, "Pruned", gone.join(", ")));
    }
}

struct Writer<'a> {
    api: &'a Kubernetes,
    cache: &'a Cache,
    kinds: Vec<Kind>,
    seen: &'a Seen<'a>,
}

/// An object as it was before it was applied, where it was there, and as it is now.
type Written = (Option<Live>, Value);

impl Writer<'_> {
    fn kind(&self, object: &Value) -> Result<Kind, Error> {
        let known = self.kinds.iter().copied().find(|kind| kind.has(object));
        known.ok_or_else(|| Error::Refused(format!("the kind {} is not known", object["kind"])))
    }

    /// Whether the object in the cluster is as it is wanted.
    async fn is_so(&self, wanted: &Value) -> Result<bool, Error> {
        let kind = self.kind(wanted)?;
        let Some(there) = self.api.get(self.seen.namespace(), kind, name(wanted)).await? else {
            return Ok(false);
        };
        let is_so = contains(&there, wanted) && !is_meddled_with(kind, &there);
        self.cache.put(self.seen.key.clone(), Live::of(kind, &there), is_so);
        Ok(is_so)
    }

    /// Applies an object. What the server made of it counts as what is wanted until somebody changes it. Its name, if
    /// that has changed anything.
    async fn apply(&self, wanted: &Value) -> Result<Option<String>, Error> {
        let (kind, name) = (self.kind(wanted)?, name(wanted));
        let there = self.cache.of(&self.seen.key).into_iter().map(|entry| entry.live);
        let mut ours = there.filter(|live| live.owner.as_deref() == Some(self.seen.uid()));
        let written = match ours.find(|live| live.is(kind.kind, name)) {
            Some(before) => {
                if kind.kind == "Deployment" && wanted["spec"]["replicas"].is_null() {
                    self.api.let_go_of_replicas(self.seen.namespace(), kind, name).await?;
                }
                self.api.apply(kind, wanted, true).await?.map(|stored| (Some(before), stored))
            }
            None => self.apply_over(kind, name, wanted).await?,
        };
        let (before, mut stored) = written.ok_or_else(|| Error::Refused(foreign(kind, name)))?;
        // Once: if something is still not as it is wanted, it would not be the next time either.
        if is_meddled_with(kind, &stored) {
            let template = drift::template(wanted, &stored);
            stored = self.api.replace_template(kind, &stored, template).await?;
        }
        let live = Live::of(kind, &stored);
        let changed = before.is_none_or(|before| before.stamp != live.stamp);
        self.cache.put(self.seen.key.clone(), live, true);
        Ok(changed.then(|| format!("{} {name}", kind.kind)))
    }

    /// Applies an object that is not known to be there. One that is there all the same is taken over where it is the
    /// monitor's own, or was its predecessor's of the same name; else there is none.
    async fn apply_over(&self, kind: Kind, name: &str, wanted: &Value) -> Result<Option<Written>, Error> {
        let get = || self.api.get(self.seen.namespace(), kind, name);
        let mut there = get().await?;
        if there.is_none() {
            if let Some(stored) = self.api.apply(kind, wanted, false).await? {
                return Ok(Some((None, stored)));
            }
            // Somebody has made one meanwhile, or the server could not tell that nobody has.
            there = get().await?;
        }
        match there {
            None => {
                let passes = format!("cannot apply {} `{name}`: a conflict that passes", kind.kind);
                Err(Error::Failed(passes))
            }
            Some(there) if self.is_own(&there) => {
                let stored = self.api.apply(kind, wanted, true).await?;
                Ok(stored.map(|stored| (Some(Live::of(kind, &there)), stored)))
            }
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

    /// Deletes an object that is not wanted any more. Its name.
    async fn prune(&self, live: &Live) -> Result<String, Error> {
        // At the end of a monitor an object is gone when its pods are.
        let with_pods = self.seen.ending().is_some();
        self.api.delete(self.seen.namespace(), live, with_pods).await?;
        if !with_pods {
            self.cache.remove(&self.seen.key, live.kind, &live.name, live.version);
        }
        Ok(format!("{} {}", live.kind.kind, live.name))
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn is_meddled_with(kind: Kind, object: &Value) -> bool {
    kind.kind == "Deployment" && drift::is_meddled_with(object)
}

fn foreign(kind: Kind, name: &str) -> String {
    format!(
        "the {} `{name}` is there and does not belong to this monitor: delete it, or give the monitor another name",
        kind.kind
    )
}
