//! The control groups of a machine apart: in every hierarchy a tree of our own, which is gone when the machine is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait;

/// Where the system has its control groups.
const ROOT: &str = "/sys/fs/cgroup";
/// What the names of the trees begin with.
const PREFIX: &str = "pricemonitor-";
/// The kernel takes a moment to see that a group is empty.
const EMPTY: Duration = Duration::from_secs(20);

/// The tree, until the value is dropped.
#[derive(Debug)]
pub(crate) struct Tree(String);

impl Tree {
    /// Makes it, in place of what a test left that was killed.
    pub(crate) fn new(whose: &str) -> Result<Tree> {
        let name = format!("{PREFIX}{whose}");
        remove(&name)?;
        make(&name)?;
        Ok(Tree(name))
    }

    /// Its name below the top of every hierarchy.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Whether one can be made.
    pub(crate) fn probe() -> Result<()> {
        let name = format!("{PREFIX}probe-{}", std::process::id());
        let made = make(&name);
        remove(&name)?;
        made
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            eprintln!("testkit: {error:#}");
        }
    }
}

/// The tops of all hierarchies: one, or of the first version one for each controller or so.
fn tops() -> Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let mut tops = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("reading {ROOT}"))? {
        let entry = entry?;
        // Links (`cpuacct` to `cpu,cpuacct`) lead to what is counted anyway.
        if entry.file_type()?.is_dir() && entry.path().join("cgroup.procs").exists() {
            tops.push(entry.path());
        }
    }
    if tops.is_empty() {
        bail!("there are no control groups in {ROOT}");
    }
    Ok(tops)
}

fn make(name: &str) -> Result<()> {
    for top in tops()? {
        let group = top.join(name);
        fs::create_dir_all(&group).with_context(|| format!("making {}", group.display()))?;
        if top == Path::new(ROOT) {
            // What is below may be limited. Those of the top may be in use by the system already.
            for controller in fs::read_to_string(top.join("cgroup.controllers"))?.split_whitespace() {
                for folder in [&top, &group] {
                    let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
                }
            }
        }
        // Without processors and memory of its own, no process can be put into one of these.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if top != Path::new(ROOT)
                && let Ok(whole) = fs::read(top.join(file))
            {
                fs::write(group.join(file), whole).with_context(|| format!("writing {file} of {name}"))?;
            }
        }
    }
    Ok(())
}

/// Removes the tree of every hierarchy; all its processes have been killed before.
fn remove(name: &str) -> Result<()> {
    let left = || -> Vec<PathBuf> {
        let groups = tops().unwrap_or_default().into_iter().map(|top| top.join(name));
        groups.filter(|group| group.exists() && !remove_below(group)).collect()
    };
    wait::until("the control groups of a machine apart to be empty", EMPTY, || left().is_empty())
        .with_context(|| format!("{:?} still hold processes", left()))
}

/// Removes a group and those below; whether it is gone. The files in it go with it.
fn remove_below(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok()
}
