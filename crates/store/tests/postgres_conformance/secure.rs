//! Encryption and passwords, right and wrong.

use std::sync::LazyLock;

use pricemonitor_store::postgres::{Roles, Settings, Tls, TlsMode, migrate};
use pricemonitor_store::{Database, Error};
use pricemonitor_testkit::certificates::Authority;
use pricemonitor_testkit::postgres::{Options, Postgres};

use crate::server::apart;

/// It ends with the process.
static SERVER: LazyLock<Postgres> =
    LazyLock::new(|| apart(|| Postgres::start(&Options { secure: true, ..Options::default() }).unwrap()));

/// Everything as it should be.
fn right() -> Settings {
    let secure = SERVER.secure().unwrap();
    Settings {
        host: "localhost".to_owned(),
        port: SERVER.port(),
        dbname: secure.database.to_owned(),
        user: secure.user.to_owned(),
        password: Some(secure.password.to_owned()),
        tls: Tls { mode: TlsMode::VerifyFull, ca_pem: Some(std::fs::read(&secure.authority).unwrap()) },
        ..Settings::default()
    }
}

/// Why a database cannot be opened, in words; never with the password.
async fn refused(settings: &Settings) -> String {
    let error = Database::open_postgres(settings).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert!(!error.is_transient());
    for secret in ["app-secret", "wrong-secret"] {
        assert!(!format!("{error} {error:?} {settings:?}").contains(secret), "{error}");
    }
    error.to_string()
}

#[tokio::test]
async fn a_password_over_a_verified_connection_is_let_in() {
    migrate(&right(), &Roles::default()).await.unwrap();
    for (mode, ca) in [(TlsMode::VerifyFull, true), (TlsMode::VerifyCa, true), (TlsMode::Require, false)] {
        let mut settings = right();
        settings.tls.mode = mode;
        settings.tls.ca_pem = settings.tls.ca_pem.filter(|_| ca);
        let db = Database::open_postgres(&settings).await.unwrap();
        assert_eq!(db.facets().await.unwrap(), Default::default());
        db.close().await;
    }
    let secure = SERVER.secure().unwrap();
    let url = format!(
        "postgres://{}:{}@127.0.0.1:{}/{}?sslmode=verify-full&sslrootcert={}",
        secure.user,
        secure.password,
        SERVER.port(),
        secure.database,
        secure.authority.display()
    );
    Database::open_postgres(&Settings::from_url(&url).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_names_the_setting_and_not_the_password() {
    let text = refused(&Settings { password: Some("wrong-secret".to_owned()), ..right() }).await;
    assert!(text.contains("password authentication failed for user \"app\""), "{text}");
    assert!(text.contains("storage.postgres user and password"), "{text}");
    let text = refused(&Settings { password: None, ..right() }).await;
    assert!(text.contains("storage.postgres user and password"), "{text}");
    let text = refused(&Settings { user: "nobody".to_owned(), ..right() }).await;
    assert!(text.contains("storage.postgres user and password"), "{text}");
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_names_the_setting() {
    let other = Authority::new("somebody else").unwrap();
    let mut settings = right();
    for ca in [Some(other.certificate().as_bytes().to_vec()), None] {
        settings.tls.ca_pem = ca;
        for mode in [TlsMode::VerifyFull, TlsMode::VerifyCa] {
            settings.tls.mode = mode;
            let text = refused(&settings).await;
            assert!(text.contains("certificate is not trusted"), "{text}");
            assert!(text.contains("storage.postgres.tls.caCertificate"), "{text}");
        }
    }
    settings.tls.ca_pem = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    assert!(refused(&settings).await.contains("storage.postgres.tls"));
}

#[tokio::test]
async fn a_certificate_for_another_host_names_the_setting() {
    migrate(&right(), &Roles::default()).await.unwrap();
    // Another way to write 127.0.0.1, which the certificate does not know.
    let mut settings = Settings { host: "::ffff:127.0.0.1".to_owned(), ..right() };
    let text = refused(&settings).await;
    assert!(text.contains("certificate is for another host"), "{text}");
    assert!(text.contains("storage.postgres host"), "{text}");
    settings.tls.mode = TlsMode::VerifyCa;
    Database::open_postgres(&settings).await.unwrap();
}

#[tokio::test]
async fn a_missing_database_and_a_missing_encryption_are_named() {
    let text = refused(&Settings { dbname: "nowhere".to_owned(), ..right() }).await;
    assert!(text.contains("database \"nowhere\" does not exist"), "{text}");
    assert!(text.contains("storage.postgres dbname"), "{text}");
    let mut open = right();
    open.tls.mode = TlsMode::Disable;
    let text = refused(&open).await;
    assert!(text.contains("storage.postgres.tls"), "{text}");
}

#[tokio::test]
async fn a_server_without_encryption_is_refused_where_it_is_demanded() {
    let mut settings = crate::server::empty();
    settings.tls.mode = TlsMode::Require;
    let text = refused(&settings).await;
    assert!(text.contains("storage.postgres.tls"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let away = Settings { port: 1, ..right() };
    let began = std::time::Instant::now();
    let error = Database::open_postgres(&away).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(began.elapsed().as_secs() < 15);
    assert!(error.to_string().contains("cannot connect to the database app on localhost:1"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    // The system takes connections for it, and nobody reads them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings { port: silent.local_addr().unwrap().port(), ..right() };
    let began = std::time::Instant::now();
    let error = Database::open_postgres(&settings).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("no answer within 10 s"), "{error}");
    assert!(began.elapsed().as_secs() < 20);
}
