//! The end of a monitor: by owner references alone, or after its topics are deleted.

use pricemonitor_config::PriceMonitor;
use pricemonitor_config::spec::DeletionPolicy;
use pricemonitor_model::{Millis, Time};
use serde_json::Value;

use crate::api::{Error, Kubernetes};
use crate::children::children;
use crate::dereference::dereference;
use crate::events::News;
use crate::execute::{Outcome, execute};
use crate::inputs::Inputs;
use crate::live::JobState;
use crate::observed::Observed;
use crate::reconcile::{Done, Look, Seen, inputs, lives};
use crate::references;

/// Keeps a monitor until its topics are deleted.
pub const FINALIZER: &str = "pricemonitor.dev/topics";
/// How long a monitor that is being deleted is kept until its topics are gone, in milliseconds: longer than the
/// Job that deletes them may take.
const PATIENCE: Millis = 20 * 60 * 1_000;

impl Seen<'_> {
    /// Whether its end has been waited for long enough.
    fn is_overdue(&self) -> bool {
        let time = |text: &str| text.parse::<Time>().ok();
        self.ending()
            .and_then(time)
            .zip(time(self.now))
            .is_some_and(|(begun, now)| now.since(begun) > PATIENCE)
    }

    fn finalizers(&self) -> Vec<String> {
        let list = self.resource["metadata"]["finalizers"].as_array();
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn has_finalizer(&self) -> bool {
        self.finalizers().iter().any(|one| one == FINALIZER)
    }
}

/// The finalizer is there while, and only while, topics are to go with the monitor.
pub(crate) async fn finalize(api: &Kubernetes, seen: &Seen<'_>, monitor: &PriceMonitor) -> Result<(), Error> {
    let mut finalizers = seen.finalizers();
    let wanted = topics_go(monitor);
    if wanted == seen.has_finalizer() {
        return Ok(());
    }
    finalizers.retain(|one| one != FINALIZER);
    finalizers.extend(wanted.then(|| FINALIZER.to_owned()));
    api.set_finalizers(seen.resource, &finalizers).await
}

fn topics_go(monitor: &PriceMonitor) -> bool {
    let policy = monitor.spec.kafka.as_ref().and_then(|kafka| kafka.deletion_policy);
    policy == Some(DeletionPolicy::Delete)
}

/// The end of a monitor whose topics go with it: workers first, then a Job that deletes the topics. It cannot hang for
/// ever: when the Job is given up, or cannot be made, that is told, the topics stay and the monitor goes.
pub(crate) async fn end(
    look: &Look<'_>,
    seen: &Seen<'_>,
    monitor: &PriceMonitor,
    news: &mut Vec<News>,
) -> Result<Done, Error> {
    let last = if !seen.has_finalizer() || !topics_go(monitor) {
        Vec::new()
    } else if seen.is_overdue() {
        left("the topics could not be deleted within 20 minutes")
    } else {
        match tear_down(look, seen, monitor, news).await? {
            Some(last) => last,
            None => return Ok(Done { soon: true, ..Done::default() }),
        }
    };
    let_go(look, seen, last, news).await
}

/// The monitor may go; `last` is the last that is told of it.
pub(crate) async fn let_go(
    look: &Look<'_>,
    seen: &Seen<'_>,
    last: Vec<News>,
    news: &mut Vec<News>,
) -> Result<Done, Error> {
    if seen.has_finalizer() {
        let mut finalizers = seen.finalizers();
        finalizers.retain(|one| one != FINALIZER);
        look.api.set_finalizers(seen.resource, &finalizers).await?;
    }
    news.extend(last);
    Ok(Done::default())
}

pub(crate) fn left(why: &str) -> Vec<News> {
    let message = format!("{why}; the topics stay: `pricemonitor teardown` deletes them");
    vec![News::of(true, "TopicsLeft", message)]
}

/// What became of the topics; none while they are being deleted.
async fn tear_down(
    look: &Look<'_>,
    seen: &Seen<'_>,
    monitor: &PriceMonitor,
    news: &mut Vec<News>,
) -> Result<Option<Vec<News>>, Error> {
    let live = lives(look.cache, &seen.key);
    let needed = references::needed(monitor, &look.settings.defaults);
    let found = dereference(look.api, seen.namespace(), &needed).await?;
    let inputs = Inputs { deleting: true, ..inputs(look.settings, seen, &live, &found) };
    let Ok(mut built) = children(monitor, &inputs) else {
        return Ok(Some(left("the resource is not valid")));
    };
    let job = built.list.iter().find(|child| child.kind() == "Job").map(|child| child.name().to_owned());
    match job.map_or(JobState::Failed, |job| Observed(&live).job(&job)) {
        JobState::Complete => {
            return Ok(Some(vec![News::of(false, "TopicsDeleted", "the topics are deleted")]));
        }
        JobState::Failed => return Ok(Some(left("the Job that deletes the topics was given up"))),
        JobState::Missing | JobState::Running => {}
    }
    if Observed(&live).at_work() {
        // What writes to the topics, or may make them anew, goes before they do.
        built.list.retain(|child| child.kind() != "Job");
    }
    let mut outcome = Outcome::default();
    execute(look, seen, &built, &mut outcome, news).await;
    match (outcome.failure, outcome.refused) {
        (Some(failure), _) => Err(failure),
        (None, refused) if refused.is_empty() => Ok(None),
        (None, refused) => Ok(Some(left(&refused.join("; ")))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_end_is_waited_for_longer_than_the_job_may_take_and_not_for_ever() {
        let resource = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let overdue = |now: &str| Seen::of(&resource, now).is_overdue();
        assert!(!overdue("2026-01-01T00:15:30Z"));
        assert!(overdue("2026-01-01T00:20:01Z"));
        assert!(!Seen::of(&json!({"metadata": {}}), "2026-01-01T00:20:01Z").is_overdue());
    }
}
