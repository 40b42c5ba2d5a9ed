//! Alerts from the log into the outbox.

use std::collections::HashMap;

use pricemonitor_eventlog::{Batch, Error, Position, Result, Sink};
use pricemonitor_model::{Alert, MonitorId, Transition, wire};
use pricemonitor_store::{Claim, Database};
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

    /// Alerts and where the partition goes on behind them, both or neither.
    fn accept(
        &mut self,
        partition: u32,
        alerts: &[(Alert<'static>, Vec<String>)],
        reached: Position,
    ) -> Result<u64> {
        let Some(claim) = self.claims.get_mut(&partition) else {
            return Err(Error::Worker(format!("partition {partition} was never claimed")));
        };
        let Position { incarnation, next_offset } = reached;
        self.runtime
            .block_on(self.database.accept_alerts(claim, incarnation, partition, alerts, next_offset, now()))
            .map_err(failed)
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
        let mut alerts = Vec::with_capacity(batch.records.len());
        for record in batch.records {
            let Some(value) = record.value else { continue };
            match wire::read_alert(value) {
                Ok(Some(alert)) => {
                    let channels = routed(&self.routes, &alert);
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
        let timer = self.metrics.write_seconds("alerts").start_timer();
        let reached = Position { incarnation: batch.incarnation, next_offset: batch.next_offset() };
        let new = self.accept(batch.partition, &alerts, reached)?;
        timer.observe_duration();
        self.metrics.rows("alerts").inc_by(new);
        self.metrics.duplicates("alerts").inc_by((alerts.len() as u64).saturating_sub(new));
        if new > 0 {
            self.wake.wake();
        }
        Ok(())
    }

    fn advance(&mut self, partition: u32, position: Position) -> Result<()> {
        self.accept(partition, &[], position).map(drop)
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
