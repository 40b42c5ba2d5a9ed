//! Where Prometheus finds the workers.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::paths::PORT;
use crate::context::Context;

/// A Service without an address of its own that names the metrics port of every pod, ready or not.
pub fn build(context: &Context<'_>) -> Service {
    Service {
        metadata: context.metadata(context.name("metrics"), None),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(context.selector()),
            ports: Some(vec![ServicePort {
                name: Some("metrics".to_owned()),
                port: PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String("metrics".to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
