//! Competing for the Lease, and keeping it.

use std::time::Instant;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::leadership::{Candidate, LOOK, Leadership, RENEW, Record, Step, VALID, WRITE};
use crate::metrics::Metrics;

/// Where the Lease is, and who wants it.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// This replica: no two may have the same.
    pub me: String,
}

impl Election {
    /// Competes until `stop`, then releases the Lease so that another replica follows at once. `leads` tells when this
    /// replica begins and ends to lead; writes are guarded by `leadership`, which never outlasts a renewal that failed.
    pub async fn run(
        self,
        client: Client,
        (leadership, health, metrics): (Leadership, Health, Metrics),
        leads: watch::Sender<bool>,
        stop: CancellationToken,
    ) {
        let api: Api<Lease> = Api::namespaced(client, &self.namespace);
        let (mut candidate, start) = (Candidate::default(), Instant::now());
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let turn = tokio::time::timeout(WRITE, self.turn(&api, &mut candidate, start)).await;
            health.turned(matches!(turn, Ok(Ok(_))));
            match turn {
                Ok(Ok(true)) => leadership.won(begun),
                // Said by the API: another one has it.
                Ok(Ok(false)) => leadership.lost(),
                Ok(Err(error)) => tracing::warn!("the Lease {} could not be looked at: {error}", self.name),
                Err(_) => tracing::warn!("the Lease {}: no answer within {} s", self.name, WRITE.as_secs()),
            }
            self.tell(&leadership, &metrics, &leads);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(if leadership.holds() { RENEW } else { LOOK }) => {}
            }
        }
    }

    fn tell(&self, leadership: &Leadership, metrics: &Metrics, leads: &watch::Sender<bool>) {
        let holds = leadership.holds();
        metrics.lead(holds);
        let changed = leads.send_if_modified(|leads| std::mem::replace(leads, holds) != holds);
        if changed {
            tracing::info!(replica = self.me, "{}", if holds { "leads" } else { "stands by" });
        }
    }

    /// Whether the Lease is ours after this turn.
    async fn turn(&self, api: &Api<Lease>, candidate: &mut Candidate, start: Instant) -> kube::Result<bool> {
        let lease = api.get_opt(&self.name).await?;
        let record = lease.as_ref().map(|lease| Record {
            holder: lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
        });
        // After the answer: what it shows may have been written a moment ago, and is valid from then on.
        let step = candidate.decide(record, &self.me, start.elapsed());
        let written = match (step, lease) {
            (Step::Wait, _) => return Ok(false),
            (Step::Create, _) | (_, None) => {
                api.create(&PostParams::default(), &self.lease(ObjectMeta::default(), None, false)).await
            }
            (step, Some(lease)) => {
                let ours = self.lease(lease.metadata, lease.spec, step == Step::Renew);
                api.replace(&self.name, &PostParams::default(), &ours).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            // Another one was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lease(&self, metadata: ObjectMeta, before: Option<LeaseSpec>, renewed: bool) -> Lease {
        let (before, now) = (before.unwrap_or_default(), MicroTime(Timestamp::now()));
        let transitions = before.lease_transitions.unwrap_or(0);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.me.clone()),
                lease_duration_seconds: i32::try_from(VALID.as_secs()).ok(),
                acquire_time: if renewed { before.acquire_time } else { Some(now.clone()) },
                renew_time: Some(now),
                lease_transitions: Some(if renewed { transitions } else { transitions.saturating_add(1) }),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Gives the Lease up, if it is ours: to be called when nothing is written any more.
    pub async fn release(&self, client: Client, leadership: &Leadership) {
        leadership.lost();
        let api: Api<Lease> = Api::namespaced(client, &self.namespace);
        let given = tokio::time::timeout(WRITE, async {
            let Some(mut lease) = api.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&*self.me) {
                return Ok(());
            }
            spec.holder_identity = None;
            api.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        });
        match given.await {
            Ok(Ok(())) => tracing::info!("the Lease {} is given up", self.name),
            Ok(Err(error)) => tracing::warn!("the Lease {} was not given up: {error}", self.name),
            Err(_) => tracing::warn!("the Lease {} was not given up: no answer", self.name),
        }
    }
}
