//! The operator's metrics. No label takes a value from a resource, so their number is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Every metric of the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    seconds: Histogram,
    calls: IntCounterVec,
    leader: IntGauge,
    active: IntGauge,
    waiting: IntGauge,
    monitors: IntGaugeVec,
}

impl Metrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// When two have one name, which a test excludes.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let named = |name: &str, help: &str| Opts::new(format!("pricemonitor_operator_{name}"), help);
        let seconds = HistogramOpts::from(named("reconcile_duration_seconds", "How long a reconcile takes"));
        let metrics = Metrics {
            registry: Registry::new(),
            reconciles: IntCounterVec::new(named("reconciles_total", "Reconciles, by result"), &["result"])?,
            seconds: Histogram::with_opts(
                seconds.buckets(vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            )?,
            calls: IntCounterVec::new(
                named("api_requests_total", "Calls of the Kubernetes API, by verb, resource and result"),
                &["verb", "resource", "result"],
            )?,
            leader: IntGauge::with_opts(named("leader", "1 while this replica is the one that writes"))?,
            active: IntGauge::with_opts(named("reconciles_active", "Reconciles under way"))?,
            waiting: IntGauge::with_opts(named("queue_depth", "Monitors that wait to be looked at"))?,
            monitors: IntGaugeVec::new(
                named("monitors", "Monitors, by condition and its status; suspended ones by that, too"),
                &["condition", "status"],
            )?,
        };
        metrics.registry.register(Box::new(metrics.reconciles.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.calls.clone()))?;
        metrics.registry.register(Box::new(metrics.leader.clone()))?;
        metrics.registry.register(Box::new(metrics.active.clone()))?;
        metrics.registry.register(Box::new(metrics.waiting.clone()))?;
        metrics.registry.register(Box::new(metrics.monitors.clone()))?;
        Ok(metrics)
    }

    /// How many monitors wait to be looked at.
    pub fn queued(&self, waiting: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A reconcile begins.
    pub fn begun(&self) {
        self.active.inc();
    }

    /// A reconcile is over: `result` is one of a few words.
    pub fn reconciled(&self, result: &str, took: Duration) {
        self.active.dec();
        self.reconciles.with_label_values(&[result]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// The API answered, or did not.
    pub fn called(&self, verb: &str, resource: &str, result: &str) {
        self.calls.with_label_values(&[verb, resource, result]).inc();
    }

    /// Whether this replica leads.
    pub fn lead(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many monitors have each condition, by its name and status.
    pub fn conditions(&self, counts: &BTreeMap<(String, String), i64>) {
        self.monitors.reset();
        for ((condition, status), count) in counts {
            self.monitors.with_label_values(&[condition, status]).set(*count);
        }
    }

    /// This replica looks at no monitor any more: what it knew of them is of yesterday.
    pub fn stand_by(&self) {
        self.monitors.reset();
        self.waiting.set(0);
        self.active.set(0);
    }

    /// In Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written, which the types exclude.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
