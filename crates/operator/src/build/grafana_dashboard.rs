//! The Grafana dashboard of a monitor.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::context::{Context, hash};
use crate::grafana;

/// What Grafana's sidecar looks for where nobody says another label.
const LABEL: (&str, &str) = ("grafana_dashboard", "1");

/// A ConfigMap with the dashboard, for Grafana's sidecar; `None` where nobody asks for it.
pub fn build(context: &Context<'_>) -> Option<ConfigMap> {
    let spec = context.workers.grafana_dashboard.clone().filter(|spec| spec.enabled)?;
    let mut metadata = context.metadata(context.name("grafana"), None);
    let labels = metadata.labels.get_or_insert_default();
    if spec.labels.is_empty() {
        labels.insert(LABEL.0.to_owned(), LABEL.1.to_owned());
    }
    // Its own labels win: by them the operator finds it.
    let own = std::mem::replace(labels, spec.labels);
    labels.extend(own);
    let id = format!("{}.{}", context.namespace, context.monitor.metadata.name);
    let dashboard = grafana::pipeline(
        &format!("pricemonitor-{}", hash([&id])),
        &format!("PriceMonitor / {} / {}", context.namespace, context.monitor.metadata.name),
        Some(&id),
    );
    Some(ConfigMap {
        metadata,
        data: Some([(format!("pricemonitor-{id}.json"), format!("{dashboard}\n"))].into()),
        ..ConfigMap::default()
    })
}
