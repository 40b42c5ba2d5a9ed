//! The way to the page.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use pricemonitor_config::spec::ServiceKind;

use crate::context::Context;
use crate::role::Role;

/// The page's Service; `None` where there is no page.
pub fn build(context: &Context<'_>) -> Option<Service> {
    context.part(Role::Dashboard)?;
    let service = context.workers.dashboard.clone().unwrap_or_default().service.unwrap_or_default();
    let kind = match service.kind {
        ServiceKind::ClusterIP => "ClusterIP",
        ServiceKind::NodePort => "NodePort",
        ServiceKind::LoadBalancer => "LoadBalancer",
    };
    Some(Service {
        metadata: context.metadata(name(context), Some(Role::Dashboard)),
        spec: Some(ServiceSpec {
            type_: Some(kind.to_owned()),
            selector: Some(context.selector_of(Role::Dashboard)),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: service.port.and_then(|port| i32::try_from(port).ok()).unwrap_or(8501),
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String("metrics".to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

/// Its name.
pub fn name(context: &Context<'_>) -> String {
    context.name("dashboard")
}

/// The names under which the page is reached through the Service and those that the manifest allows.
pub fn hosts(context: &Context<'_>) -> Vec<String> {
    let (name, namespace) = (name(context), &context.namespace);
    let mut hosts = vec![name.clone(), format!("{name}.{namespace}"), format!("{name}.{namespace}.svc")];
    hosts.extend(context.workers.dashboard.clone().unwrap_or_default().allowed_hosts);
    hosts
}
