//! What the Prometheus operator is to scrape.

use serde_json::{Value, json};

use crate::context::Context;

/// A PodMonitor of all workers; `None` where the cluster does not know such.
pub fn build(context: &Context<'_>) -> Option<Value> {
    if !context.inputs.apis.pod_monitor {
        return None;
    }
    Some(json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": context.metadata(context.name("workers"), None),
        "spec": {
            "selector": {"matchLabels": context.selector()},
            "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics"}],
        },
    }))
}
