//! Encryption and passwords.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::ADMIN;
use crate::certificates::Authority;
use crate::place::Place;
use crate::server::User;

/// What a client needs for a secure server: everybody but the role `postgres` must come with TLS and a
/// password (SCRAM-SHA-256).
#[derive(Clone, Debug)]
pub struct Secure {
    /// A role without special rights.
    pub user: &'static str,
    /// Its password.
    pub password: &'static str,
    /// A database that it owns.
    pub database: &'static str,
    /// PEM file with the certificate of the authority that signed the server's, for `localhost` and
    /// `127.0.0.1`.
    pub authority: PathBuf,
}

impl Secure {
    /// Writes certificates into `place`.
    ///
    /// # Errors
    /// When none can be made, or the files cannot be written.
    pub(super) fn new(place: &Place, user: Option<User>) -> Result<Secure> {
        let authority = Authority::new("PostgreSQL's test authority")?;
        let server = authority.server()?;
        place.write("server.pem", server.certificate)?;
        // The server refuses a key that others could read.
        let key = place.write("server.key", server.key)?;
        fs::set_permissions(&key, Permissions::from_mode(0o600))?;
        if let Some(User { uid, gid }) = user {
            chown(&key, Some(uid), Some(gid)).context("giving the server its key")?;
        }
        let authority = place.write("authority.pem", authority.certificate())?;
        Ok(Secure { user: "app", password: "app-secret", database: "app", authority })
    }

    /// Writes who may come how, in place of what a fresh data folder says.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn admit(&self, data: &Path) -> Result<()> {
        let rules = format!(
            "host all {ADMIN} 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n\
             hostnossl all all 127.0.0.1/32 reject\nhostssl all all 0.0.0.0/0 scram-sha-256\n"
        );
        let file = data.join("pg_hba.conf");
        fs::write(&file, rules).with_context(|| format!("writing {}", file.display()))
    }

    /// Settings of the server.
    pub(super) fn settings(place: &Place) -> Vec<(&'static str, String)> {
        let path = |name| place.at(name).display().to_string();
        vec![
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", path("server.pem")),
            ("ssl_key_file", path("server.key")),
        ]
    }

    /// Statements that make the role and its database; each alone, as databases are not made within
    /// transactions.
    pub(super) fn statements(&self) -> [String; 2] {
        let Secure { user, password, database, .. } = self;
        [
            format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'"),
            format!("CREATE DATABASE {database} OWNER {user}"),
        ]
    }
}
