//! Who of a group's members works on which partition.
//!
//! Members are sorted by instance and get equal ranges. A partition changes hands in two steps, as
//! with Kafka's cooperative protocol: its owner lets go between two transactions, then the new one
//! takes it. A second member with the same instance takes the first one's place at once, and the
//! first is fenced.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use super::core::locked;
use super::monitor::Monitor;
use crate::{Error, Member, Result, Topic};

/// The groups of one monitor.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    last_id: u64,
    groups: HashMap<(String, Topic), Group>,
}

#[derive(Debug)]
struct Group {
    members: BTreeMap<String, u64>,
    owners: Vec<Option<u64>>,
}

impl Group {
    fn entitled(&self, partition: usize) -> Option<u64> {
        self.members.values().nth(partition * self.members.len() / self.owners.len().max(1)).copied()
    }

    fn release_all(&mut self, id: u64) {
        for owner in self.owners.iter_mut().filter(|owner| **owner == Some(id)) {
            *owner = None;
        }
    }
}

/// One member's place in its group; given up when dropped.
#[derive(Debug)]
pub(super) struct Membership {
    monitor: Arc<Monitor>,
    key: (String, Topic),
    instance: String,
    id: u64,
}

/// Partitions to let go and partitions that are now this member's.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Still owned until [`Membership::release`].
    pub(super) lost: Vec<u32>,
    pub(super) gained: Vec<u32>,
}

impl Membership {
    pub(super) fn join(monitor: &Arc<Monitor>, member: &Member, topic: Topic) -> Membership {
        let partitions = monitor.topic(topic).partitions as usize;
        let key = (member.group.clone(), topic);
        let mut registry = locked(&monitor.groups.0);
        registry.last_id += 1;
        let id = registry.last_id;
        let group = registry
            .groups
            .entry(key.clone())
            .or_insert_with(|| Group { members: BTreeMap::new(), owners: vec![None; partitions] });
        if let Some(before) = group.members.insert(member.instance.clone(), id) {
            group.release_all(before);
        }
        drop(registry);
        monitor.bell.ring();
        Membership { monitor: monitor.clone(), key, instance: member.instance.clone(), id }
    }

    pub(super) fn group(&self) -> &str {
        &self.key.0
    }

    /// What changed since the last call. Gained partitions are owned from here on.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another one has taken this member's place.
    pub(super) fn changes(&self) -> Result<Changes> {
        let mut changes = Changes::default();
        self.with(|group, id| {
            for partition in 0..group.owners.len() {
                let entitled = group.entitled(partition) == Some(id);
                match group.owners[partition] {
                    Some(owner) if owner == id && !entitled => changes.lost.push(partition as u32),
                    None if entitled => {
                        group.owners[partition] = Some(id);
                        changes.gained.push(partition as u32);
                    }
                    _ => {}
                }
            }
        })?;
        Ok(changes)
    }

    /// Whether the member should go on with `partition`.
    ///
    /// # Errors
    /// As for [`Membership::changes`].
    pub(super) fn keeps(&self, partition: u32) -> Result<bool> {
        let mut keeps = false;
        self.with(|group, id| {
            let at = partition as usize;
            keeps = group.owners.get(at) == Some(&Some(id)) && group.entitled(at) == Some(id);
        })?;
        Ok(keeps)
    }

    /// Lets go of partitions, so that others can have them.
    pub(super) fn release(&self, partitions: &[u32]) {
        // Who was fenced owns nothing to let go.
        let _ = self.with(|group, id| {
            for partition in partitions {
                if let Some(owner) = group.owners.get_mut(*partition as usize)
                    && *owner == Some(id)
                {
                    *owner = None;
                }
            }
        });
        self.monitor.bell.ring();
    }

    fn with(&self, look: impl FnOnce(&mut Group, u64)) -> Result<()> {
        let mut registry = locked(&self.monitor.groups.0);
        match registry.groups.get_mut(&self.key) {
            Some(group) if group.members.get(&self.instance) == Some(&self.id) => {
                look(group, self.id);
                Ok(())
            }
            _ => Err(self.fenced()),
        }
    }

    pub(super) fn fenced(&self) -> Error {
        Error::Fenced(format!(
            "another `{}` has taken this one's place in group `{}`: this one must end",
            self.instance, self.key.0
        ))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut registry = locked(&self.monitor.groups.0);
        if let Some(group) = registry.groups.get_mut(&self.key)
            && group.members.get(&self.instance) == Some(&self.id)
        {
            group.members.remove(&self.instance);
            group.release_all(self.id);
            if group.members.is_empty() {
                registry.groups.remove(&self.key);
            }
        }
        drop(registry);
        self.monitor.bell.ring();
    }
}
