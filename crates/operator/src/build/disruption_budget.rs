//! How many pods of a role may be away at a time because somebody drains nodes.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::deployment;
use crate::context::Context;
use crate::role::Role;

/// One pod of a role at a time; `None` where it has one pod at most, which would keep a node from
/// being drained for nothing.
pub fn build(context: &Context<'_>, role: Role) -> Option<PodDisruptionBudget> {
    context.part(role)?;
    if deployment::most_pods(context, role) <= 1 {
        return None;
    }
    Some(PodDisruptionBudget {
        metadata: context.metadata(context.name(role.name()), Some(role)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(context.selector_of(role)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
