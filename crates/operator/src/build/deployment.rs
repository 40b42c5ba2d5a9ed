//! The Deployment of a worker.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe,
    SecretKeySelector, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use pricemonitor_config::spec::AutoscalingSpec;

use super::paths::{DATA_DIR, MANIFEST_DIR, PORT, SECRETS_DIR};
use super::{dashboard_service, pod};
use crate::context::Context;
use crate::role::Role;

/// The Deployment of a role; `None` where the monitor has no such role.
pub fn build(context: &Context<'_>, role: Role) -> Option<Deployment> {
    let selector =
        LabelSelector { match_labels: Some(context.selector_of(role)), ..LabelSelector::default() };
    let mut template = pod::template(context, role, container(context, role))?;
    if let Some(spec) = &mut template.spec {
        let spread = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"];
        let spread = spread.map(|key| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector.clone()),
            ..TopologySpreadConstraint::default()
        });
        spec.topology_spread_constraints = Some(spread.into());
    }
    Some(Deployment {
        metadata: context.metadata(context.name(role.name()), Some(role)),
        spec: Some(DeploymentSpec {
            replicas: replicas(context, role),
            revision_history_limit: Some(3),
            selector,
            strategy: Some(strategy(context, role)),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}

/// How many pods; `None` leaves it to the autoscaler.
fn replicas(context: &Context<'_>, role: Role) -> Option<i32> {
    if suspended(context, role) {
        return Some(0);
    }
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let worker = context.worker(role);
    match (worker.autoscaling, autoscaling(context, role)) {
        // An autoscaler leaves a Deployment that was scaled to zero alone, as after `suspend`.
        (_, Some(scaling)) if context.inputs.replicas.get(&role) == Some(&0) => {
            Some(count(scaling.min_replicas.unwrap_or(1)))
        }
        (_, Some(_)) => None,
        // Wanted, but the cluster has nothing that could do it.
        (Some(scaling), None) => Some(count(scaling.min_replicas.unwrap_or(1))),
        (None, None) => Some(count(worker.replicas.unwrap_or(1))),
    }
}

/// The autoscaling that is at work for a role.
pub fn autoscaling(context: &Context<'_>, role: Role) -> Option<AutoscalingSpec> {
    let scaling = context.worker(role).autoscaling.filter(|_| !suspended(context, role))?;
    (scaling.target_lag.is_none() || context.inputs.apis.keda).then_some(scaling)
}

/// The most pods that a role may have.
pub fn most_pods(context: &Context<'_>, role: Role) -> u32 {
    match autoscaling(context, role) {
        Some(scaling) => scaling.max_replicas,
        None => replicas(context, role).and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
    }
}

/// The page stays while the workers rest.
fn suspended(context: &Context<'_>, role: Role) -> bool {
    context.monitor.spec.suspend && role != Role::Dashboard
}

/// A CSV file has one writer: the old one goes before the new one comes.
fn strategy(context: &Context<'_>, role: Role) -> DeploymentStrategy {
    if role == Role::Storage && context.settings.csv.is_some() {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}

fn container(context: &Context<'_>, role: Role) -> Container {
    let file = format!("{MANIFEST_DIR}/monitor.yaml");
    let listen = format!("0.0.0.0:{PORT}");
    let mut args = vec!["run", role.name(), "-f", &file, "--listen", &listen, "--log-format", "json"];
    if context.part(role).is_some_and(|part| !part.references.is_empty()) {
        args.extend(["--secrets-dir", SECRETS_DIR]);
    }
    if role == Role::Storage && context.settings.csv.is_some() {
        args.extend(["--data-dir", DATA_DIR]);
    }
    let hosts =
        if role == Role::Dashboard { dashboard_service::hosts(context).join(",") } else { String::new() };
    if !hosts.is_empty() {
        args.extend(["--allow-host", &hosts]);
    }
    Container {
        args: Some(args.into_iter().map(str::to_owned).collect()),
        env: Some(variables(context, role)),
        ports: Some(vec![ContainerPort {
            name: Some("metrics".to_owned()),
            container_port: PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // A worker answers at once and waits for its servers: only a process that hangs is ended.
        startup_probe: Some(probe("/livez", 2, 30)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        readiness_probe: Some(probe("/readyz", 5, 2)),
        ..Container::default()
    }
}

/// The pod's name names the process: a container that is started again in its pod has its partitions
/// back at once.
fn variables(context: &Context<'_>, role: Role) -> Vec<EnvVar> {
    let field = ObjectFieldSelector { field_path: "metadata.name".to_owned(), api_version: None };
    let mut out = vec![EnvVar {
        name: "PRICEMONITOR_INSTANCE".to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    }];
    let token = context.workers.dashboard.as_ref().and_then(|dashboard| dashboard.token.as_ref());
    if let Some(token) = token.filter(|_| role == Role::Dashboard) {
        let (name, key) = (token.secret_key_ref.name.clone(), token.secret_key_ref.key.clone());
        let secret = SecretKeySelector { name, key, optional: None };
        out.push(EnvVar {
            name: "PRICEMONITOR_PAGE_TOKEN".to_owned(),
            value: None,
            value_from: Some(EnvVarSource { secret_key_ref: Some(secret), ..EnvVarSource::default() }),
        });
    }
    out
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}
