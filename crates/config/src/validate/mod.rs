//! What a manifest means: every value judged, defaults filled in, everything wrong told at once.
//! Pure: no file, no network, no clock.

mod channels;
mod cluster;
mod rules;
mod sources;
mod values;
mod workers;

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use pricemonitor_model::MonitorId;

use crate::nearest::shown;
use crate::problem::Problem;
use crate::secrets::{SecretRef, SecretValue};
use crate::settings::{CsvSettings, Monitor};
use crate::spec::{PriceMonitor, StorageSpec};

/// How long history is kept when the manifest does not say.
const RETENTION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a duration as the manifest writes it, such as `10s` or `1h30m`, of at most 36500 days.
///
/// # Errors
/// What a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    values::duration(text, "0s", "36500d")
}

impl PriceMonitor {
    /// The monitor that this manifest describes, defaults filled in.
    ///
    /// # Errors
    /// Everything that is wrong, each with its path; lines are not known here ([`crate::load`]
    /// adds them).
    pub fn settings(&self) -> Result<Monitor, Vec<Problem>> {
        let mut checks = Checks::default();
        let metadata = &self.metadata;
        checks.take("metadata.name", values::name(&metadata.name));
        if let Some(namespace) = &metadata.namespace {
            checks.take("metadata.namespace", values::name(namespace));
        }
        let spec = &self.spec;
        let (sources, valid) = sources::settings(&mut checks, &spec.sources);
        let channels = channels::settings(&mut checks, &spec.channels);
        let rules = rules::settings(&mut checks, spec);
        let log = cluster::settings(&mut checks, spec.kafka.as_ref());
        let (csv, retention) = storage(&mut checks, spec.storage.as_ref(), &metadata.name);
        workers::check(&mut checks, spec);
        if !checks.problems.is_empty() {
            return Err(checks.problems);
        }
        Ok(Monitor {
            id: MonitorId::new(metadata.namespace.as_deref(), &metadata.name),
            generation: metadata.generation.unwrap_or(0),
            sources,
            rules,
            channels,
            admission: pricemonitor_model::Admission { valid, partitions: log.checked_partitions() },
            partitions: log.partitions,
            topics: log.topics,
            key: log.key,
            kafka: log.kafka,
            postgres: spec.storage.as_ref().and_then(|storage| storage.postgres.clone()),
            csv,
            retention,
            suspend: spec.suspend,
            cluster_only: self.cluster_only(),
        })
    }
}

fn storage(
    checks: &mut Checks,
    storage: Option<&StorageSpec>,
    name: &str,
) -> (Option<CsvSettings>, Duration) {
    let Some(storage) = storage else { return (None, RETENTION) };
    let retention =
        checks.duration("spec.storage.retention", &storage.retention, RETENTION, ("1h", "36500d"));
    if let Some(postgres) = &storage.postgres {
        cluster::postgres(checks, postgres);
    }
    let csv = storage.csv.as_ref().and_then(|csv| {
        if let Some(volume) = &csv.volume {
            workers::csv_volume(checks, volume);
        }
        let path = checks.take("spec.storage.csv.path", values::csv_path(&csv.path));
        let source = csv.source.as_deref().unwrap_or(name);
        let source = checks.take("spec.storage.csv.source", values::line(source, 1, 253));
        Some(CsvSettings { path: path?, source: source? })
    });
    (csv, retention)
}

/// Problems as they are found.
#[derive(Debug, Default)]
struct Checks {
    problems: Vec<Problem>,
}

impl Checks {
    /// Tells a problem.
    fn tell(&mut self, path: impl Display, message: impl Into<String>) {
        self.problems.push(Problem::new(path.to_string(), message));
    }

    /// The value, or its error told at `path`.
    fn take<T>(&mut self, path: impl Display, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.tell(path, message)).ok()
    }

    /// An optional duration within `bounds`, both ends included; `default` stands in for a wrong
    /// one, which is told.
    fn duration(
        &mut self,
        path: impl Display,
        text: &Option<String>,
        default: Duration,
        bounds: (&str, &str),
    ) -> Duration {
        let Some(text) = text else { return default };
        self.take(path, values::duration(text, bounds.0, bounds.1)).unwrap_or(default)
    }

    /// An optional size.
    fn size(&mut self, path: impl Display, text: &Option<String>) -> u64 {
        const DEFAULT: u64 = 10 * 1024 * 1024;
        let Some(text) = text else { return DEFAULT };
        self.take(path, values::size(text)).unwrap_or(DEFAULT)
    }

    /// A reference to a secret at `path` (which names the member that holds `secretKeyRef`).
    fn secret(&mut self, path: impl Display, value: &SecretValue) -> Option<SecretRef> {
        let path = format!("{path}.secretKeyRef");
        values::secret(&value.secret_key_ref)
            .map_err(|(member, message)| self.tell(format_args!("{path}.{member}"), message))
            .ok()
    }

    /// Names of a list: valid and each once.
    fn names<'a>(&mut self, list: &str, most: usize, names: impl Iterator<Item = &'a str>) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut count = 0;
        for (n, name) in names.enumerate() {
            count = n + 1;
            let path = format!("{list}[{n}].name");
            self.take(&path, values::name(name));
            if let Some(first) = seen.get(name) {
                self.tell(
                    &path,
                    format!("`{}` is the name of {list}[{first}] too: names must differ", shown(name)),
                );
            } else {
                seen.insert(name, n);
            }
        }
        if count > most {
            self.tell(list, format!("has {count} entries, at most {most} are allowed"));
        }
    }
}

/// Which one of some alternatives is there.
///
/// # Errors
/// None or several: the end of a sentence that starts with the path.
fn exactly_one<'a>(what: &str, kinds: &[(&'a str, bool)]) -> Result<&'a str, String> {
    let known = crate::nearest::listed(kinds.iter().map(|(name, _)| *name));
    let mut given = kinds.iter().filter(|(_, given)| *given).map(|(name, _)| *name);
    match (given.next(), given.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("needs exactly one {what}: {}", known.replace(" and ", " or "))),
        (Some(one), Some(two)) => Err(format!("has both `{one}` and `{two}`: keep exactly one {what}")),
    }
}

#[cfg(test)]
mod tests;
