//! The number of pods by what lies before them, where the cluster has KEDA.

use pricemonitor_config::spec::{AuthenticationKind, KafkaSpec};
use serde_json::{Map, Value, json};

use super::deployment;
use crate::context::Context;
use crate::role::Role;

/// A ScaledObject and, where Kafka wants a log-in or has an authority of its own, the
/// TriggerAuthentication that KEDA uses for it. Empty where the role does not go by lag.
pub fn build(context: &Context<'_>, role: Role) -> Vec<Value> {
    let scaling = deployment::autoscaling(context, role).filter(|_| context.part(role).is_some());
    let Some((scaling, target)) =
        scaling.and_then(|it| Some((it.target_lag?, it))).map(|(lag, it)| (it, lag))
    else {
        return Vec::new();
    };
    let kafka = context.monitor.spec.kafka.clone().unwrap_or_default();
    let name = context.name(role.name());
    let parameters = parameters(context, &kafka);
    let mut trigger = json!({"type": "kafka", "metadata": metadata(context, role, &kafka, target)});
    if !parameters.is_empty() {
        trigger["authenticationRef"] = json!({"name": name});
    }
    let object = json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": context.metadata(name.clone(), Some(role)),
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": scaling.min_replicas.unwrap_or(1),
            "maxReplicaCount": scaling.max_replicas,
            "triggers": [trigger],
        },
    });
    let authentication = (!parameters.is_empty()).then(|| {
        json!({
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": context.metadata(name, Some(role)),
            "spec": parameters,
        })
    });
    authentication.into_iter().chain([object]).collect()
}

/// What KEDA's `kafka` scaler asks and where; all its values are texts.
fn metadata(context: &Context<'_>, role: Role, kafka: &KafkaSpec, target: u32) -> Value {
    let id = &context.settings.id;
    let groups = kafka.groups.clone().unwrap_or_default();
    let group = if role == Role::Processor { groups.processor } else { groups.storage };
    let topic = context.settings.topics.get("raw").cloned().unwrap_or_else(|| format!("{id}.raw_prices"));
    let mut out = json!({
        "bootstrapServers": kafka.bootstrap_servers,
        "consumerGroup": group.unwrap_or_else(|| format!("{id}.{}", role.name())),
        "topic": topic,
        "lagThreshold": target.to_string(),
        // A group that has not committed yet has everything before it.
        "offsetResetPolicy": "earliest",
    });
    let sasl = kafka.authentication.as_ref().and_then(|login| match login.kind {
        AuthenticationKind::ScramSha512 => Some("scram_sha512"),
        AuthenticationKind::ScramSha256 => Some("scram_sha256"),
        AuthenticationKind::Plain => Some("plaintext"),
        AuthenticationKind::Tls => None,
    });
    if let Some(sasl) = sasl {
        out["sasl"] = json!(sasl);
    }
    if kafka.tls.is_some() {
        out["tls"] = json!("enable");
    }
    out
}

/// Where KEDA has what is secret: the same Secrets and ConfigMaps that the workers read.
fn parameters(context: &Context<'_>, kafka: &KafkaSpec) -> Map<String, Value> {
    let (mut secrets, mut maps) = (Vec::new(), Vec::new());
    let from =
        |parameter: &str, name: &str, key: &str| json!({"parameter": parameter, "name": name, "key": key});
    if let Some(login) = &kafka.authentication {
        let pairs = match login.kind {
            AuthenticationKind::Tls => {
                // As the workers do: each under its other name where the first is not there.
                let there = |key: &str| {
                    let key = (login.secret_ref.name.clone(), key.to_owned());
                    context.inputs.optional_keys.contains(&key)
                };
                let name = |first, other| if !there(first) && there(other) { other } else { first };
                [("cert", name("tls.crt", "user.crt")), ("key", name("tls.key", "user.key"))]
            }
            _ => [("username", "username"), ("password", "password")],
        };
        secrets.extend(pairs.map(|(parameter, key)| from(parameter, &login.secret_ref.name, key)));
    }
    if let Some(ca) = kafka.tls.as_ref().and_then(|tls| tls.ca_certificate.as_ref()) {
        secrets.extend(ca.secret_key_ref.as_ref().map(|it| from("ca", &it.name, &it.key)));
        maps.extend(ca.config_map_key_ref.as_ref().map(|it| from("ca", &it.name, &it.key)));
    }
    [("secretTargetRef", secrets), ("configMapTargetRef", maps)]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| (name.to_owned(), Value::Array(list)))
        .collect()
}
