//! A terminal in the project's folder: commands of documents and scripts run in it as people type them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::process::{Finished, Process};

/// Parts of the project that commands name. They are copied: what a command writes stays here.
const COPIED: [&str; 5] = ["charts", "docker", "docs", "examples", "manifests"];
/// Folder of the programs that come first on the path.
const PROGRAMS: &str = ".programs";

/// Variables of this process that are known in it, beside `PATH`; the last one is how `cargo xtask test` finds what a
/// test has left behind.
const KEPT: [&str; 3] = ["HOME", "TMPDIR", "PRICEMONITOR_TEST_RUN"];

/// A folder that looks like the project's, with a shell that knows next to nothing of this process' variables.
#[derive(Debug)]
pub struct Terminal {
    place: Place,
    variables: Vec<(String, String)>,
}

impl Terminal {
    /// Opens one; `root` is the project's folder.
    ///
    /// # Errors
    /// When a part of the project cannot be copied.
    pub fn open(root: &Path) -> Result<Terminal> {
        let place = Place::new()?;
        for part in COPIED {
            let from = root.join(part);
            if from.exists() {
                copy(&from, &place.at(part)).with_context(|| format!("copying {}", from.display()))?;
            }
        }
        fs::create_dir_all(place.at(PROGRAMS))?;
        Ok(Terminal { place, variables: Vec::new() })
    }

    /// Its folder.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Makes a program of this machine known by a name.
    ///
    /// # Errors
    /// When there is no such program, or another one has the name.
    pub fn program(&self, name: &str, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if !path.exists() {
            bail!("there is no program {}", path.display());
        }
        let link = self.place.at(PROGRAMS).join(name);
        symlink(path, &link).with_context(|| format!("linking {}", link.display()))
    }

    /// Makes a script for `sh` known by a name, instead of what had it: what stands in for a program that cannot be run
    /// here.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn stand_in(&self, name: &str, script: &str) -> Result<()> {
        let name = Path::new(PROGRAMS).join(name);
        // Not through a link, into the program itself.
        match fs::remove_file(self.place.at(&name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let path = self.place.write(&name, format!("#!/bin/sh\nset -eu\n{script}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Starts what stands in `text`, with nothing to read, and does not wait. The first command that fails
    /// ends it.
    ///
    /// # Errors
    /// When the shell cannot be started.
    pub fn start(&self, text: &str) -> Result<Process> {
        Process::start(self.shell().args(["-euc", text]))
    }

    /// Runs what stands in `text` to its end, with `input` to read; what came of it, also when it failed.
    ///
    /// # Errors
    /// When it takes longer than `within`.
    pub fn try_run(&self, text: &str, input: &str, within: Duration) -> Result<Finished> {
        let path = self.place.write(".input", input)?;
        let input = Stdio::from(fs::File::open(path)?);
        let process = Process::start_with(self.shell().args(["-euc", text]), input)?;
        process.wait(within).with_context(|| format!("typing:\n{text}"))
    }

    /// As [`Terminal::try_run`], without input; what it wrote to standard output.
    ///
    /// # Errors
    /// Also when it fails; the message holds what it wrote.
    pub fn run(&self, text: &str, within: Duration) -> Result<String> {
        let finished = self.try_run(text, "", within)?;
        if !finished.status.success() {
            bail!("it failed ({}):\n{text}\nit wrote:\n{}", finished.status, finished.output.all());
        }
        Ok(finished.output.stdout)
    }

    fn shell(&self) -> Command {
        let mut shell = Command::new("sh");
        let kept = KEPT.map(|name| (name, std::env::var_os(name)));
        let path = std::env::var("PATH").unwrap_or_default();
        shell.current_dir(self.place.path()).env_clear();
        shell.env("PATH", format!("{}:{path}", self.place.at(PROGRAMS).display()));
        shell.envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        shell
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
