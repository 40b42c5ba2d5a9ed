//! What a monitor's status says. Pure: the time is passed in.

use crate::live::JobState;
use crate::observed::Observed;
use crate::role::Role;
use crate::status::{Condition, PriceMonitorStatus};

/// Longest message of a condition, in characters; the rest is left out.
const LONGEST: usize = 4_000;

/// What is known of a monitor after a reconcile.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// Its objects, as they are.
    pub observed: Observed<'a>,
    /// Names of its sources.
    pub sources: Vec<String>,
    /// Names of its topics raw, processed and alerts.
    pub topics: Vec<String>,
    /// Everything that is wrong with it, each with its path. Then nothing was changed.
    pub problems: Vec<String>,
    /// What it reads of Secrets and ConfigMaps and is not there, each as a sentence.
    pub missing: Vec<String>,
    /// What it reads of Secrets and ConfigMaps and the cluster did not show, each as a sentence.
    pub unread: Vec<String>,
    /// What the cluster did not take, each as a sentence.
    pub refused: Vec<String>,
    /// What has no effect as things are, each as a sentence.
    pub notes: Vec<String>,
    /// Fields that this operator does not know.
    pub unknown: Vec<String>,
    /// Name of the Job that makes topics and tables; none when it was not asked for.
    pub setup: Option<String>,
    /// It is left alone, by its annotation.
    pub paused: bool,
    /// Its workers rest, by `spec.suspend`.
    pub suspended: bool,
    /// The image that the workers were given; none when nothing was changed.
    pub image: Option<String>,
    /// The image that new monitors get, where this one runs another.
    pub newer_image: Option<String>,
    /// How pods of the processor are found.
    pub selector: String,
}

/// The status, given the one before. `now` is a time in RFC 3339.
///
/// # Guarantees
/// - With the same facts it is the same, whatever the time: nothing is to be written.
/// - `lastTransitionTime` changes with the condition's status alone.
pub fn status(before: &PriceMonitorStatus, facts: &Facts<'_>, now: &str) -> PriceMonitorStatus {
    let workers = facts.observed.workers();
    let (ready, wanted) = workers.values().fold((0, 0), |(ready, wanted), worker| {
        (ready + worker.ready.min(worker.replicas), wanted + worker.replicas)
    });
    let judged = [provisioned(facts), progressing(facts), degraded(facts), paused(facts)];
    let mut all = vec![all_in_all(facts, &judged)];
    all.extend(judged);
    all.extend(rare(facts));
    let text = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
    PriceMonitorStatus {
        observed_generation: facts.generation,
        conditions: all.into_iter().map(|judged| judged.condition(before, facts.generation, now)).collect(),
        image: [&facts.image, &before.image]
            .into_iter()
            .flatten()
            .next()
            .cloned()
            .or_else(|| facts.observed.image()),
        sources: text(&facts.sources).or_else(|| before.sources.clone()),
        topics: text(&facts.topics).or_else(|| before.topics.clone()),
        ready: Some(format!("{ready}/{wanted}")),
        workers,
        selector: Some(facts.selector.clone()),
    }
}

/// What is counted of a monitor: each condition with its status, and whether it is suspended. That is no condition of its
/// own but the reason of a Ready that is False; whoever watches over Ready must be able to tell it from a failure.
pub fn counted(conditions: &[Condition]) -> Vec<(String, String)> {
    let rests = conditions.iter().any(|one| one.kind == "Ready" && one.reason == "Suspended");
    let rest = rests.then(|| ("Suspended".to_owned(), "True".to_owned()));
    conditions.iter().map(|one| (one.kind.clone(), one.status.clone())).chain(rest).collect()
}

struct Judged {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

fn judged(
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: impl Into<String>,
) -> Judged {
    Judged { kind, status, reason, message: message.into() }
}

impl Judged {
    fn condition(self, before: &PriceMonitorStatus, generation: Option<i64>, now: &str) -> Condition {
        let known =
            before.conditions.iter().find(|known| known.kind == self.kind && known.status == self.status);
        Condition {
            kind: self.kind.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.chars().take(LONGEST).collect(),
            last_transition_time: known.map_or(now, |known| &known.last_transition_time).to_owned(),
            observed_generation: generation,
        }
    }
}

/// The one condition that says whether all is well, and what first to look at when not.
fn all_in_all(facts: &Facts<'_>, others: &[Judged; 4]) -> Judged {
    let [provisioned, progressing, degraded, _] = others;
    let no = |reason, message: String| judged("Ready", "False", reason, message);
    if !facts.problems.is_empty() {
        return no("InvalidSpec", facts.problems.join("\n"));
    }
    if degraded.status == "True" {
        return no(degraded.reason, degraded.message.clone());
    }
    if facts.suspended {
        return no("Suspended", "the workers rest, by spec.suspend; data and page stay".to_owned());
    }
    if provisioned.status != "True" {
        return no(provisioned.reason, provisioned.message.clone());
    }
    let workers = facts.observed.workers();
    let short: Vec<String> = workers
        .iter()
        .filter(|(_, worker)| worker.ready < worker.replicas)
        .map(|(name, worker)| format!("{name} {}/{}", worker.ready, worker.replicas))
        .collect();
    if !short.is_empty() {
        return no("WorkersNotReady", format!("pods that are ready, of those wanted: {}", short.join(", ")));
    }
    if progressing.status == "True" {
        return no(progressing.reason, progressing.message.clone());
    }
    judged("Ready", "True", "AllWorkersReady", "every worker is ready")
}

fn provisioned(facts: &Facts<'_>) -> Judged {
    let state = facts.setup.as_ref().map(|name| (name, facts.observed.job(name)));
    match state {
        Some((_, JobState::Complete)) => {
            judged("Provisioned", "True", "SetupComplete", "topics and tables are there")
        }
        Some((name, JobState::Failed)) => judged(
            "Provisioned",
            "False",
            "SetupFailed",
            format!(
                "the Job {name} was given up: `kubectl logs job/{name}` says why; delete it to try again"
            ),
        ),
        Some((name, JobState::Running)) => {
            judged("Provisioned", "False", "SetupRunning", format!("the Job {name} makes topics and tables"))
        }
        Some((_, JobState::Missing)) | None => {
            judged("Provisioned", "Unknown", "SetupNotStarted", "topics and tables were not looked at yet")
        }
    }
}

fn progressing(facts: &Facts<'_>) -> Judged {
    let rolling = facts.observed.rolling();
    if rolling.is_empty() {
        return judged("Progressing", "False", "Settled", "no pod is being made or replaced");
    }
    let names: Vec<&str> = rolling.into_iter().map(Role::name).collect();
    judged("Progressing", "True", "RollingOut", format!("pods are made or replaced: {}", names.join(", ")))
}

/// What has no effect is said in the same breath, though it makes nothing worse: who looks for trouble looks here.
fn degraded(facts: &Facts<'_>) -> Judged {
    let mut judged = trouble(facts);
    if !facts.notes.is_empty() {
        judged.message = format!("{}; {}", judged.message, facts.notes.join("; "));
    }
    judged
}

fn trouble(facts: &Facts<'_>) -> Judged {
    let yes = |reason, message| judged("Degraded", "True", reason, message);
    if !facts.missing.is_empty() {
        return yes("MissingReference", facts.missing.join("; "));
    }
    if !facts.unread.is_empty() {
        return yes("ReadFailed", facts.unread.join("; "));
    }
    if !facts.refused.is_empty() {
        return yes("ApplyFailed", facts.refused.join("; "));
    }
    let troubles = facts.observed.troubles();
    if !troubles.is_empty() {
        let all: Vec<String> =
            troubles.into_iter().map(|(role, text)| format!("{}: {text}", role.name())).collect();
        return yes("WorkersFail", all.join("; "));
    }
    judged("Degraded", "False", "AsExpected", "nothing is missing")
}

fn paused(facts: &Facts<'_>) -> Judged {
    if facts.paused {
        let message = "nothing is changed while the annotation pricemonitor.dev/paused is `true`";
        return judged("Paused", "True", "Annotation", message);
    }
    judged("Paused", "False", "Reconciled", "changes are acted on")
}

/// Conditions that are there only while they hold.
fn rare(facts: &Facts<'_>) -> Vec<Judged> {
    let mut out = Vec::new();
    if !facts.unknown.is_empty() {
        let message = format!(
            "this operator is older than the definition and passes over: {}",
            facts.unknown.join(", ")
        );
        out.push(judged("UnknownFields", "True", "NewerDefinition", message));
    }
    if let Some(image) = &facts.newer_image {
        let message = format!("new monitors get {image}; set spec.image to change this one");
        out.push(judged("UpgradeAvailable", "True", "OlderImage", message));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inputs::Apis;
    use crate::kinds;
    use crate::live::Live;

    fn facts(objects: &[Live]) -> Facts<'_> {
        Facts {
            generation: Some(4),
            observed: Observed(objects),
            sources: vec!["a".to_owned(), "b".to_owned()],
            topics: Vec::new(),
            problems: Vec::new(),
            missing: Vec::new(),
            unread: Vec::new(),
            refused: Vec::new(),
            notes: Vec::new(),
            unknown: Vec::new(),
            setup: Some("m-setup-1".to_owned()),
            paused: false,
            suspended: false,
            image: None,
            newer_image: None,
            selector: "a=b".to_owned(),
        }
    }

    fn part(kind: &str, name: &str, role: &str, more: Value) -> Live {
        let mut object = json!({"kind": kind, "metadata": {
            "name": name, "generation": 1, "labels": {"app.kubernetes.io/component": role}}});
        more.as_object().into_iter().flatten().for_each(|(key, value)| object[key] = value.clone());
        let kind = kinds::of(Apis::default()).into_iter().find(|one| one.kind == kind).unwrap();
        Live::of(kind, &object)
    }

    fn job(condition: &str) -> Live {
        part(
            "Job",
            "m-setup-1",
            "setup",
            json!({"status": {"conditions": [{"type": condition, "status": "True"}]}}),
        )
    }

    fn deployment(ready: i32) -> Live {
        let status =
            json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready});
        part("Deployment", "m-storage", "storage", json!({"spec": {"replicas": 2}, "status": status}))
    }

    fn ready(facts: &Facts<'_>) -> (String, String) {
        let status = status(&PriceMonitorStatus::default(), facts, "now");
        (status.conditions[0].status.clone(), status.conditions[0].reason.clone())
    }

    #[test]
    fn ready_says_what_to_look_at_first() {
        let well = [job("Complete"), deployment(2)];
        let said = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
        assert_eq!(ready(&facts(&well)), said("True", "AllWorkersReady"));
        assert_eq!(ready(&facts(&[job("Complete"), deployment(1)])), said("False", "WorkersNotReady"));
        assert_eq!(ready(&facts(&[job("Failed"), deployment(2)])), said("False", "SetupFailed"));
        assert_eq!(ready(&facts(&[])), said("False", "SetupNotStarted"));
        let suspended = Facts { suspended: true, ..facts(&well) };
        assert_eq!(ready(&suspended), said("False", "Suspended"));
        let of =
            |facts: &Facts<'_>| counted(&status(&PriceMonitorStatus::default(), facts, "now").conditions);
        assert!(
            of(&suspended).contains(&said("Suspended", "True"))
                && of(&suspended).contains(&said("Ready", "False"))
        );
        assert!(of(&facts(&well)).iter().all(|(kind, _)| kind != "Suspended"));
        let missing = Facts { missing: vec!["the Secret `x` is missing".to_owned()], ..suspended };
        assert_eq!(ready(&missing), said("False", "MissingReference"));
        let refused = Facts { refused: vec!["cannot".to_owned()], ..facts(&well) };
        assert_eq!(ready(&refused), said("False", "ApplyFailed"));
        assert_eq!(
            ready(&Facts { unread: vec!["cannot".to_owned()], ..refused }),
            said("False", "ReadFailed")
        );
        let wrong = Facts { problems: vec!["spec.x: is wrong".to_owned()], ..missing };
        assert_eq!(ready(&wrong), said("False", "InvalidSpec"));
    }

    #[test]
    fn what_has_no_effect_is_said_beside_what_is_well() {
        let well = [job("Complete"), deployment(2)];
        let noted = Facts { notes: vec!["spec.x: has no effect".to_owned()], ..facts(&well) };
        assert_eq!(ready(&noted).1, "AllWorkersReady");
        let status = status(&PriceMonitorStatus::default(), &noted, "now");
        let degraded = status.conditions.iter().find(|one| one.kind == "Degraded").unwrap();
        assert_eq!((&*degraded.status, &*degraded.reason), ("False", "AsExpected"));
        assert_eq!(degraded.message, "nothing is missing; spec.x: has no effect");
    }

    #[test]
    fn the_same_facts_give_the_same_status_at_any_time() {
        let objects = [job("Complete"), deployment(2)];
        let first = status(&PriceMonitorStatus::default(), &facts(&objects), "2026-01-01T00:00:00Z");
        assert_eq!(status(&first, &facts(&objects), "2026-01-02T00:00:00Z"), first);
        let objects = [job("Complete"), deployment(1)];
        let later = status(&first, &facts(&objects), "2026-01-02T00:00:00Z");
        let since = |kind: &str| {
            later.conditions.iter().find(|one| one.kind == kind).unwrap().last_transition_time.as_str()
        };
        assert_eq!((since("Ready"), since("Provisioned")), ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"));
        assert_eq!(later.ready.as_deref(), Some("1/2"));
    }
}
