//! Helm: what a test says is what a person at a terminal says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Kubectl;
use crate::place::Place;
use crate::process::{Finished, Process};
use crate::provisioned::HELM;

/// One call; what it waits for itself must be less.
const LIMIT: Duration = Duration::from_secs(180);

/// Helm, for a cluster or without one. What it keeps of itself lies in a folder that goes with it.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    config: Option<PathBuf>,
    place: Place,
}

impl Helm {
    /// For what needs no cluster.
    ///
    /// # Errors
    /// When it was not built, or a folder cannot be made.
    pub fn alone() -> Result<Helm> {
        Ok(Helm { program: HELM.provided()?.join("bin/helm"), config: None, place: Place::new()? })
    }

    /// For the cluster of `user`.
    ///
    /// # Errors
    /// As for [`Helm::alone`].
    pub fn of(user: &Kubectl) -> Result<Helm> {
        Ok(Helm { config: Some(user.kubeconfig().to_owned()), ..Helm::alone()? })
    }

    /// A folder for what a test writes.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Runs it; what came of it, also when it failed.
    ///
    /// # Errors
    /// When it cannot be started or takes longer than three minutes.
    pub fn try_run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut helm = Command::new(&self.program);
        // Nothing of the user's: no repositories, no plugins, no cluster.
        for (name, folder) in [("CACHE", "cache"), ("CONFIG", "config"), ("DATA", "data")] {
            helm.env(format!("HELM_{name}_HOME"), self.place.at(folder));
        }
        helm.env("KUBECONFIG", self.config.as_deref().unwrap_or(Path::new("/dev/null")));
        Process::start(helm.args(arguments))?.wait(LIMIT).context("helm")
    }

    /// As [`Helm::try_run`]; what it wrote to standard output.
    ///
    /// # Errors
    /// Also when it fails; the message holds what it wrote.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.try_run(arguments)?;
        if !finished.status.success() {
            bail!("helm {} failed ({}):\n{}", arguments.join(" "), finished.status, finished.output.all());
        }
        Ok(finished.output.stdout)
    }

    /// What it says when it must fail.
    ///
    /// # Errors
    /// When it does not fail.
    pub fn refused(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.try_run(arguments)?;
        if finished.status.success() {
            bail!("helm {} was to fail:\n{}", arguments.join(" "), finished.output.all());
        }
        Ok(finished.output.all())
    }
}
