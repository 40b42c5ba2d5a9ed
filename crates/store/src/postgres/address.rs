//! Settings from an address: `postgres://user:password@host:port/database?sslmode=verify-full`.

use url::Url;

use super::settings::{Settings, Tls, TlsMode};
use crate::error::{Error, Result};

impl Settings {
    /// Reads `postgres://user:password@host:port/database`, with the parameters `sslmode` (`disable`,
    /// `require`, `verify-ca`, `verify-full`), `sslrootcert` (path of a PEM file, read at once) and
    /// `application_name`. Without `sslmode` a server on this machine is spoken to in the open, any other one
    /// only with `verify-full`.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong. No text repeats the address, which may hold a password.
    pub fn from_url(text: &str) -> Result<Settings> {
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(refused("it does not begin with `postgres://`"));
        }
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("it names no host"))?;
        let dbname = decoded(url.path().trim_start_matches('/'))?;
        let user = decoded(url.username())?;
        if dbname.is_empty() || user.is_empty() {
            return Err(refused("it must name a user and a database"));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut settings = Settings {
            port: url.port().unwrap_or(5432),
            dbname,
            user,
            password: url.password().map(decoded).transpose()?,
            tls: Tls { mode: usual(&host), ca_pem: None },
            host,
            ..Settings::default()
        };
        for (name, value) in url.query_pairs() {
            settings.parameter(&name, &value)?;
        }
        Ok(settings)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "sslmode" => self.tls.mode = mode(value)?,
            "sslrootcert" => {
                let pem = std::fs::read(value)
                    .map_err(|error| refused(&format!("cannot read its sslrootcert {value}: {error}")))?;
                self.tls.ca_pem = Some(pem);
            }
            "application_name" => value.clone_into(&mut self.application_name),
            _ => {
                return Err(refused(&format!(
                    "the parameter `{name}` is not known (sslmode, sslrootcert and application_name are)"
                )));
            }
        }
        Ok(())
    }
}

fn refused(why: &str) -> Error {
    Error::Refused(format!("the address of the PostgreSQL database cannot be used: {why}"))
}

fn mode(value: &str) -> Result<TlsMode> {
    match value {
        "disable" => Ok(TlsMode::Disable),
        "require" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        _ => Err(refused("its sslmode must be disable, require, verify-ca or verify-full")),
    }
}

/// What is demanded of a host where nothing was said.
fn usual(host: &str) -> TlsMode {
    let here =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if here { TlsMode::Disable } else { TlsMode::VerifyFull }
}

/// Undoes `%xx`.
fn decoded(text: &str) -> Result<String> {
    let wrong = || refused("a `%` in it is not followed by two hexadecimal digits of UTF-8 text");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_its_password_never_shown() {
        let text =
            "postgres://app:p%40ss%2Fw%25rd@db.example:6432/prices?sslmode=verify-ca&application_name=x";
        let settings = Settings::from_url(text).unwrap();
        assert_eq!((settings.host.as_str(), settings.port), ("db.example", 6432));
        assert_eq!((settings.dbname.as_str(), settings.user.as_str()), ("prices", "app"));
        assert_eq!(settings.password.as_deref(), Some("p@ss/w%rd"));
        assert_eq!((settings.tls.mode, settings.application_name.as_str()), (TlsMode::VerifyCa, "x"));
        let shown = format!("{settings:?}");
        assert!(shown.contains("db.example") && !shown.contains("p@ss"), "{shown}");
    }

    #[test]
    fn a_server_elsewhere_must_prove_who_it_is() {
        let mode = |host: &str| Settings::from_url(&format!("postgres://u@{host}/d")).unwrap().tls.mode;
        assert_eq!(mode("db.example"), TlsMode::VerifyFull);
        assert_eq!(mode("10.0.0.1:5433"), TlsMode::VerifyFull);
        for here in ["localhost", "127.0.0.1:5433", "[::1]"] {
            assert_eq!(mode(here), TlsMode::Disable, "{here}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_its_password() {
        for (text, why) in [
            ("mysql://u:hunter2@h/d", "does not begin with `postgres://`"),
            ("postgres://u:hunter2@h", "a user and a database"),
            ("postgres://:hunter2@h/d", "a user and a database"),
            ("postgres://u:hunter2@h:x/d", "port"),
            ("postgres://u:hunter2%2@h/d", "two hexadecimal digits"),
            ("postgres://u:hunter2@h/d?sslmode=prefer", "verify-full"),
            ("postgres://u:hunter2@h/d?sslrootcert=/nowhere", "cannot read its sslrootcert /nowhere"),
            ("postgres://u:hunter2@h/d?password=hunter2", "the parameter `password` is not known"),
            ("hunter2", "relative URL"),
        ] {
            let error = Settings::from_url(text).unwrap_err();
            assert!(matches!(error, Error::Refused(_)));
            let error = error.to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
    }
}
