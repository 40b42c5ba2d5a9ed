//! The producer's door.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_model::partition::partition_of;

use super::commit::{Change, Claim};
use super::group::Membership;
use super::monitor::Monitor;
use crate::{Append, Appended, Error, Member, Ownership, Result, Sent, Topic, Write};

/// Appends with checkpoints. Its partitions become free when it is dropped.
#[derive(Debug)]
pub struct EmbeddedAppender {
    monitor: Arc<Monitor>,
    membership: Membership,
    owned: BTreeMap<u32, Claim>,
    told: bool,
}

impl EmbeddedAppender {
    pub(super) fn new(monitor: &Arc<Monitor>, member: &Member) -> EmbeddedAppender {
        let membership = Membership::join(monitor, member, Topic::Checkpoints);
        EmbeddedAppender { monitor: monitor.clone(), membership, owned: BTreeMap::new(), told: false }
    }

    fn gain(&mut self, partitions: Vec<u32>) -> Result<Ownership> {
        let gained = self.load(&partitions);
        if gained.is_err() {
            self.membership.release(&partitions);
            partitions.iter().for_each(|partition| {
                self.owned.remove(partition);
            });
        }
        let checkpoints = gained?;
        self.told = true;
        let of = self.monitor.topic(Topic::Checkpoints).partitions;
        Ok(Ownership::Gained { partitions, of, checkpoints })
    }

    fn load(&mut self, partitions: &[u32]) -> Result<Vec<(String, Vec<u8>)>> {
        let indexes: Vec<_> = partitions
            .iter()
            .map(|partition| (self.monitor.index(Topic::Checkpoints, *partition), None))
            .collect();
        if indexes.is_empty() {
            return Ok(Vec::new());
        }
        let claims = self.monitor.claim(self.membership.group(), &indexes)?;
        self.owned.extend(partitions.iter().copied().zip(claims));
        // The former owner is fenced now: what is read here is the last word.
        self.monitor.core.look(|conn| {
            let mut query = conn.prepare_cached("SELECT key, value FROM keyed WHERE stream = ?")?;
            let mut checkpoints = Vec::new();
            for (index, _) in &indexes {
                let mut rows = query.query([self.monitor.streams[*index].id])?;
                while let Some(row) = rows.next()? {
                    let source = String::from_utf8_lossy(row.get_ref(0)?.as_blob()?).into_owned();
                    checkpoints.push((source, row.get(1)?));
                }
            }
            Ok(checkpoints)
        })
    }
}

impl Append for EmbeddedAppender {
    fn poll(&mut self, wait: Duration) -> Result<Option<Ownership>> {
        let until = Instant::now() + wait;
        loop {
            let rung = self.monitor.bell.count();
            let mut changes = self.membership.changes()?;
            if !changes.lost.is_empty() {
                self.membership.release(&changes.lost);
                // What came at the same time is told at the next call.
                self.membership.release(&changes.gained);
                changes.lost.iter().for_each(|partition| {
                    self.owned.remove(partition);
                });
                return Ok(Some(Ownership::Lost { partitions: changes.lost }));
            }
            if !changes.gained.is_empty() || !self.told {
                return self.gain(std::mem::take(&mut changes.gained)).map(Some);
            }
            if !self.monitor.bell.wait(rung, until) {
                return Ok(None);
            }
        }
    }

    fn append(&mut self, source: &str, records: &[Write], checkpoint: Option<&[u8]>) -> Result<Appended> {
        let partition = partition_of(source.as_bytes(), self.monitor.topic(Topic::Checkpoints).partitions);
        // A member that was replaced hears that, not that the source is somebody else's.
        self.membership.keeps(partition)?;
        let Some(claim) = self.owned.get(&partition) else {
            return Err(Error::NotOwned(source.to_owned()));
        };
        let mut change = Change::default();
        for record in records {
            change.put(&self.monitor, &Sent::of(Topic::Raw, record), true)?;
        }
        if let Some(checkpoint) = checkpoint {
            change.checkpoints.push((claim.index, source.as_bytes().to_vec(), checkpoint.to_vec()));
        }
        change.moves.push((claim.clone(), claim.next));
        let at = self.monitor.commit(&mut change)?;
        Ok(Appended { at, records: records.len() })
    }
}
