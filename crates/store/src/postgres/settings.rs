//! Where the server is and how to reach it.

use std::fmt;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Where a PostgreSQL database is, and as whom to use it.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name or address of the server.
    pub host: String,
    /// Its port, 5432 as a rule.
    pub port: u16,
    /// Name of the database.
    pub dbname: String,
    /// Name of the role.
    pub user: String,
    /// Its password, where the server asks for one. Never shown.
    pub password: Option<String>,
    /// Encryption.
    pub tls: Tls,
    /// What the server's own lists of connections show.
    pub application_name: String,
    /// Most connections at the same time, at least 2; calls beyond wait for one.
    pub connections: u32,
}

/// Encryption of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// What is demanded of the server.
    pub mode: TlsMode,
    /// Certificates (PEM) of an authority to trust beside the system's.
    pub ca_pem: Option<Vec<u8>>,
}

/// What is demanded of the server, in PostgreSQL's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// No encryption.
    Disable,
    /// Encryption, whoever the server is.
    Require,
    /// Encryption and a certificate of a trusted authority.
    VerifyCa,
    /// The same, and the certificate names the host.
    #[default]
    VerifyFull,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("dbname", &self.dbname)
            .field("user", &self.user)
            .field("tls", &self.tls.mode)
            .field("application_name", &self.application_name)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    /// The database, and the role, `pricemonitor` on this machine, without a password.
    fn default() -> Settings {
        Settings {
            host: "localhost".to_owned(),
            port: 5432,
            dbname: "pricemonitor".to_owned(),
            user: "pricemonitor".to_owned(),
            password: None,
            tls: Tls::default(),
            application_name: "pricemonitor".to_owned(),
            connections: 6,
        }
    }
}

impl Settings {
    /// For messages: the database and where it is.
    pub(super) fn place(&self) -> String {
        format!("the database {} on {}:{}", self.dbname, self.host, self.port)
    }

    /// What the driver wants to know. Nothing of it comes from environment variables.
    pub(super) fn options(&self) -> PgConnectOptions {
        let mode = match self.tls.mode {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        };
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.dbname)
            .username(&self.user)
            .password(self.password.as_deref().unwrap_or_default())
            .application_name(&self.application_name)
            .ssl_mode(mode)
            .disable_statement_logging();
        match &self.tls.ca_pem {
            Some(pem) => options.ssl_root_cert_from_pem(pem.clone()),
            None => options,
        }
    }
}
