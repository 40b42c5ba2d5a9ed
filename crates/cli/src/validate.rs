//! `pricemonitor validate`.

use std::path::Path;

use pricemonitor_config::SourceSettings;
use pricemonitor_model::Observation;
use pricemonitor_workers::now;

use crate::args::ValidateArgs;
use crate::exit::{Failure, Result};
use crate::input::{self, Loaded};
use crate::out::say;

/// Most observations of a sample that are shown.
const SHOWN: usize = 20;

/// Checks manifests, and shows what a reader makes of a sample.
pub(crate) fn run(args: &ValidateArgs) -> Result<()> {
    let loaded = input::manifests(&args.files)?;
    check_sources(&loaded)?;
    for Loaded { monitor, .. } in &loaded {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        say!(
            "{}: valid ({}, {}, {})",
            monitor.id.name(),
            count(monitor.sources.len(), "source"),
            count(monitor.rules.len(), "rule"),
            count(monitor.channels.len(), "channel"),
        )?;
    }
    match &args.sample {
        Some(sample) => show_sample(sample, pick(&loaded, args.source.as_deref())?),
        None => Ok(()),
    }
}

/// What only the sources themselves can judge: jq filters, paths.
fn check_sources(loaded: &[Loaded]) -> Result<()> {
    let mut errors = Vec::new();
    for Loaded { monitor, base_dir, .. } in loaded {
        for source in &monitor.sources {
            if let Err(why) = pricemonitor_sources::check(source, base_dir) {
                errors.push(format!("{}, source `{}`: {why}", monitor.id.name(), source.name));
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::input(errors.join("\nerror: "))) }
}

fn pick<'l>(loaded: &'l [Loaded], name: Option<&str>) -> Result<&'l SourceSettings> {
    let all: Vec<&SourceSettings> = loaded.iter().flat_map(|one| &one.monitor.sources).collect();
    let names = || all.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => all
            .iter()
            .find(|source| source.name == name)
            .copied()
            .ok_or_else(|| Failure::input(format!("there is no source `{name}`; there is: {}", names()))),
        None if all.len() == 1 => Ok(all[0]),
        None => Err(Failure::input(format!("say with --source whose reader takes the sample: {}", names()))),
    }
}

fn show_sample(sample: &Path, source: &SourceSettings) -> Result<()> {
    let document = std::fs::read(sample)
        .map_err(|error| Failure::input(format!("cannot read the sample {}: {error}", sample.display())))?;
    let observations = pricemonitor_sources::sample(source, &document, now())
        .map_err(|error| Failure::input(format!("{}: {error}", sample.display())))?;
    say!("\n{} makes {} observations of {}:", source.name, observations.len(), sample.display())?;
    for observation in observations.iter().take(SHOWN) {
        say!("  {}", line(observation))?;
    }
    if observations.len() > SHOWN {
        say!("  ... and {} more", observations.len() - SHOWN)?;
    }
    Ok(())
}

fn line(o: &Observation<'_>) -> String {
    let mut line = format!("{}  {} {}", o.item, o.price, o.unit_or_currency());
    if let Some(slot) = o.slot {
        line.push_str(&format!("  {} .. {}", slot.start, slot.end));
    }
    for (name, value) in o.labels.iter() {
        line.push_str(&format!("  {name}={value}"));
    }
    line
}
