//! All children of a resource, in the order in which they are applied.

use k8s_openapi::{Metadata, Resource};
use pricemonitor_config::{PriceMonitor, Problem};
use serde::Serialize;
use serde_json::{Value, json};

use crate::build::{
    claim, configmap, dashboard_service, deployment, disruption_budget, grafana_dashboard, job,
    metrics_service, network_policy, pod_autoscaler, pod_monitor, scaled_object, service_account,
};
use crate::context::Context;
use crate::inputs::Inputs;
use crate::role::Role;
use crate::validate;

/// An object to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// The object; `apiVersion`, `kind`, `metadata.name` and `metadata.namespace` are there.
    pub object: Value,
    /// It is never pruned and has no owner: it holds data.
    pub keep: bool,
}

/// What comes of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Children {
    /// Objects, in the order in which they are applied.
    pub list: Vec<Child>,
    /// What a person should know though it is no error.
    pub notes: Vec<Problem>,
    /// The workers' image.
    pub image: String,
}

impl Child {
    /// `apiVersion`, such as `apps/v1`.
    pub fn api_version(&self) -> &str {
        self.object["apiVersion"].as_str().unwrap_or_default()
    }

    /// `kind`, such as `Deployment`.
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// Everything that runs a resource: defaults filled in, judged, built. Pure.
///
/// # Errors
/// Everything that is wrong with the resource, each with its path; then nothing is to be changed.
pub fn children(monitor: &PriceMonitor, inputs: &Inputs) -> Result<Children, Vec<Problem>> {
    let mut monitor = monitor.clone();
    inputs.defaults.fill(&mut monitor);
    let problems = validate::problems(&monitor);
    if !problems.is_empty() {
        return Err(problems);
    }
    let settings = monitor.settings()?;
    let context = Context::new(monitor, settings, inputs);
    let mut out = Children { list: Vec::new(), notes: notes(&context), image: context.image.clone() };
    out.add(Some(service_account::build(&context)));
    for role in context.roles() {
        out.add(configmap::build(&context, role));
    }
    out.add(job::build(&context, Role::Teardown));
    if inputs.deleting {
        return Ok(out);
    }
    out.add(network_policy::build(&context).into());
    if let Some(claim) = claim::build(&context) {
        out.add(Some(claim));
        out.list.last_mut().into_iter().for_each(|child| child.keep = true);
    }
    out.add(job::build(&context, Role::Setup));
    out.add(Some(metrics_service::build(&context)));
    out.add(dashboard_service::build(&context));
    for role in Role::WORKERS {
        out.add(deployment::build(&context, role));
        out.add(disruption_budget::build(&context, role));
        out.add(pod_autoscaler::build(&context, role));
        out.list.extend(scaled_object::build(&context, role).into_iter().map(Child::loose));
    }
    out.list.extend(pod_monitor::build(&context).map(Child::loose));
    out.add(grafana_dashboard::build(&context));
    Ok(out)
}

impl Child {
    fn loose(object: Value) -> Child {
        Child { object, keep: false }
    }
}

impl Children {
    fn add<T: Resource + Metadata + Serialize>(&mut self, object: Option<T>) {
        let Some(object) = object else { return };
        // These types have texts for keys alone, so that this cannot fail.
        let mut object = serde_json::to_value(object).unwrap_or_default();
        object["apiVersion"] = json!(T::API_VERSION);
        object["kind"] = json!(T::KIND);
        self.list.push(Child::loose(object));
    }
}

fn notes(context: &Context<'_>) -> Vec<Problem> {
    let mut out = Vec::new();
    let mut tell = |path: String, message: &str| out.push(Problem::new(path, message));
    if context.settings.postgres.is_none() && !context.settings.channels.is_empty() {
        let message = "are told nothing: alerts are kept and sent only with spec.storage.postgres";
        tell("spec.channels".to_owned(), message);
    }
    for role in [Role::Processor, Role::Storage] {
        let by_lag = context.worker(role).autoscaling.is_some_and(|scaling| scaling.target_lag.is_some());
        if by_lag && !context.inputs.apis.keda {
            let path = format!("spec.workers.{}.autoscaling.targetLag", role.name());
            tell(path, "has no effect: the cluster has no KEDA; there are `minReplicas` pods");
        }
    }
    out
}
