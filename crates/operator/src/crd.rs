//! The CustomResourceDefinition, generated from the types of the manifest and of the status.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceScale,
    CustomResourceSubresourceStatus, CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pricemonitor_config::PriceMonitorSpec;
use pricemonitor_config::schema::structural_schema;
use serde_json::{Value, json};

use crate::status::PriceMonitorStatus;

/// API group of the resource.
pub const GROUP: &str = "pricemonitor.dev";
/// Its one version.
pub const VERSION: &str = "v1alpha1";
/// Its name in addresses.
pub const PLURAL: &str = "pricemonitors";

/// The CustomResourceDefinition of `PriceMonitor`.
///
/// # Errors
/// When the schema of the types is none that Kubernetes has words for, which a test excludes.
pub fn definition() -> Result<CustomResourceDefinition, serde_json::Error> {
    Ok(CustomResourceDefinition {
        metadata: ObjectMeta { name: Some(format!("{PLURAL}.{GROUP}")), ..ObjectMeta::default() },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: "PriceMonitor".to_owned(),
                list_kind: Some("PriceMonitorList".to_owned()),
                plural: PLURAL.to_owned(),
                singular: Some("pricemonitor".to_owned()),
                short_names: Some(vec!["pm".to_owned()]),
                categories: Some(vec!["all".to_owned()]),
            },
            scope: "Namespaced".to_owned(),
            versions: vec![version()?],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    })
}

/// [`definition`] as it is written to a file: bounds as whole numbers, no status.
///
/// # Errors
/// As for [`definition`].
pub fn document() -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(definition()?)?;
    document.as_object_mut().into_iter().for_each(|object| drop(object.remove("status")));
    whole(&mut document);
    Ok(document)
}

/// Kubernetes' type keeps bounds as floats: `1000.0` is `1000`.
fn whole(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(whole),
        Value::Array(items) => items.iter_mut().for_each(whole),
        Value::Number(number) if number.is_f64() => {
            if let Ok(number) = number.to_string().trim_end_matches(".0").parse::<i64>() {
                *value = Value::from(number);
            }
        }
        _ => {}
    }
}

fn version() -> Result<CustomResourceDefinitionVersion, serde_json::Error> {
    Ok(CustomResourceDefinitionVersion {
        name: VERSION.to_owned(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(schema()?) }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(json!({}))),
            scale: Some(CustomResourceSubresourceScale {
                spec_replicas_path: ".spec.workers.processor.replicas".to_owned(),
                status_replicas_path: ".status.workers.processor.replicas".to_owned(),
                label_selector_path: Some(".status.selector".to_owned()),
            }),
        }),
        additional_printer_columns: Some(columns()),
        ..CustomResourceDefinitionVersion::default()
    })
}

/// Names of Services begin with it, which must begin with a letter.
const NAME: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

fn schema() -> Result<JSONSchemaProps, serde_json::Error> {
    let mut status = structural_schema::<PriceMonitorStatus>();
    // The scale subresource reads by a path, which a mapping of any names does not have.
    let worker = status["properties"]["workers"]["additionalProperties"].take();
    status["properties"]["workers"] = json!({
        "description": "The same for each kind of worker.", "type": "object",
        "properties": crate::role::Role::WORKERS.iter().map(|role| (role.name(), worker.clone()))
            .collect::<std::collections::BTreeMap<_, _>>(),
    });
    serde_json::from_value(json!({
        "description": "Watches prices: polls sources, keeps their history, tells people.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "`pricemonitor.dev/v1alpha1`."},
            "kind": {"type": "string", "description": "`PriceMonitor`."},
            "metadata": {"type": "object", "properties": {
                "name": {"type": "string", "maxLength": 63, "pattern": NAME},
            }},
            "spec": structural_schema::<PriceMonitorSpec>(),
            "status": status,
        },
    }))
}

fn columns() -> Vec<CustomResourceColumnDefinition> {
    let column = |name: &str, path: &str, words: &str, wide: bool| CustomResourceColumnDefinition {
        name: name.to_owned(),
        json_path: path.to_owned(),
        type_: if name == "Age" { "date" } else { "string" }.to_owned(),
        description: Some(words.to_owned()),
        priority: wide.then_some(1),
        ..CustomResourceColumnDefinition::default()
    };
    let ready = ".status.conditions[?(@.type==\"Ready\")]";
    vec![
        column("Ready", &format!("{ready}.status"), "Whether every worker is at work.", false),
        column("Sources", ".status.sources", "Where prices come from.", false),
        column("Reason", &format!("{ready}.reason"), "Why it is ready, or is not.", false),
        column("Workers", ".status.ready", "Ready pods of wanted ones.", false),
        column("Image", ".status.image", "What the workers run.", true),
        column("Topics", ".status.topics", "Where prices go.", true),
        column("Age", ".metadata.creationTimestamp", "Since when it is there.", false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_fits_an_api_server_and_keeps_every_word_of_the_types() {
        let crd = document().unwrap();
        assert!(crd.to_string().len() < 256 * 1024, "{}", crd.to_string().len());
        let version = &crd["spec"]["versions"][0];
        let schema = &version["schema"]["openAPIV3Schema"]["properties"];
        // Nothing was lost on the way through Kubernetes' type.
        assert!(schema["spec"] == structural_schema::<PriceMonitorSpec>());
        assert_eq!(version["subresources"]["status"], json!({}));
        assert!(
            schema["status"]["properties"]["workers"]["properties"]["processor"]["properties"]["replicas"]
                .is_object()
        );
        let names: Vec<&str> = version["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["Ready", "Sources", "Reason", "Workers", "Image", "Topics", "Age"]);
    }
}
