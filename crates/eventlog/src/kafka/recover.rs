//! A fold goes on after its producer came to an end.
//!
//! That happens when another process took this member's place, but also when the cluster was away for longer than a
//! transaction may last: it gives the transaction up and its producer with it. The group knows which of the two it
//! is. And when the answer to a commit was lost, only the state partition says whether it happened.

use super::fold::{AGAIN, End, Folding};
use super::membership::Membership;
use super::scan;
use super::transaction::Transactions;
use crate::{Error, Fold, Result, Stop};

impl<F: Fold> Folding<'_, F> {
    /// Writes as the same name again, and finds out what became of the last transaction. Tries until `stop`.
    pub(super) fn recover(
        &mut self,
        membership: &Membership,
        why: &str,
        stop: &Stop,
    ) -> std::result::Result<(), End> {
        self.trouble(membership, why);
        loop {
            match self.try_to_recover(membership) {
                Ok(()) => return Ok(()),
                Err(Error::Retry(why)) => {
                    self.trouble(membership, &why);
                    if !stop.wait(AGAIN) {
                        continue;
                    }
                    self.decided(false);
                    return Ok(());
                }
                Err(error) => {
                    self.decided(false);
                    return Err(End::Engine(error));
                }
            }
        }
    }

    fn try_to_recover(&mut self, membership: &Membership) -> Result<()> {
        membership.is_mine(&self.positions())?;
        // Whoever comes after this fences us, and what was open is given up or ends.
        self.transactions = Transactions::open_for_many(&self.log.connection, &self.transactional_id)?;
        if let Some(reached) = self.unsure.clone() {
            let happened = self.happened(&reached)?;
            tracing::info!(
                monitor = %self.log.id,
                group = membership.group,
                "the transaction whose answer was lost was {}",
                if happened { "committed" } else { "given up" }
            );
            self.decided(happened);
            if happened {
                self.reached(reached);
                membership.is_mine(&self.positions())?;
            }
        }
        // After a long outage, as after a rebalance.
        self.log.check_life()?;
        self.rewind(membership)
    }

    /// Whether the transaction that would have brought partitions to where `reached` says was committed. It is one
    /// transaction, so one partition that is still this member's is enough.
    fn happened(&self, reached: &[(u32, u64)]) -> Result<bool> {
        for (partition, next) in reached {
            let meta = scan::meta(self.log, *partition, self.log.options.config_epoch)?;
            let stands = meta.map(|meta| meta.next_offset).or_else(|| self.stored.get(partition).copied());
            if stands == Some(*next) {
                return Ok(true);
            }
            if stands.is_some() && stands == self.stored.get(partition).copied() {
                return Ok(false);
            }
        }
        // Others went on with all of them: what is in memory is about to be dropped.
        Ok(false)
    }

    /// Tells the fold what became of the transaction, if it waits for that.
    fn decided(&mut self, happened: bool) {
        match self.unsure.take() {
            Some(_) if happened => self.fold.committed(),
            Some(_) => self.undo(),
            None => {}
        }
    }
}
