//! Writing records as somebody else's client would.

use std::hash::{BuildHasher as _, RandomState};

use pricemonitor_model::Time;

use super::log::Shared;
use super::transaction::Transactions;
use crate::layout::open_to_all;
use crate::{Appended, Error, Result, Topic, Write};

pub(super) fn put(log: &Shared, records: &[(Topic, Write)]) -> Result<Appended> {
    for (topic, write) in records {
        open_to_all(*topic)?;
        if write.partition.is_some_and(|partition| partition >= log.partitions(*topic)) {
            return Err(Error::Worker(format!(
                "`{}` has no partition {}, only {}",
                log.name(*topic),
                write.partition.unwrap_or_default(),
                log.partitions(*topic)
            )));
        }
    }
    // Nobody else's id: whoever puts something back fences nobody, not even another one who does.
    let random = RandomState::new().hash_one(std::process::id());
    let transactions = Transactions::open(&log.connection, &format!("{}.put.{random:016x}", log.id))?;
    transactions.begin()?;
    let sent = records.iter().try_for_each(|(topic, write)| {
        transactions.send(log.name(*topic), write.partition, write.key.as_deref(), write.value.as_deref())
    });
    match sent.and_then(|()| transactions.commit_alone()) {
        Ok(at) => Ok(Appended { at: at.unwrap_or(Time::from_millis(0)), records: records.len() }),
        Err(error) => {
            transactions.abort();
            Err(error)
        }
    }
}
