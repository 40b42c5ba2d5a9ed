//! One replica of the operator: it competes for the Lease, and while it leads brings monitors to what they say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Config;
use kube::runtime::events::Reporter;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{Error, Kubernetes};
use crate::controller::{self, Shared};
use crate::counted;
use crate::election::Election;
use crate::health::Health;
use crate::http;
use crate::inputs::Apis;
use crate::kinds::{KEDA, MONITOR, POD_MONITOR};
use crate::leadership::{Leadership, WRITE};
use crate::metrics::Metrics;
use crate::reconcile::Settings;

/// How often an API that is not there is looked for again.
const LOOK: Duration = Duration::from_secs(60);
/// The same for the definition, without which there is nothing to do.
const DEFINITION: Duration = Duration::from_secs(2);
/// Longest wait for reconciles under way when this replica ends. They begin no other call, and end with that which is
/// under way, if it is a write; after it comes what they have to tell.
const DRAIN: Duration = Duration::from_secs(WRITE.as_secs() + 2);

/// Why a replica could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A certificate or key of the kubeconfig cannot be used.
    #[error("the cluster cannot be reached with this kubeconfig: {0}")]
    Client(#[from] kube::Error),
    /// Two metrics have one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A replica, ready to run.
#[derive(Debug)]
pub struct Operator {
    /// How the API is reached.
    pub config: Config,
    /// What is added to monitors.
    pub settings: Settings,
    /// Namespaces that are looked after; empty: all.
    pub namespaces: Vec<String>,
    /// The Lease.
    pub election: Election,
    /// Where probes and Prometheus ask.
    pub listener: TcpListener,
}

impl Operator {
    /// Runs until `stop`: reconciles under way are finished, then the Lease is given up.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let metrics = Metrics::new()?;
        let (leadership, health) = (Leadership::default(), Health::default());
        let client = counted::client(self.config, metrics.clone())?;
        // What serves and competes ends after what writes.
        let last = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(http::serve(self.listener, health.clone(), metrics.clone(), last.clone()));
        let (leads, led) = watch::channel(false);
        let compete = self.election.clone().run(
            client.clone(),
            (leadership.clone(), health, metrics.clone()),
            leads,
            last.clone(),
        );
        tasks.spawn(compete);
        let terms = Terms {
            api: Kubernetes::new(client.clone(), leadership.clone()),
            settings: self.settings,
            namespaces: self.namespaces,
            reporter: Reporter {
                controller: "pricemonitor-operator".to_owned(),
                instance: Some(self.election.me.clone()),
            },
            metrics,
        };
        terms.serve(led, &stop).await;
        last.cancel();
        while tasks.join_next().await.is_some() {}
        self.election.release(client, &leadership).await;
        Ok(())
    }
}

struct Terms {
    api: Kubernetes,
    settings: Settings,
    namespaces: Vec<String>,
    reporter: Reporter,
    metrics: Metrics,
}

impl Terms {
    /// Works while this replica leads, until `stop`.
    async fn serve(&self, mut led: watch::Receiver<bool>, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                // It ends with the election, which ends after this.
                _ = led.wait_for(|leads| *leads) => {}
            }
            let term = stop.child_token();
            let lost = {
                let (mut led, term) = (led.clone(), term.clone());
                async move {
                    let _ = led.wait_for(|leads| !leads).await;
                    term.cancel();
                }
            };
            let ((), ()) = futures::future::join(
                async {
                    self.term(&term).await;
                    term.cancel()
                },
                async {
                    tokio::select! { () = lost => {}, () = term.cancelled() => {} }
                },
            )
            .await;
        }
    }

    /// One term: from the moment this replica leads until `stop`, or until the cluster has got another API.
    async fn term(&self, stop: &CancellationToken) {
        let Some(apis) = self.definitions(stop).await else { return };
        let settings = Settings { apis, ..self.settings.clone() };
        let end = stop.child_token();
        let api = self.api.until(end.clone());
        let shared = Arc::new(Shared::new(api, settings, self.metrics.clone(), self.reporter.clone()));
        let mut controllers = JoinSet::new();
        if self.namespaces.is_empty() {
            controllers.spawn(controller::run(shared, None, end.clone()));
        } else {
            // One that is named twice is looked after once.
            for namespace in BTreeSet::from_iter(&self.namespaces) {
                controllers.spawn(controller::run(shared.clone(), Some(namespace.clone()), end.clone()));
            }
        }
        self.until_changed(apis, stop).await;
        end.cancel();
        let drained = async { while controllers.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("reconciles are given up after {} s", DRAIN.as_secs());
            controllers.shutdown().await;
        }
        // Whoever leads now counts anew.
        self.metrics.stand_by();
    }

    /// The APIs of the cluster, once it knows monitors; none when it is over before.
    async fn definitions(&self, stop: &CancellationToken) -> Option<Apis> {
        let mut told = String::new();
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return None,
                asked = self.apis() => asked,
            };
            let why = match asked {
                Ok((true, apis)) => return Some(apis),
                Ok((false, _)) => "the definition of PriceMonitor is missing: \
                     `pricemonitor-operator crd | kubectl apply --server-side -f -`"
                    .to_owned(),
                Err(error) => error.to_string(),
            };
            if told != why {
                tracing::warn!("waiting: {why}");
                told = why;
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(DEFINITION) => {}
            }
        }
    }

    async fn apis(&self) -> Result<(bool, Apis), Error> {
        let known = self.api.knows(MONITOR).await?;
        let (keda, pod_monitor) = (self.api.knows(KEDA[0]).await?, self.api.knows(POD_MONITOR[0]).await?);
        Ok((known, Apis { keda, pod_monitor }))
    }

    /// Returns at `stop`, or when the cluster has other APIs than `apis`.
    async fn until_changed(&self, apis: Apis, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                asked = self.apis() => asked,
            };
            if let Ok((known, now)) = asked
                && (now != apis || !known)
            {
                tracing::info!("the cluster has other APIs than before: everything is looked at anew");
                return;
            }
        }
    }
}
