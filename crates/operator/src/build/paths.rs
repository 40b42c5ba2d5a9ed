//! Where things are in a pod.

use pricemonitor_config::spec::FileSpec;

/// Folder of the manifest.
pub const MANIFEST_DIR: &str = "/etc/pricemonitor";
/// Folder of the Secrets and ConfigMaps that are read.
pub const SECRETS_DIR: &str = "/var/run/pricemonitor/secrets";
/// Folder of what is kept, of the storage worker with a CSV file.
pub const DATA_DIR: &str = "/var/lib/pricemonitor";
/// Folder with one folder for each file source.
pub const SOURCES_DIR: &str = "/var/run/pricemonitor/sources";
/// Port of metrics and probes, and of the page.
pub const PORT: i32 = 9464;

/// The last part of a file source's path: its key in a ConfigMap.
pub fn file_name(file: &FileSpec) -> &str {
    file.path.rsplit('/').next().unwrap_or(&file.path)
}

/// Where a pod finds the file of a source. Of a ConfigMap it is the one key; of a claim the way within.
pub fn source_file(source: &str, file: &FileSpec) -> String {
    let claim = file.volume.as_ref().is_some_and(|volume| volume.persistent_volume_claim.is_some());
    let within = if claim { file.path.trim_start_matches("./") } else { file_name(file) };
    format!("{SOURCES_DIR}/{source}/{within}")
}
