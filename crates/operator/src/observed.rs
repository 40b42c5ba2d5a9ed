//! What the objects of a monitor tell of it together. Pure.

use std::collections::BTreeMap;

use crate::inputs::Running;
use crate::live::{Deployment, Detail, JobState, Live};
use crate::plan::may_make_topics;
use crate::role::Role;
use crate::status::WorkerStatus;

/// The objects of one monitor, as they are.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a>(pub &'a [Live]);

impl<'a> Observed<'a> {
    fn deployments(self) -> impl Iterator<Item = (Role, &'a Deployment)> {
        Role::WORKERS.into_iter().filter_map(move |role| {
            self.0.iter().find_map(|live| match &live.detail {
                Detail::Deployment(deployment) if live.role == Some(role) => Some((role, deployment)),
                _ => None,
            })
        })
    }

    /// Whether something is there that writes to topics or may make them.
    pub fn at_work(self) -> bool {
        self.deployments().next().is_some() || self.0.iter().any(may_make_topics)
    }

    /// The image that workers run.
    pub fn image(self) -> Option<String> {
        self.deployments().find_map(|(_, deployment)| deployment.image.clone())
    }

    /// The processor's manifest as it runs.
    pub fn processor(self) -> Option<Running> {
        self.0.iter().find_map(|live| match &live.detail {
            Detail::Manifest(running) if live.role == Some(Role::Processor) => Some(running.clone()),
            _ => None,
        })
    }

    /// `spec.replicas` of the workers.
    pub fn replicas(self) -> BTreeMap<Role, i32> {
        self.deployments().map(|(role, deployment)| (role, deployment.replicas)).collect()
    }

    /// Wanted and ready pods of the workers.
    pub fn workers(self) -> BTreeMap<String, WorkerStatus> {
        let status =
            |deployment: &Deployment| WorkerStatus { replicas: deployment.replicas, ready: deployment.ready };
        self.deployments().map(|(role, deployment)| (role.name().to_owned(), status(deployment))).collect()
    }

    /// Workers of which pods are being made or replaced.
    pub fn rolling(self) -> Vec<Role> {
        self.deployments().filter(|(_, deployment)| deployment.rolling).map(|(role, _)| role).collect()
    }

    /// What the cluster says of Deployments that it cannot bring up: worker and sentence.
    pub fn troubles(self) -> Vec<(Role, String)> {
        self.deployments()
            .filter_map(|(role, deployment)| Some((role, deployment.trouble.clone()?)))
            .collect()
    }

    /// The hash of what a worker's pods, or those of the newest Job of `setup`, were made to read.
    pub fn references(self, role: Role) -> Option<String> {
        let job = self.setup();
        let of_role = |live: &&Live| match &live.detail {
            Detail::Deployment(_) => live.role == Some(role),
            Detail::Job(..) => role == Role::Setup && Some(&live.name) == job.as_ref(),
            _ => false,
        };
        self.0.iter().find(of_role).and_then(|live| live.references.clone())
    }

    /// How far the Job of that name has come.
    pub fn job(self, name: &str) -> JobState {
        let state = self.0.iter().find_map(|live| match &live.detail {
            Detail::Job(state, _) if live.name == name => Some(*state),
            _ => None,
        });
        state.unwrap_or(JobState::Missing)
    }

    /// The newest Job of `setup`.
    pub fn setup(self) -> Option<String> {
        let jobs = self.0.iter().filter_map(|live| match &live.detail {
            Detail::Job(_, created) if live.role == Some(Role::Setup) => Some((created, &live.name)),
            _ => None,
        });
        jobs.max().map(|(_, name)| name.clone())
    }
}
