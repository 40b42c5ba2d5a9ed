//! Commands that print what would be applied.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use pricemonitor_config::read;
use pricemonitor_config::spec::{
    AuthenticationKind, AuthenticationSpec, CaSource, ObjectRef, PostgresSpec, PostgresTls, TlsMode, TlsSpec,
};
use pricemonitor_config::{Problems, SecretRef};
use pricemonitor_operator::inputs::Apis;
use pricemonitor_operator::rbac::{self, Account};
use pricemonitor_operator::{Defaults, Inputs, children, crd, yaml};

use crate::args::{DefaultArgs, RbacArgs, RenderArgs};

/// The CustomResourceDefinition.
pub(crate) fn crd() -> Result<()> {
    print(&yaml::document(&crd::document()?))
}

/// The operator's service account and what it may do.
pub(crate) fn rbac(args: &RbacArgs) -> Result<()> {
    let account = Account {
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        watch: args.watch_namespaces.clone(),
    };
    let documents = rbac::documents(&account);
    print(&documents.iter().map(|one| format!("---\n{}", yaml::document(one))).collect::<String>())
}

/// Every child of every manifest; what is noteworthy goes to standard error.
pub(crate) fn render(args: &RenderArgs) -> Result<()> {
    let inputs = Inputs {
        defaults: defaults(&args.defaults),
        worker_image: args.defaults.worker_image.clone(),
        apis: Apis { keda: args.keda, pod_monitor: args.pod_monitor },
        ..Inputs::default()
    };
    let mut out = String::new();
    for file in &args.files {
        let origin = file.display().to_string();
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {origin}"))?;
        for monitor in read::read(read::utf8(&bytes, &origin)?, &origin)? {
            let children = match children(&monitor, &inputs) {
                Ok(children) => children,
                Err(problems) => bail!("{}", Problems::new(origin, problems)),
            };
            for note in &children.notes {
                eprintln!("note: {origin}: {note}");
            }
            for child in &children.list {
                out.push_str("---\n");
                out.push_str(&yaml::document(&child.object));
            }
        }
    }
    print(&out)
}

pub(crate) fn defaults(args: &DefaultArgs) -> Defaults {
    let object = |name: &String| ObjectRef { name: name.clone() };
    let authority = |name: &String| CaSource {
        secret_key_ref: Some(SecretRef { name: name.clone(), key: "ca.crt".to_owned() }),
        config_map_key_ref: None,
    };
    let mode = match args.postgres_tls_mode.as_str() {
        "disable" => TlsMode::Disable,
        "require" => TlsMode::Require,
        "verify-ca" => TlsMode::VerifyCa,
        _ => TlsMode::VerifyFull,
    };
    Defaults {
        bootstrap_servers: args.bootstrap_servers.clone(),
        authentication: args.kafka_secret.as_ref().map(|name| AuthenticationSpec {
            kind: AuthenticationKind::ScramSha512,
            secret_ref: object(name),
        }),
        tls: args.kafka_ca_secret.as_ref().map(|name| TlsSpec { ca_certificate: Some(authority(name)) }),
        replication_factor: args.replication_factor,
        postgres: args.postgres_secret.as_ref().map(|name| PostgresSpec {
            secret_ref: object(name),
            tls: Some(PostgresTls { mode, ca_certificate: args.postgres_ca_secret.as_ref().map(authority) }),
        }),
        grafana_dashboards: args.grafana_dashboards,
    }
}

/// To standard output; who reads no further has had enough.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}
