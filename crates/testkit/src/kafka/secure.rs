//! Listeners with encryption, logins and rights.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::certificates::Authority;
use crate::place::{self, Place};

/// What a client needs for the listeners of a secure broker. Files are PEM.
///
/// The broker knows two logins, each by SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN, and takes client
/// certificates of its authority; a certificate's common name is its user. Rights are decided by access
/// control lists: where a resource has none, everyone may use it, unless the option
/// `allow.everyone.if.no.acl.found` is `false`. Who comes by the plain listener may do everything.
#[derive(Clone, Debug)]
pub struct Secure {
    /// `host:port` with a login, without encryption (`SASL_PLAINTEXT`).
    pub sasl_plaintext: String,
    /// `host:port` with encryption, which takes only clients with a certificate (`SSL`).
    pub ssl: String,
    /// `host:port` with a login and encryption (`SASL_SSL`).
    pub sasl_ssl: String,
    /// User of the login.
    pub user: &'static str,
    /// Password of the login.
    pub password: &'static str,
    /// User of the other login, for a test that tells two apart by their rights.
    pub other_user: &'static str,
    /// Its password.
    pub other_password: &'static str,
    /// File with the certificate of the authority that signed the broker's.
    pub authority: PathBuf,
    /// User of the client's certificate: its common name.
    pub client: &'static str,
    /// File with the client's certificate.
    pub client_certificate: PathBuf,
    /// File with the client's key.
    pub client_key: PathBuf,
}

impl Secure {
    /// Takes ports and writes certificates into `place`.
    ///
    /// # Errors
    /// When no port is free, no certificate can be made, or the files cannot be written.
    pub(super) fn new(place: &Place) -> Result<Secure> {
        let (user, password, client) = ("app", "app-secret", "client");
        let (other_user, other_password) = ("other", "other-secret");
        let authority = Authority::new("Kafka's test authority")?;
        let server = authority.server()?;
        place.write("server.pem", server.key + &server.certificate)?;
        let identity = authority.client(client)?;
        let address = || Ok::<_, anyhow::Error>(format!("127.0.0.1:{}", place::server_port()?));
        Ok(Secure {
            sasl_plaintext: address()?,
            ssl: address()?,
            sasl_ssl: address()?,
            user,
            password,
            other_user,
            other_password,
            authority: place.write("authority.pem", authority.certificate())?,
            client,
            client_certificate: place.write("client.pem", identity.certificate)?,
            client_key: place.write("client.key", identity.key)?,
        })
    }

    /// The listeners, as `listeners` and `advertised.listeners` have them.
    pub(super) fn listeners(&self) -> String {
        let Secure { sasl_plaintext, ssl, sasl_ssl, .. } = self;
        format!("SASL_PLAINTEXT://{sasl_plaintext},SSL://{ssl},SASL_SSL://{sasl_ssl}")
    }

    /// Lines of `server.properties`, beside the listeners, for a broker whose folder is `place`.
    pub(super) fn properties(&self, place: &Path) -> String {
        let mut text = format!(
            "\
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
",
            place.join("server.pem").display(),
            self.authority.display()
        );
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            for mechanism in ["scram-sha-256", "scram-sha-512"] {
                text += &format!(
                    "listener.name.{listener}.{mechanism}.sasl.jaas.config=\
                     org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
                );
            }
            let [(user, password), (other, others)] = self.logins();
            text += &format!(
                "listener.name.{listener}.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_{user}=\"{password}\" user_{other}=\"{others}\";\n"
            );
        }
        text
    }

    /// What the formatting tool must be told, so that the logins exist from the first moment.
    pub(super) fn format_arguments(&self) -> Vec<String> {
        let mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
        let all = self.logins().into_iter().flat_map(|login| mechanisms.map(|mechanism| (mechanism, login)));
        let told = |(mechanism, (user, password))| {
            ["--add-scram".to_owned(), format!("{mechanism}=[name={user},password={password}]")]
        };
        all.flat_map(told).collect()
    }

    /// Users with their passwords.
    fn logins(&self) -> [(&'static str, &'static str); 2] {
        [(self.user, self.password), (self.other_user, self.other_password)]
    }
}
