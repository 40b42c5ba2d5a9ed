//! The manifest that a role runs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::{GENERATION, MANIFEST_HASH};
use crate::context::Context;
use crate::role::Role;

/// The ConfigMap with the manifest of a role; `None` where the monitor has no such role.
///
/// Pods are rolled by the hash in their template, not by this object: a processor's manifest has a
/// generation, which only counts when something that the processor acts on has changed.
pub fn build(context: &Context<'_>, role: Role) -> Option<ConfigMap> {
    let part = context.part(role)?;
    let mut metadata = context.metadata(name(context, role), Some(role));
    let mut annotations = BTreeMap::from([(MANIFEST_HASH.to_owned(), part.hash.clone())]);
    if let (Role::Processor, Some(line)) =
        (role, part.text.lines().find_map(|line| line.strip_prefix("  generation: ")))
    {
        annotations.insert(GENERATION.to_owned(), line.to_owned());
    }
    metadata.annotations = Some(annotations);
    let data = BTreeMap::from([("monitor.yaml".to_owned(), part.text.clone())]);
    Some(ConfigMap { metadata, data: Some(data), ..ConfigMap::default() })
}

/// Its name.
pub fn name(context: &Context<'_>, role: Role) -> String {
    context.name(role.name())
}
