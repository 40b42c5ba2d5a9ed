//! A machine apart, on this one: namespaces of its own for what writes rules of a firewall, mounts and starts processes
//! at will (a node of Kubernetes, a container engine), one cable between the two, and control groups that go with it.
//! There is one at a time.

pub(crate) mod cable;
pub(crate) mod cgroup;
pub(crate) mod namespaces;
mod turn;

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Process;
pub(crate) use namespaces::Namespaces;
pub(crate) use turn::{Turn, turn};

/// Why this machine can have none; `None` where it can. `tools` are the programs that it takes, which may be missing
/// where `apt-get` installs them.
pub(crate) fn obstacle(tools: &[&str]) -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it is not Linux".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make namespaces and control groups".to_owned());
    }
    // Where there is apt-get, provisioning has installed them, or has said why not.
    let missing: Vec<_> = tools.iter().copied().filter(|tool| !is_there(tool)).collect();
    if !missing.is_empty() && !is_there("apt-get") {
        return Some(format!("{} missing, and there is no apt-get to install them", missing.join(", ")));
    }
    let spaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"];
    if let Err(error) = tool(&spaces) {
        return Some(format!("no namespaces can be made ({error:#})"));
    }
    cgroup::Tree::probe().err().map(|error| format!("no control groups can be made ({error:#})"))
}

pub(crate) fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|it| it.join(program).is_file()))
}

/// A tool of the system, which ends at once; what it wrote to standard output.
pub(crate) fn tool(words: &[&str]) -> Result<String> {
    let (program, arguments) = words.split_first().context("no tool is named")?;
    let finished = Process::start(std::process::Command::new(program).args(arguments))?
        .wait(Duration::from_secs(20))
        .with_context(|| words.join(" "))?;
    if !finished.status.success() {
        bail!("{} failed ({}): {}", words.join(" "), finished.status, finished.output.all().trim());
    }
    Ok(finished.output.stdout)
}
