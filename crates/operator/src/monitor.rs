//! A monitor as the watch tells of it.

use std::borrow::Cow;

use kube::Resource;
use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::kinds::MONITOR;

/// A monitor, whatever is in it: its metadata, and the whole of it as text, which takes a fifth of the memory of a
/// tree. Who last wrote which field is left out.
#[derive(Clone, Debug)]
pub struct Monitor {
    metadata: ObjectMeta,
    text: Box<str>,
}

impl Monitor {
    /// The whole, with `apiVersion` and `kind`, which lists leave out.
    pub fn resource(&self) -> Value {
        // It was written from such a value.
        let mut resource: Value = serde_json::from_str(&self.text).unwrap_or_default();
        resource["apiVersion"] = MONITOR.api_version().into();
        resource["kind"] = MONITOR.kind.into();
        resource
    }
}

impl<'de> Deserialize<'de> for Monitor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Monitor, D::Error> {
        let mut whole = Value::deserialize(from)?;
        let metadata = whole.get_mut("metadata").and_then(Value::as_object_mut);
        metadata.and_then(|metadata| metadata.remove("managedFields"));
        let metadata = ObjectMeta::deserialize(&whole["metadata"]).map_err(D::Error::custom)?;
        Ok(Monitor { metadata, text: whole.to_string().into() })
    }
}

impl Resource for Monitor {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        kind.kind.as_str().into()
    }

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        kind.group.as_str().into()
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        kind.version.as_str().into()
    }

    fn api_version(kind: &ApiResource) -> Cow<'_, str> {
        kind.api_version.as_str().into()
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        kind.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_but_who_wrote_what_is_left_out() {
        let monitor: Monitor = serde_json::from_value(json!({
            "metadata": {"name": "m", "generation": 3, "managedFields": [{"manager": "x"}]},
            "spec": {"whatever": [1, {"a": null}]}, "status": "odd"}))
        .unwrap();
        assert_eq!(monitor.meta().generation, Some(3));
        let whole = json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
            "metadata": {"name": "m", "generation": 3},
            "spec": {"whatever": [1, {"a": null}]}, "status": "odd"});
        assert_eq!(monitor.resource(), whole);
    }
}
