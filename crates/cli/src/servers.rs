//! Which servers a monitor uses, and how they let it in: the command line first, then the manifest, then the
//! variables that fill what the manifest leaves open.

use std::collections::BTreeMap;

use pricemonitor_config::spec::{AuthenticationKind, CaSource, ObjectRef, PostgresTls, TlsMode as Mode};
use pricemonitor_config::{Monitor, SecretError, SecretRef, SecretString, Secrets};
use pricemonitor_eventlog::kafka::Connection;
use pricemonitor_store::postgres::{self, Tls, TlsMode};

use crate::args::{DatabaseUrl, ServerArgs, ServerVariables};
use crate::exit::{Failure, Result};

/// Connections at once from one process to PostgreSQL.
const POOL: u32 = 8;

/// Where servers are looked for.
#[derive(Debug)]
pub(crate) struct Servers<'a> {
    pub(crate) args: &'a ServerArgs,
    pub(crate) variables: &'a ServerVariables,
    pub(crate) secrets: &'a Secrets,
}

/// The database server of `--database-url`, with the password of the environment where it has none.
pub(crate) fn named(url: &DatabaseUrl, variables: &ServerVariables) -> Result<postgres::Settings> {
    let wrong = |why| Failure::input(format!("--database-url: {why}"));
    let mut settings = postgres::Settings::from_url(url.0.expose()).map_err(wrong)?;
    let password = variables.password.as_ref().map(|it| it.expose().to_owned());
    settings.password = settings.password.or(password);
    Ok(settings)
}

impl Servers<'_> {
    /// The cluster of a monitor.
    ///
    /// # Errors
    /// When nobody says where it is, or a secret is missing.
    pub(crate) fn kafka(&self, monitor: &Monitor) -> Result<Connection> {
        let named = &monitor.kafka.bootstrap_servers;
        let servers = [&self.args.bootstrap_servers, named, &self.variables.kafka];
        let Some(bootstrap_servers) = servers.into_iter().flatten().next().cloned() else {
            return Err(Failure::input(format!(
                "{}: nobody says where Kafka is: write spec.kafka.bootstrapServers, or give --bootstrap-servers or the \
                 variable KAFKA_BOOTSTRAP_SERVERS",
                monitor.id.name()
            )));
        };
        let told = |why| Failure::input(format!("{}: {why}", monitor.id.name()));
        let properties = self.security(monitor).map_err(told)?;
        Ok(Connection { bootstrap_servers, properties })
    }

    /// librdkafka's properties for log-in and encryption.
    fn security(&self, monitor: &Monitor) -> std::result::Result<BTreeMap<String, String>, String> {
        let kafka = &monitor.kafka;
        let mut properties = BTreeMap::new();
        let mut set = |name: &str, value: &str| drop(properties.insert(name.to_owned(), value.to_owned()));
        let sasl = kafka.authentication.as_ref().filter(|it| it.kind != AuthenticationKind::Tls);
        let protocol = match (sasl, &kafka.tls) {
            (None, None) => "plaintext",
            (None, Some(_)) => "ssl",
            (Some(_), None) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        set("security.protocol", protocol);
        if let Some(ca) = kafka.tls.as_ref().and_then(|tls| tls.ca_certificate.as_ref()) {
            set("ssl.ca.pem", &self.authority("spec.kafka.tls.caCertificate", ca)?);
        }
        let Some(authentication) = &kafka.authentication else { return Ok(properties) };
        let path = "spec.kafka.authentication.secretRef";
        let secret = &authentication.secret_ref;
        let mechanism = match authentication.kind {
            AuthenticationKind::ScramSha512 => "SCRAM-SHA-512",
            AuthenticationKind::ScramSha256 => "SCRAM-SHA-256",
            AuthenticationKind::Plain => "PLAIN",
            AuthenticationKind::Tls => {
                set("ssl.certificate.pem", self.one_of(path, secret, ["tls.crt", "user.crt"])?.expose());
                set("ssl.key.pem", self.one_of(path, secret, ["tls.key", "user.key"])?.expose());
                return Ok(properties);
            }
        };
        set("sasl.mechanism", mechanism);
        set("sasl.username", self.key(path, secret, "username")?.expose());
        set("sasl.password", self.key(path, secret, "password")?.expose());
        Ok(properties)
    }

    /// The database server of a monitor; `None` when nothing names one.
    ///
    /// # Errors
    /// When a part is missing or wrong.
    pub(crate) fn postgres(&self, monitor: &Monitor) -> Result<Option<postgres::Settings>> {
        let told = |why| Failure::input(format!("{}: {why}", monitor.id.name()));
        let mut settings = if let Some(url) = &self.args.database_url {
            named(url, self.variables)?
        } else if monitor.postgres.is_some() || self.variables.host.is_some() {
            self.assembled(monitor).map_err(told)?
        } else {
            return Ok(None);
        };
        settings.connections = POOL;
        Ok(Some(settings))
    }

    /// From the manifest's Secret, each part that it lacks from the variables.
    fn assembled(&self, monitor: &Monitor) -> std::result::Result<postgres::Settings, String> {
        let path = "spec.storage.postgres.secretRef";
        let spec = monitor.postgres.as_ref();
        let part = |key: &str, variable: &Option<String>| match spec {
            None => Ok(variable.clone()),
            Some(spec) => match self.secrets.resolve(&SecretRef::of(&spec.secret_ref, key)) {
                Ok(text) => Ok(Some(text.expose().to_owned())),
                Err(SecretError::Missing { .. }) => Ok(variable.clone()),
                Err(error) => Err(format!("{path}: {error}")),
            },
        };
        let variables = self.variables;
        let password = variables.password.as_ref().map(|it| it.expose().to_owned());
        let missing = |key: &str, variable: &str| match spec {
            Some(spec) => format!(
                "{path}: the Secret `{}` has no key `{key}`, and {variable} is not set either",
                spec.secret_ref.name
            ),
            None => format!("POSTGRES_HOST is set, {variable} is not"),
        };
        let host = part("host", &variables.host)?.ok_or_else(|| missing("host", "POSTGRES_HOST"))?;
        let user = part("user", &variables.user)?.ok_or_else(|| missing("user", "POSTGRES_USER"))?;
        let port = part("port", &variables.port)?.unwrap_or_else(|| "5432".to_owned());
        let port = port.trim().parse::<u16>().map_err(|_| {
            format!("the port of PostgreSQL (the Secret's key `port`, or POSTGRES_PORT) is no port: {port:?}")
        })?;
        let tls = match spec {
            // Variables alone are the way of a compose file, where servers speak plain.
            None => Tls { mode: TlsMode::Disable, ca_pem: None },
            Some(spec) => self.postgres_tls(&spec.tls.clone().unwrap_or_default())?,
        };
        let dbname = part("dbname", &variables.db)?.unwrap_or_else(|| user.clone());
        let password = part("password", &password)?;
        Ok(postgres::Settings { host, port, dbname, user, password, tls, ..postgres::Settings::default() })
    }

    fn postgres_tls(&self, tls: &PostgresTls) -> std::result::Result<Tls, String> {
        let path = "spec.storage.postgres.tls.caCertificate";
        let ca = tls.ca_certificate.as_ref().map(|ca| self.authority(path, ca)).transpose()?;
        let mode = match tls.mode {
            Mode::Disable => TlsMode::Disable,
            Mode::Require => TlsMode::Require,
            Mode::VerifyCa => TlsMode::VerifyCa,
            Mode::VerifyFull => TlsMode::VerifyFull,
        };
        Ok(Tls { mode, ca_pem: ca.map(String::into_bytes) })
    }

    /// An authority's certificate as PEM.
    fn authority(&self, path: &str, ca: &CaSource) -> std::result::Result<String, String> {
        let text = match (&ca.secret_key_ref, &ca.config_map_key_ref) {
            (Some(reference), _) => self.secrets.resolve(reference).map(|text| text.expose().to_owned()),
            (None, Some(reference)) => self.secrets.config_map(reference),
            (None, None) => return Err(format!("{path}: names no place")),
        };
        let text = text.map_err(|error| format!("{path}: {error}"))?;
        if text.contains("-----BEGIN CERTIFICATE-----") {
            return Ok(text);
        }
        Err(format!("{path}: that is no certificate in PEM: it has no line `-----BEGIN CERTIFICATE-----`"))
    }

    fn key(&self, path: &str, secret: &ObjectRef, key: &str) -> std::result::Result<SecretString, String> {
        self.secrets.resolve(&SecretRef::of(secret, key)).map_err(|error| format!("{path}: {error}"))
    }

    /// The first of two keys that is there.
    fn one_of(
        &self,
        path: &str,
        secret: &ObjectRef,
        keys: [&str; 2],
    ) -> std::result::Result<SecretString, String> {
        self.key(path, secret, keys[0]).or_else(|first| self.key(path, secret, keys[1]).map_err(|_| first))
    }
}
