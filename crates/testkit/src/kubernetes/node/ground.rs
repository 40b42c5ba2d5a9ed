//! Whether this machine can have a real node, and whose turn it is.

use std::env;
use std::fs::{self, File, TryLockError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{cgroup, tool};
use crate::provisioned::{NODE_TOOLS, cache};

/// How long another test may have its node.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Why this machine can have no real node; `None` where it can, and where [`super::RealNode::start`] must work
/// once `cargo xtask provision etcd kube node` has.
pub fn obstacle() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it is not Linux".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make the namespaces and control groups of a node".to_owned());
    }
    // Where there is apt-get, provisioning has installed them, or has said why not.
    let missing: Vec<_> = NODE_TOOLS.into_iter().filter(|tool| !is_there(tool)).collect();
    if !missing.is_empty() && !is_there("apt-get") {
        return Some(format!("{} missing, and there is no apt-get to install them", missing.join(", ")));
    }
    let spaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"];
    if let Err(error) = tool(&spaces) {
        return Some(format!("no namespaces can be made ({error:#})"));
    }
    cgroup::Tree::probe().err().map(|error| format!("no control groups can be made ({error:#})"))
}

fn is_there(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|it| it.join(program).is_file()))
}

/// The right to have a node, until the value is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: File,
}

/// Waits for it.
pub(super) fn turn() -> Result<Turn> {
    let folder = cache()?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(".node-in-use.lock");
    let lock = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Turn { _lock: lock }),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::WouldBlock) => bail!(
                "another test has had a real node for {} minutes: end the process that holds {}",
                PATIENCE.as_secs() / 60,
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
    }
}
