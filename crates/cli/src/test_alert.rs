//! `pricemonitor test-alert`.

use pricemonitor_notify::Outcome;
use pricemonitor_workers::now;

use crate::args::TestAlertArgs;
use crate::exit::{Failure, Result};
use crate::input::{self, Loaded};
use crate::out::say;

/// Sends a test message to each channel, or shows it.
pub(crate) fn run(args: &TestAlertArgs) -> Result<()> {
    let loaded = input::manifests(&args.files)?;
    let secrets = input::secrets(&args.secrets)?;
    let mut channels = Vec::new();
    for Loaded { monitor, .. } in &loaded {
        let wanted = |name: &str| args.channel.as_deref().is_none_or(|only| only == name);
        channels.extend(monitor.channels.iter().filter(|c| wanted(&c.name)).map(|c| (&monitor.id, c)));
    }
    if channels.is_empty() {
        return Err(Failure::input(none_there(&loaded, args.channel.as_deref())));
    }
    let runtime = input::small_runtime()?;
    let mut failed = Vec::new();
    for (monitor, settings) in channels {
        let channel = match pricemonitor_notify::build(settings, &secrets) {
            Ok(channel) => channel,
            Err(error) => {
                failed.push(format!("{}: {error}", settings.name));
                continue;
            }
        };
        let alert = pricemonitor_notify::sample_alert(monitor, now());
        if args.dry_run {
            say!("{} would get:\n{}", settings.name, channel.preview(&[alert]))?;
            continue;
        }
        match runtime.block_on(channel.send(&[alert], now())).outcome {
            Outcome::Delivered { message_id: Some(id) } => {
                say!("{}: delivered (message {id})", settings.name)?;
            }
            Outcome::Delivered { message_id: None } => say!("{}: delivered", settings.name)?,
            Outcome::Retry { reason } | Outcome::Refused { reason } => {
                failed.push(format!("{}: {reason}", settings.name))
            }
            Outcome::Ambiguous { reason } => {
                failed.push(format!("{}: it may have arrived: {reason}", settings.name))
            }
            Outcome::Gone { reason } => {
                failed.push(format!("{}: the channel does not exist: {reason}", settings.name))
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::input(failed.join("\nerror: "))) }
}

fn none_there(loaded: &[Loaded], wanted: Option<&str>) -> String {
    let names: Vec<&str> =
        loaded.iter().flat_map(|one| &one.monitor.channels).map(|channel| channel.name.as_str()).collect();
    match wanted {
        Some(name) if !names.is_empty() => {
            format!("there is no channel `{name}`; there is: {}", names.join(", "))
        }
        _ => "the manifest has no channel: add one under spec.channels".to_owned(),
    }
}
