//! The volume of the CSV file.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use pricemonitor_config::spec::{CsvSpec, CsvVolume};

use crate::context::Context;

/// The claim that is made for the CSV file; `None` where there is no such file, or the manifest
/// names a claim. It has no owner: data outlives the monitor.
pub fn build(context: &Context<'_>) -> Option<PersistentVolumeClaim> {
    let volume = csv(context)?.volume.clone().unwrap_or_default();
    if volume.claim_name.is_some() {
        return None;
    }
    let CsvVolume { size, storage_class_name, .. } = volume;
    let size = Quantity(size.unwrap_or_else(|| "1Gi".to_owned()));
    let mut metadata = context.metadata(context.name("csv"), None);
    metadata.owner_references = None;
    Some(PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name,
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    })
}

/// The name of the claim that holds the CSV file.
pub fn name(context: &Context<'_>) -> Option<String> {
    let named = csv(context)?.volume.as_ref().and_then(|volume| volume.claim_name.clone());
    Some(named.unwrap_or_else(|| context.name("csv")))
}

fn csv<'a>(context: &'a Context<'_>) -> Option<&'a CsvSpec> {
    context.monitor.spec.storage.as_ref()?.csv.as_ref()
}
