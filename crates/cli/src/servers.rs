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
            // What a Secret holds may be a password in the wrong key.
            "the port of PostgreSQL (the Secret's key `port`, or POSTGRES_PORT) is no number from 1 to 65535"
                .to_owned()
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

#[cfg(test)]
mod tests {
    use pricemonitor_config::secrets::variable_name;

    use super::*;

    /// Names the Secret of [`secret`].
    const NAMED: &str = "  storage: {postgres: {secretRef: {name: app}}}\n";

    /// A monitor whose manifest has these lines beside its source.
    fn monitor(lines: &str) -> Monitor {
        let text = format!(
            "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {{name: tickets}}\nspec:\n  \
             sources: [{{name: market, interval: 1s, simulator: {{events: 2}}}}]\n{lines}"
        );
        pricemonitor_config::load(&text, "tickets.yaml").unwrap().remove(0)
    }

    /// A Secret that lacks these keys.
    fn secret(lacks: &str) -> Secrets {
        let mut secrets = Secrets::default();
        for (key, value) in [
            ("host", "secret"),
            ("port", "6666"),
            ("dbname", "secret-db"),
            ("user", "secret-user"),
            ("password", "secret-password"),
        ] {
            if !lacks.split(' ').any(|lacked| lacked == key) {
                secrets.variables.insert(variable_name("app", key), SecretString::new(value));
            }
        }
        secrets
    }

    /// Every variable is set.
    fn all() -> ServerVariables {
        let set = |text: &str| Some(text.to_owned());
        ServerVariables {
            kafka: set("variable:9092"),
            host: set("variable"),
            port: set("7777"),
            db: set("variable-db"),
            user: set("variable-user"),
            password: set("variable-password").map(SecretString::new),
        }
    }

    fn shown(settings: &postgres::Settings) -> String {
        let postgres::Settings { host, port, dbname, user, password, .. } = settings;
        format!("{user}:{}@{host}:{port}/{dbname}", password.as_deref().unwrap_or("-"))
    }

    #[test]
    fn kafka_is_where_the_command_line_says_else_the_manifest_else_the_variable() {
        let (named, open) = (monitor("  kafka: {bootstrapServers: 'manifest:9092'}\n"), monitor(""));
        let (set, unset, secrets) = (all(), ServerVariables::default(), Secrets::default());
        for (line, of, variables, expected) in [
            (Some("line:9092"), &named, &set, Some("line:9092")),
            (Some("line:9092"), &open, &unset, Some("line:9092")),
            (None, &named, &set, Some("manifest:9092")),
            (None, &named, &unset, Some("manifest:9092")),
            (None, &open, &set, Some("variable:9092")),
            (None, &open, &unset, None),
        ] {
            let args = ServerArgs { bootstrap_servers: line.map(str::to_owned), ..ServerArgs::default() };
            let found = Servers { args: &args, variables, secrets: &secrets }.kafka(of);
            let told = format!("{found:?}");
            assert_eq!(found.ok().map(|it| it.bootstrap_servers).as_deref(), expected, "{told}");
            let remedies = ["spec.kafka.bootstrapServers", "--bootstrap-servers", "KAFKA_BOOTSTRAP_SERVERS"];
            assert!(expected.is_some() || remedies.iter().all(|remedy| told.contains(remedy)), "{told}");
        }
    }

    #[test]
    fn what_the_secret_of_postgres_lacks_is_filled_by_its_variable() {
        let (named, args) = (monitor(NAMED), ServerArgs::default());
        let (set, unset) = (all(), ServerVariables::default());
        for (lacks, variables, expected) in [
            ("", &set, "secret-user:secret-password@secret:6666/secret-db"),
            ("", &unset, "secret-user:secret-password@secret:6666/secret-db"),
            ("port", &set, "secret-user:secret-password@secret:7777/secret-db"),
            ("port", &unset, "secret-user:secret-password@secret:5432/secret-db"),
            ("password", &set, "secret-user:variable-password@secret:6666/secret-db"),
            ("password", &unset, "secret-user:-@secret:6666/secret-db"),
            ("dbname", &set, "secret-user:secret-password@secret:6666/variable-db"),
            ("dbname", &unset, "secret-user:secret-password@secret:6666/secret-user"),
            ("host user", &set, "variable-user:secret-password@variable:6666/secret-db"),
            (
                "host port dbname user password",
                &set,
                "variable-user:variable-password@variable:7777/variable-db",
            ),
        ] {
            let servers = Servers { args: &args, variables, secrets: &secret(lacks) };
            let found = servers.postgres(&named).unwrap().unwrap();
            assert_eq!(shown(&found), expected, "it lacks {lacks:?}");
            assert_eq!((found.tls.mode, found.connections), (TlsMode::VerifyFull, POOL));
        }
    }

    #[test]
    fn the_command_line_says_where_postgres_is_before_the_secret_and_variables_alone_do_too() {
        let (named, open, secrets) = (monitor(NAMED), monitor(""), secret(""));
        let (set, unset) = (all(), ServerVariables::default());
        let (bare, whole) = ("postgres://u@line:5555/d", "postgres://u:line-password@line:5555/d");
        for (url, of, variables, expected) in [
            (Some(whole), &named, &set, Some("u:line-password@line:5555/d")),
            (Some(bare), &named, &set, Some("u:variable-password@line:5555/d")),
            // The Secret's password is for the Secret's server.
            (Some(bare), &named, &unset, Some("u:-@line:5555/d")),
            (Some(bare), &open, &unset, Some("u:-@line:5555/d")),
            (None, &open, &set, Some("variable-user:variable-password@variable:7777/variable-db")),
            (None, &open, &unset, None),
        ] {
            let database_url = url.map(|url| DatabaseUrl(SecretString::new(url)));
            let args = ServerArgs { database_url, ..ServerArgs::default() };
            let found = Servers { args: &args, variables, secrets: &secrets }.postgres(of).unwrap();
            assert_eq!(found.as_ref().map(shown).as_deref(), expected, "{url:?}");
            // Variables alone speak in the open; the address is of another machine.
            let mode = if url.is_some() { TlsMode::VerifyFull } else { TlsMode::Disable };
            assert!(found.is_none_or(|found| found.tls.mode == mode), "{url:?}");
        }
    }

    #[test]
    fn a_part_of_postgres_that_nobody_gives_and_a_port_that_is_none_are_told() {
        let (named, open, args) = (monitor(NAMED), monitor(""), ServerArgs::default());
        let (set, unset) = (all(), ServerVariables::default());
        let host = ServerVariables { host: set.host.clone(), ..ServerVariables::default() };
        let large = ServerVariables { port: Some("70000".to_owned()), ..all() };
        let mut odd = secret("");
        odd.variables.insert(variable_name("app", "port"), SecretString::new("x"));
        for (of, secrets, variables, expected) in [
            (
                &named,
                &secret("host"),
                &unset,
                "the Secret `app` has no key `host`, and POSTGRES_HOST is not set either",
            ),
            (
                &named,
                &secret("user"),
                &host,
                "the Secret `app` has no key `user`, and POSTGRES_USER is not set either",
            ),
            (&open, &secret(""), &host, "POSTGRES_HOST is set, POSTGRES_USER is not"),
            (&named, &odd, &set, "(the Secret's key `port`, or POSTGRES_PORT) is no number from 1 to"),
            (&named, &secret("port"), &large, "is no number from 1 to 65535"),
            (&open, &secret(""), &large, "is no number from 1 to 65535"),
        ] {
            let servers = Servers { args: &args, variables, secrets };
            let told = servers.assembled(of).unwrap_err();
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("password"), "{told}");
            assert!(servers.postgres(of).is_err(), "{told}");
        }
    }
}
