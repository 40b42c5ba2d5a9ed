//! Alerts from the log into the outbox.

use std::collections::{BTreeMap, HashMap};
use std::slice;

use pricemonitor_eventlog::{Batch, Error, Position, Result, Sink};
use pricemonitor_model::{Alert, MonitorId, Transition, wire};
use pricemonitor_store::{Accepting, Claim, Database};
use tokio::runtime::Handle;

use super::Wake;
use crate::clock::now;
use crate::metrics::MonitorMetrics;
use crate::storage::{failed, position};

/// A channel, as far as accepting needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Name of the channel.
    pub channel: String,
    /// Whether it is told when a level is clear again.
    pub send_resolved: bool,
}

/// The sink of the alerts topic.
pub struct Acceptor {
    monitor: MonitorId,
    routes: Vec<Route>,
    database: Database,
    claims: HashMap<u32, Claim>,
    wake: Wake,
    runtime: Handle,
    metrics: MonitorMetrics,
}

impl Acceptor {
    /// A sink that wakes the senders through `wake` and waits for the database on `runtime`.
    pub fn new(
        monitor: MonitorId,
        routes: Vec<Route>,
        database: Database,
        wake: Wake,
        runtime: Handle,
        metrics: MonitorMetrics,
    ) -> Acceptor {
        Acceptor { monitor, routes, database, claims: HashMap::new(), wake, runtime, metrics }
    }

    /// Takes the alerts of several partitions, all in one call: of each its alerts and where it goes on behind them, both
    /// or neither. Tells for each how many are new.
    fn accept(&mut self, came: &[Came]) -> Vec<Result<u64>> {
        let mut claims: HashMap<u32, &mut Claim> =
            self.claims.iter_mut().map(|(partition, claim)| (*partition, claim)).collect();
        let mut accepting = Vec::with_capacity(came.len());
        for Came { partition, alerts, reached } in came {
            let Some(claim) = claims.remove(partition) else {
                let never = Error::Worker(format!("partition {partition} was never claimed"));
                return came.iter().map(|_| Err(never.clone())).collect();
            };
            let Position { incarnation, next_offset } = *reached;
            accepting.push(Accepting { claim, incarnation, partition: *partition, alerts, next_offset });
        }
        let accepted = self.runtime.block_on(self.database.accept_all(&mut accepting, now()));
        accepted.into_iter().map(|new| new.map_err(failed)).collect()
    }

    /// Counts what was accepted, and has it told.
    fn accepted(&self, came: &[Came], accepted: &[Result<u64>]) {
        let (mut rows, mut duplicates) = (0_u64, 0_u64);
        for (came, new) in came.iter().zip(accepted) {
            let Ok(new) = new else { continue };
            rows += new;
            duplicates += (came.alerts.len() as u64).saturating_sub(*new);
        }
        self.metrics.rows("alerts").inc_by(rows);
        self.metrics.duplicates("alerts").inc_by(duplicates);
        if rows > 0 {
            self.wake.wake();
        }
    }
}

/// What came of a partition.
struct Came {
    partition: u32,
    /// Each with the channels that must tell it.
    alerts: Vec<(Alert<'static>, Vec<String>)>,
    /// Where the partition goes on behind them.
    reached: Position,
}

impl Came {
    /// The alerts of a batch.
    fn of(routes: &[Route], batch: &Batch<'_>) -> Result<Came> {
        let mut alerts = Vec::with_capacity(batch.records.len());
        for record in batch.records {
            let Some(value) = record.value else { continue };
            match wire::read_alert(value) {
                Ok(Some(alert)) => {
                    let channels = routed(routes, &alert);
                    alerts.push((alert.into_owned(), channels));
                }
                Ok(None) => {}
                Err(newer @ wire::WireError::Newer(_)) => {
                    return Err(Error::TooNew { offset: record.offset, why: newer.to_string() });
                }
                // Only the processor writes this topic; a stranger's record is said and passed over.
                Err(error) => {
                    tracing::warn!(
                        partition = batch.partition,
                        offset = record.offset,
                        "not an alert: {error}"
                    );
                }
            }
        }
        let reached = Position { incarnation: batch.incarnation, next_offset: batch.next_offset() };
        Ok(Came { partition: batch.partition, alerts, reached })
    }
}

/// The channels that an alert is for.
fn routed(routes: &[Route], alert: &Alert<'_>) -> Vec<String> {
    routes
        .iter()
        .filter(|route| alert.channels.as_ref().is_none_or(|wanted| wanted.contains(&route.channel)))
        .filter(|route| alert.transition == Transition::Firing || route.send_resolved)
        .map(|route| route.channel.clone())
        .collect()
}

impl Sink for Acceptor {
    fn position(&mut self, partition: u32) -> Result<Option<Position>> {
        let claim =
            self.runtime.block_on(self.database.claim(&self.monitor, "alerts", partition)).map_err(failed)?;
        let position = position(&claim);
        self.claims.insert(partition, claim);
        Ok(position)
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.write_all(slice::from_ref(batch)).into_iter().collect()
    }

    /// In one call of the database: each more would be one more answer to wait for, and another turn of the senders.
    fn write_all(&mut self, batches: &[Batch<'_>]) -> Vec<Result<()>> {
        let (mut places, mut came) = (Vec::new(), Vec::new());
        let mut answers = BTreeMap::new();
        for (place, batch) in batches.iter().enumerate() {
            match Came::of(&self.routes, batch) {
                Ok(one) => {
                    places.push(place);
                    came.push(one);
                }
                Err(error) => drop(answers.insert(place, Err(error))),
            }
        }
        if !came.is_empty() {
            let timer = self.metrics.write_seconds("alerts").start_timer();
            let accepted = self.accept(&came);
            timer.observe_duration();
            self.accepted(&came, &accepted);
            answers.extend(places.into_iter().zip(accepted.into_iter().map(|new| new.map(drop))));
        }
        answers.into_values().collect()
    }

    fn advance(&mut self, partition: u32, position: Position) -> Result<()> {
        let nothing = Came { partition, alerts: Vec::new(), reached: position };
        self.accept(&[nothing]).into_iter().try_for_each(|new| new.map(drop))
    }

    fn revoked(&mut self, partition: u32) {
        self.claims.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pricemonitor_model::Time;

    #[test]
    fn an_alert_goes_to_the_channels_its_rule_names_and_resolved_only_where_wanted() {
        let routes = [
            Route { channel: "a".to_owned(), send_resolved: true },
            Route { channel: "b".to_owned(), send_resolved: false },
        ];
        let mut alert =
            pricemonitor_notify::sample_alert(&MonitorId::new(None, "m"), Time::from_seconds(1_700_000_000));
        alert.channels = None;
        assert_eq!(routed(&routes, &alert), ["a", "b"]);
        alert.transition = Transition::Resolved;
        assert_eq!(routed(&routes, &alert), ["a"]);
        alert.channels = Some(vec!["b".to_owned(), "gone".to_owned()]);
        assert!(routed(&routes, &alert).is_empty());
        alert.transition = Transition::Firing;
        assert_eq!(routed(&routes, &alert), ["b"]);
    }
}
