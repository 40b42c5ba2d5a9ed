//! Secure servers let in whom they should, and nobody else.

use std::path::Path;

use pricemonitor_testkit::certificates::Authority;
use pricemonitor_testkit::kafka::{self, Kafka, Secure};
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::postgres::{self, Postgres};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

fn login(secure: &Secure, mechanism: &str, password: &str) -> String {
    format!(
        "sasl.mechanism={mechanism}\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \
         required username=\"{}\" password=\"{password}\";\n",
        secure.user
    )
}

fn trust(authority: &Path) -> String {
    format!("ssl.truststore.type=PEM\nssl.truststore.location={}\n", authority.display())
}

/// The topics that a client with these settings sees.
fn topics(kafka: &Kafka, bootstrap: &str, settings: &str) -> anyhow::Result<String> {
    let place = Place::new()?;
    // Refusals come at once; without an end to it, a broken connection is tried for a minute.
    let settings = format!("{settings}default.api.timeout.ms=10000\nrequest.timeout.ms=5000\n");
    let file = place.write("client.properties", settings)?;
    let file = file.display().to_string();
    let ask = ["--bootstrap-server", bootstrap, "--command-config", &file, "--list"];
    Ok(kafka.tool("TopicCommand", &ask)?.trim().to_owned())
}

#[test]
fn a_secure_kafka_lets_in_logins_and_certificates_and_shows_what_they_have_a_right_to() {
    let nothing_without_right = ("allow.everyone.if.no.acl.found".to_owned(), "false".to_owned());
    let options =
        kafka::Options { secure: true, properties: vec![nothing_without_right], ..Default::default() };
    let kafka = Kafka::start(&options).unwrap();
    let secure = kafka.secure().unwrap();
    let plain = kafka.bootstrap();
    let create = ["--bootstrap-server", &plain, "--create", "--topic", "t", "--partitions", "1"];
    kafka.tool("TopicCommand", &create).unwrap();

    let password = login(secure, "SCRAM-SHA-256", secure.password);
    let password = format!("security.protocol=SASL_PLAINTEXT\n{password}");
    assert_eq!(topics(&kafka, &secure.sasl_plaintext, &password).unwrap(), "");
    let user = format!("User:{}", secure.user);
    let client = format!("User:{}", secure.client);
    let allow = ["--bootstrap-server", &plain, "--add", "--operation", "Describe", "--topic", "t"];
    let whom = ["--allow-principal", &user, "--allow-principal", &client];
    kafka.tool("AclCommand", &[allow.as_slice(), &whom].concat()).unwrap();
    assert_eq!(topics(&kafka, &secure.sasl_plaintext, &password).unwrap(), "t");

    let both = login(secure, "SCRAM-SHA-512", secure.password) + &trust(&secure.authority);
    let both = format!("security.protocol=SASL_SSL\n{both}");
    assert_eq!(topics(&kafka, &secure.sasl_ssl, &both).unwrap(), "t");

    let place = Place::new().unwrap();
    let key = std::fs::read_to_string(&secure.client_key).unwrap();
    let certificate = std::fs::read_to_string(&secure.client_certificate).unwrap();
    let keystore = place.write("client.pem", key + &certificate).unwrap();
    let certificate = format!(
        "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location={}\n{}",
        keystore.display(),
        trust(&secure.authority)
    );
    assert_eq!(topics(&kafka, &secure.ssl, &certificate).unwrap(), "t");
}

#[test]
fn a_secure_kafka_refuses_wrong_passwords_and_missing_certificates_and_is_not_trusted_blindly() {
    let kafka = Kafka::start(&kafka::Options { secure: true, ..Default::default() }).unwrap();
    let secure = kafka.secure().unwrap();
    let wrong = login(secure, "SCRAM-SHA-256", "wrong");
    let wrong = format!("security.protocol=SASL_PLAINTEXT\n{wrong}");
    let error = topics(&kafka, &secure.sasl_plaintext, &wrong).unwrap_err().to_string();
    assert!(error.contains("SaslAuthenticationException"), "{error}");

    let anonymous = format!("security.protocol=SSL\n{}", trust(&secure.authority));
    assert!(topics(&kafka, &secure.ssl, &anonymous).is_err());

    let place = Place::new().unwrap();
    let stranger = place.write("stranger.pem", Authority::new("stranger").unwrap().certificate()).unwrap();
    let distrustful = login(secure, "SCRAM-SHA-256", secure.password) + &trust(&stranger);
    let distrustful = format!("security.protocol=SASL_SSL\n{distrustful}");
    let error = topics(&kafka, &secure.sasl_ssl, &distrustful).unwrap_err().to_string();
    assert!(error.contains("SslAuthenticationException"), "{error}");
}

/// A connection by TLS as the server's own role, or why there is none.
fn who_is_in(
    postgres: &Postgres,
    host: &str,
    authority: &Path,
    password: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let secure = postgres.secure().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut client = ::postgres::Config::new()
        .host(host)
        .hostaddr([127, 0, 0, 1].into())
        .port(postgres.port())
        .user(secure.user)
        .password(password)
        .dbname(secure.database)
        .ssl_mode(::postgres::config::SslMode::Require)
        .connect(MakeRustlsConnect::new(config))?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS mine (a int)")?;
    let row = client.query_one(
        "SELECT current_user || ' by ' || version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        &[],
    )?;
    Ok(row.try_get(0)?)
}

#[test]
fn a_secure_postgres_wants_tls_and_the_password_and_proves_its_name() {
    let mut postgres = Postgres::start(&postgres::Options { secure: true, ..Default::default() }).unwrap();
    let secure = postgres.secure().unwrap().clone();
    let authority = secure.authority.as_path();
    for host in ["localhost", "127.0.0.1"] {
        let who = who_is_in(&postgres, host, authority, secure.password).unwrap();
        assert_eq!(who, "app by TLSv1.3");
    }
    assert!(who_is_in(&postgres, "elsewhere", authority, secure.password).is_err());
    assert!(who_is_in(&postgres, "localhost", authority, "wrong").is_err());
    let place = Place::new().unwrap();
    let stranger = place.write("stranger.pem", Authority::new("stranger").unwrap().certificate()).unwrap();
    assert!(who_is_in(&postgres, "localhost", &stranger, secure.password).is_err());

    let mut plain = ::postgres::Config::new();
    plain.host("127.0.0.1").port(postgres.port()).user(secure.user).password(secure.password);
    assert!(plain.dbname(secure.database).connect(::postgres::NoTls).is_err());

    postgres.kill().unwrap();
    postgres.restart().unwrap();
    assert!(who_is_in(&postgres, "localhost", authority, secure.password).is_ok());
}
