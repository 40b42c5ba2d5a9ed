//! The number of pods by the CPU that they use.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};

use super::deployment;
use crate::context::Context;
use crate::role::Role;

/// Percent of the requested CPU when the manifest does not say.
const TARGET: i32 = 80;

/// The autoscaler of a role; `None` where it has none, goes by lag, or is suspended.
pub fn build(context: &Context<'_>, role: Role) -> Option<HorizontalPodAutoscaler> {
    context.part(role)?;
    let scaling = deployment::autoscaling(context, role)?;
    if scaling.target_lag.is_some() {
        return None;
    }
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    Some(HorizontalPodAutoscaler {
        metadata: context.metadata(context.name(role.name()), Some(role)),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: context.name(role.name()),
            },
            min_replicas: Some(count(scaling.min_replicas.unwrap_or(1))),
            max_replicas: count(scaling.max_replicas),
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(scaling.target_cpu_utilization.map_or(TARGET, count)),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: None,
        }),
        status: None,
    })
}
