//! Who may speak to the workers.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::paths::PORT;
use crate::context::Context;

/// Nothing but metrics, probes and the page is reached from without. Where the workers speak to is
/// left open: brokers, databases, sources and channels are wherever the manifest says.
pub fn build(context: &Context<'_>) -> NetworkPolicy {
    NetworkPolicy {
        metadata: context.metadata(context.name("workers"), None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(context.selector()),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::Int(PORT)),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                }]),
                from: None,
            }]),
            egress: None,
        }),
    }
}
