//! Reading manifests and secrets.

use std::io::Read;
use std::path::{Path, PathBuf};

use pricemonitor_config::{ChannelSettings, Monitor, SecretString, Secrets};

use crate::args::{Files, SecretArgs, discord_is_given, secret_variables};
use crate::exit::{Failure, Result};

/// Most bytes of a manifest.
const LONGEST: u64 = 4 * 1024 * 1024;

/// A monitor and the folder that its input paths are relative to.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The monitor.
    pub(crate) monitor: Monitor,
    /// What its manifest is called.
    pub(crate) origin: String,
    /// The manifest's folder.
    pub(crate) base_dir: PathBuf,
}

/// Reads every manifest; all errors of all files at once. A monitor that names no channel has Discord, if
/// the environment says where that is.
pub(crate) fn manifests(files: &Files) -> Result<Vec<Loaded>> {
    let mut loaded: Vec<Loaded> = Vec::new();
    let mut errors = Vec::new();
    for file in &files.files {
        match manifest(file) {
            Ok(more) => loaded.extend(more),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(Failure::input(errors.join("\nerror: ")));
    }
    if discord_is_given() {
        let silent = loaded.iter_mut().filter(|one| one.monitor.channels.is_empty());
        silent.for_each(|one| one.monitor.channels.push(ChannelSettings::discord()));
    }
    let clashes = pricemonitor_config::clashes(loaded.iter().map(|one| (one.origin.as_str(), &one.monitor)));
    if !clashes.is_empty() {
        return Err(Failure::input(clashes.join("\nerror: ")));
    }
    Ok(loaded)
}

fn manifest(file: &Path) -> std::result::Result<Vec<Loaded>, String> {
    let (origin, base_dir) = if file == Path::new("-") {
        ("standard input".to_owned(), PathBuf::from("."))
    } else {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        (file.display().to_string(), parent.unwrap_or(Path::new(".")).to_owned())
    };
    let bytes = read(file).map_err(|error| format!("cannot read {origin}: {error}"))?;
    let text = pricemonitor_config::read::utf8(&bytes, &origin).map_err(|problems| problems.to_string())?;
    let monitors = pricemonitor_config::load(text, &origin).map_err(|problems| problems.to_string())?;
    Ok(monitors
        .into_iter()
        .map(|monitor| Loaded { monitor, origin: origin.clone(), base_dir: base_dir.clone() })
        .collect())
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LONGEST {
        return Err(std::io::Error::other(format!(
            "it has more than {LONGEST} bytes, too many for a manifest"
        )));
    }
    Ok(bytes)
}

/// Where secrets are found.
pub(crate) fn secrets(args: &SecretArgs) -> Result<Secrets> {
    if let Some(dir) = &args.secrets_dir
        && !dir.is_dir()
    {
        return Err(Failure::input(format!("--secrets-dir {}: there is no such folder", dir.display())));
    }
    let variables = secret_variables().map(|(name, value)| (name, SecretString::new(value))).collect();
    Ok(Secrets { dir: args.secrets_dir.clone(), variables })
}

/// A runtime for commands that only wait for something.
pub(crate) fn small_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::runtime)
}
