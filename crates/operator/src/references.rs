//! Which keys of which Secrets and ConfigMaps a manifest reads.

use std::collections::{BTreeMap, BTreeSet};

use pricemonitor_config::spec::{AuthenticationKind, CaSource};
use pricemonitor_config::{PriceMonitor, SecretRef};

use crate::defaults::Defaults;
use crate::project::project;
use crate::role::Role;

/// A key of a Secret or ConfigMap of the monitor's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// In a ConfigMap; else in a Secret.
    pub config_map: bool,
    /// Name of the object.
    pub name: String,
    /// Key in it.
    pub key: String,
    /// The role can do without: the pod starts also where it is missing.
    pub optional: bool,
}

/// What `dereference` has to read for each role of a resource, and at its end; also for one that
/// [`crate::children`] would refuse. A key that is not optional and not there makes the monitor degraded.
///
/// The hash of what was read of a role belongs into [`crate::Inputs::references`] (see [`crate::context::hash`]).
pub fn needed(monitor: &PriceMonitor, defaults: &Defaults) -> BTreeMap<Role, BTreeSet<Reference>> {
    let mut monitor = monitor.clone();
    defaults.fill(&mut monitor);
    let roles = Role::of(&monitor).into_iter().chain([Role::Teardown]);
    let mut out: BTreeMap<_, _> =
        roles.map(|role| (role, of(role, &project(role, &monitor, "default")))).collect();
    // A variable of the page's pods, not a file, is read once all the same.
    let page = monitor.spec.workers.and_then(|workers| workers.dashboard);
    if let (Some(token), Some(page)) = (page.and_then(|page| page.token), out.get_mut(&Role::Dashboard)) {
        let SecretRef { name, key } = token.secret_key_ref;
        page.insert(Reference { config_map: false, name, key, optional: false });
    }
    out
}

/// What the manifest of a role reads as files.
pub fn of(role: Role, manifest: &PriceMonitor) -> BTreeSet<Reference> {
    let mut out = BTreeSet::new();
    let mut secret = |name: &str, key: &str, optional: bool| {
        let (name, key) = (name.to_owned(), key.to_owned());
        out.insert(Reference { config_map: false, name, key, optional });
    };
    let spec = &manifest.spec;
    if let Some(login) = spec.kafka.as_ref().and_then(|kafka| kafka.authentication.as_ref()) {
        // A certificate has one of two pairs of names.
        let (keys, optional): (&[&str], _) = match login.kind {
            AuthenticationKind::Tls => (&["tls.crt", "tls.key", "user.crt", "user.key"], true),
            _ => (&["username", "password"], false),
        };
        keys.iter().for_each(|key| secret(&login.secret_ref.name, key, optional));
    }
    let postgres = spec.storage.as_ref().and_then(|storage| storage.postgres.as_ref());
    if let Some(postgres) = postgres {
        for key in ["host", "port", "dbname", "user", "password"] {
            secret(&postgres.secret_ref.name, key, key == "port");
        }
    }
    for source in spec.sources.iter().filter(|_| role == Role::Producer) {
        if let Some(token) = source.http.as_ref().and_then(|http| http.bearer_token.as_ref()) {
            secret(&token.secret_key_ref.name, &token.secret_key_ref.key, false);
        }
    }
    // A channel whose secret is missing is off, and the others go on.
    for channel in spec.channels.iter().filter(|_| role == Role::Alert) {
        if let Some(discord) = &channel.discord {
            match &discord.webhook_url {
                Some(value) => secret(&value.secret_key_ref.name, &value.secret_key_ref.key, true),
                None => secret("discord", "webhook-url", true),
            }
        }
        if let Some(webhook) = &channel.webhook {
            for value in [&webhook.url_from, &webhook.signing_secret].into_iter().flatten() {
                secret(&value.secret_key_ref.name, &value.secret_key_ref.key, true);
            }
        }
    }
    let kafka = spec.kafka.as_ref().and_then(|kafka| kafka.tls.as_ref()?.ca_certificate.as_ref());
    let database = postgres.and_then(|postgres| postgres.tls.as_ref()?.ca_certificate.as_ref());
    for ca in [kafka, database].into_iter().flatten() {
        out.insert(authority(ca));
    }
    // A key that one place needs and another could do without is needed; such neighbours differ in nothing else.
    let needed: BTreeSet<Reference> = out.iter().filter(|one| !one.optional).cloned().collect();
    out.retain(|one| !one.optional || !needed.contains(&Reference { optional: false, ..one.clone() }));
    out
}

fn authority(ca: &CaSource) -> Reference {
    let (config_map, name, key) = match (&ca.secret_key_ref, &ca.config_map_key_ref) {
        (Some(secret), _) => (false, secret.name.clone(), secret.key.clone()),
        (None, Some(map)) => (true, map.name.clone(), map.key.clone()),
        // Validation has refused it.
        (None, None) => (true, String::new(), String::new()),
    };
    Reference { config_map, name, key, optional: false }
}
