//! Jobs before and after the workers: `setup` makes topics and tables, `teardown` deletes topics.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Container;

use pricemonitor_config::spec::PodSpec;

use super::paths::{MANIFEST_DIR, SECRETS_DIR};
use super::pod;
use crate::context::{Context, hash};
use crate::role::Role;

/// The Job of `role`, which is [`Role::Setup`] or [`Role::Teardown`]; `None` where it is not its time.
///
/// A Job cannot be changed, so that its name says what it depends on: its manifest, the image (which
/// brings migrations), the Secrets that it reads, and how its pods are made. Another of these is another Job.
pub fn build(context: &Context<'_>, role: Role) -> Option<Job> {
    let part = context.part(role)?;
    let command: &[&str] = match role {
        Role::Setup => &["setup"],
        Role::Teardown => &["teardown", "--yes"],
        _ => return None,
    };
    let file = format!("{MANIFEST_DIR}/monitor.yaml");
    let mut args: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    args.extend(["-f".to_owned(), file, "--timeout".to_owned(), "120".to_owned()]);
    if !part.references.is_empty() {
        args.extend(["--secrets-dir".to_owned(), SECRETS_DIR.to_owned()]);
    }
    let mut template = pod::template(context, role, Container { args: Some(args), ..Container::default() })?;
    if let Some(spec) = &mut template.spec {
        spec.restart_policy = Some("OnFailure".to_owned());
    }
    let references = context.inputs.references.get(&role).map_or("", String::as_str);
    let mut depends = vec![part.hash.clone(), context.image.clone(), references.to_owned()];
    // Who mends what keeps its pods from starting gets another Job.
    let pod = context.pod();
    if pod != PodSpec::default() {
        depends.push(serde_json::to_string(&pod).unwrap_or_default());
    }
    let hash = hash(depends);
    let name = context.name(&format!("{}-{}", role.name(), hash.get(..8).unwrap_or_default()));
    Some(Job {
        metadata: context.metadata(name, Some(role)),
        spec: Some(JobSpec {
            backoff_limit: Some(6),
            active_deadline_seconds: Some(900),
            template,
            ..JobSpec::default()
        }),
        status: None,
    })
}
