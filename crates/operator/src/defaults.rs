//! What the operator adds to every monitor that does not say it itself, so that the file that runs
//! on a laptop applies unchanged.

use pricemonitor_config::PriceMonitor;
use pricemonitor_config::spec::{
    AuthenticationSpec, GrafanaDashboardSpec, KafkaSpec, PostgresSpec, StorageSpec, TlsSpec, WorkersSpec,
};

/// Operator-wide defaults. A Secret that they name is looked for in each monitor's own namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// `spec.kafka.bootstrapServers`. With it come `authentication` and `tls` below.
    pub bootstrap_servers: Option<String>,
    /// `spec.kafka.authentication`, for monitors that name no `bootstrapServers`.
    pub authentication: Option<AuthenticationSpec>,
    /// `spec.kafka.tls`, for monitors that name no `bootstrapServers`.
    pub tls: Option<TlsSpec>,
    /// `spec.kafka.replicationFactor`.
    pub replication_factor: Option<u32>,
    /// `spec.storage.postgres`.
    pub postgres: Option<PostgresSpec>,
    /// `spec.workers.grafanaDashboard.enabled`.
    pub grafana_dashboards: bool,
}

impl Defaults {
    /// Fills what `monitor` leaves open.
    pub fn fill(&self, monitor: &mut PriceMonitor) {
        let kafka = monitor.spec.kafka.get_or_insert_with(KafkaSpec::default);
        // A log-in belongs to its cluster: it is never sent to one that the monitor names itself.
        if kafka.bootstrap_servers.is_none() {
            kafka.bootstrap_servers.clone_from(&self.bootstrap_servers);
            kafka.authentication = kafka.authentication.take().or_else(|| self.authentication.clone());
            kafka.tls = kafka.tls.take().or_else(|| self.tls.clone());
        }
        kafka.replication_factor = kafka.replication_factor.or(self.replication_factor);
        if let Some(postgres) = &self.postgres {
            let storage = monitor.spec.storage.get_or_insert_with(StorageSpec::default);
            storage.postgres.get_or_insert_with(|| postgres.clone());
        }
        if self.grafana_dashboards {
            let workers = monitor.spec.workers.get_or_insert_with(WorkersSpec::default);
            let wanted = || GrafanaDashboardSpec { enabled: true, ..GrafanaDashboardSpec::default() };
            workers.grafana_dashboard.get_or_insert_with(wanted);
        }
    }
}
