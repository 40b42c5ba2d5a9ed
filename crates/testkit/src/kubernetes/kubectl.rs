//! The client that people use: what a test says and sees is what they say and see.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process::{Finished, Process};
use crate::provisioned::KUBE;
use crate::server::joined;

/// One call; what it waits for itself must be less.
const LIMIT: Duration = Duration::from_secs(150);

/// kubectl as somebody.
#[derive(Clone, Debug)]
pub struct Kubectl {
    config: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    pub(super) fn new(config: PathBuf) -> Result<Kubectl> {
        // What it finds out about the API it would keep below the user's home.
        let cache = config.with_extension("cache");
        fs::create_dir_all(&cache).context("making kubectl's cache")?;
        Ok(Kubectl { config, cache })
    }

    /// File with the address of the API and the credentials, for other programs.
    pub fn kubeconfig(&self) -> &Path {
        &self.config
    }

    /// Starts it, without input, and does not wait: for a watch.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Result<Process> {
        Process::start(self.command()?.args(arguments))
    }

    fn command(&self) -> Result<Command> {
        let mut kubectl = Command::new(KUBE.provided()?.join("bin/kubectl"));
        kubectl.arg(joined("--kubeconfig=", &self.config)).arg(joined("--cache-dir=", &self.cache));
        Ok(kubectl)
    }

    /// Runs it, with `input` to read from; what came of it, also when it failed.
    ///
    /// # Errors
    /// When it cannot be started or takes longer than 150 s.
    pub fn try_run(&self, arguments: &[&str], input: Option<&str>) -> Result<Finished> {
        let input = input.map(file).transpose()?.map_or_else(Stdio::null, Stdio::from);
        Process::start_with(self.command()?.args(arguments), input)?.wait(LIMIT).context("kubectl")
    }

    /// As [`Kubectl::try_run`]; what it wrote to standard output.
    ///
    /// # Errors
    /// Also when it fails; the message holds what it wrote.
    pub fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let finished = self.try_run(arguments, input)?;
        if !finished.status.success() {
            bail!("kubectl {} failed ({}):\n{}", arguments.join(" "), finished.status, finished.output.all());
        }
        Ok(finished.output.stdout)
    }

    /// Applies documents of YAML on the server's side, as the field manager `testkit`; a field that the
    /// server does not know is an error.
    ///
    /// # Errors
    /// When one is refused; the others are applied.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        let arguments = ["apply", "--server-side", "--field-manager=testkit", "--validate=strict", "-f", "-"];
        self.run(&arguments, Some(yaml)).map(drop)
    }

    /// The objects of documents of YAML as the server would have them; nothing is written.
    ///
    /// # Errors
    /// As for [`Kubectl::apply`].
    pub fn dry_run(&self, yaml: &str) -> Result<Vec<Value>> {
        let dry = ["apply", "--dry-run=server", "--validate=strict", "--server-side", "--force-conflicts"];
        let told = self.run(&[&dry[..], &["-o", "json", "-f", "-"]].concat(), Some(yaml))?;
        let told: Value = serde_json::from_str(&told)?;
        Ok(told["items"].as_array().cloned().unwrap_or_else(|| vec![told]))
    }

    /// As [`Kubectl::apply`], of objects.
    ///
    /// # Errors
    /// As for [`Kubectl::apply`].
    pub fn apply_all(&self, objects: &[Value]) -> Result<()> {
        self.apply(&list(objects))
    }

    /// `kubectl get` with these arguments: the object, or a list with `items`.
    ///
    /// # Errors
    /// When there is no such object, or it may not be read.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[&["get", "--output=json"], arguments].concat(), None)?;
        serde_json::from_str(&text).context("kubectl get wrote no JSON")
    }
}

/// Objects as one document that `kubectl apply -f -` takes.
pub fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// A file without a name that holds `content`, read from its start.
fn file(content: &str) -> Result<fs::File> {
    let mut file = tempfile::tempfile().context("making kubectl's input")?;
    file.write_all(content.as_bytes()).and_then(|()| file.rewind()).context("writing kubectl's input")?;
    Ok(file)
}
