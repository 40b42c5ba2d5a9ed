//! Registering metrics, and keeping what the reference says of each.

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// What one metric is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its whole name, as a query has it.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels, the monitor's first.
    pub labels: Vec<String>,
    /// What it says, in which unit.
    pub help: String,
    /// The workers that export it.
    pub by: &'static [&'static str],
}

/// A registry that is being filled.
#[derive(Default)]
pub(super) struct Book {
    pub(super) registry: Registry,
    pub(super) described: Vec<Described>,
}

/// Spans from half a millisecond to ten seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type By = &'static [&'static str];
type Registered<T> = Result<T, prometheus::Error>;

impl Book {
    pub(super) fn counter(
        &mut self,
        by: By,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Registered<IntCounterVec> {
        let metric = IntCounterVec::new(opts(name, help), &labelled(labels))?;
        self.take("counter", by, metric)
    }

    pub(super) fn int_gauge(
        &mut self,
        by: By,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Registered<IntGaugeVec> {
        let metric = IntGaugeVec::new(opts(name, help), &labelled(labels))?;
        self.take("gauge", by, metric)
    }

    pub(super) fn gauge(&mut self, by: By, name: &str, help: &str, labels: &[&str]) -> Registered<GaugeVec> {
        let metric = GaugeVec::new(opts(name, help), &labelled(labels))?;
        self.take("gauge", by, metric)
    }

    /// One of the process, of no monitor.
    pub(super) fn process_gauge(&mut self, by: By, name: &str, help: &str) -> Registered<IntGauge> {
        let metric = IntGauge::with_opts(opts(name, help))?;
        self.take("gauge", by, metric)
    }

    pub(super) fn histogram(
        &mut self,
        by: By,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Registered<HistogramVec> {
        self.histogram_of(by, name, help, labels, SECONDS)
    }

    pub(super) fn histogram_of(
        &mut self,
        by: By,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Registered<HistogramVec> {
        let options = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        let metric = HistogramVec::new(options, &labelled(labels))?;
        self.take("histogram", by, metric)
    }

    fn take<M: Collector + Clone + 'static>(
        &mut self,
        kind: &'static str,
        by: By,
        metric: M,
    ) -> Registered<M> {
        self.registry.register(Box::new(metric.clone()))?;
        self.described.extend(metric.desc().into_iter().map(|desc| Described {
            name: desc.fq_name.clone(),
            kind,
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
            by,
        }));
        Ok(metric)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("pricemonitor_{name}"), help)
}

fn labelled<'l>(labels: &[&'l str]) -> Vec<&'l str> {
    std::iter::once("monitor").chain(labels.iter().copied()).collect()
}
