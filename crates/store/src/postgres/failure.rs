//! PostgreSQL's errors in our words.

use std::io::ErrorKind;

use crate::error::Error;

/// What an error means for who called.
pub(super) enum Meaning {
    /// Nothing happened; the same call may succeed later.
    Passing(String),
    /// The server said no.
    Refused(String),
    /// There is no such table, column or function.
    Unprepared,
    /// Anything else.
    Other(String),
}

/// `doing` says what could not be done.
pub(super) fn failure(doing: &str, error: &sqlx::Error) -> Error {
    match meaning(error) {
        Meaning::Passing(why) => Error::Busy(format!("{doing}: {why}")),
        Meaning::Refused(why) => Error::Refused(format!("{doing}: {why}")),
        Meaning::Unprepared => Error::Unprepared(format!(
            "{doing}: the tables of the database are missing or older than this program: run `pricemonitor setup`"
        )),
        Meaning::Other(why) => Error::Storage(format!("{doing}: {why}")),
    }
}

/// What the driver's error means.
pub(super) fn meaning(error: &sqlx::Error) -> Meaning {
    match error {
        sqlx::Error::Database(error) => code(error.code().as_deref().unwrap_or_default(), error.message()),
        sqlx::Error::PoolTimedOut => {
            Meaning::Passing("the server is away or all connections are in use".to_owned())
        }
        sqlx::Error::PoolClosed => Meaning::Other("it is closed".to_owned()),
        sqlx::Error::Tls(error) => Meaning::Refused(format!(
            "{error} (setting storage.postgres.tls, or the sslmode of --database-url)"
        )),
        sqlx::Error::Io(error) => io(error),
        // What a connection says that was cut off half-way.
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => {
            Meaning::Passing(format!("the connection broke: {error}"))
        }
        _ => Meaning::Other(error.to_string()),
    }
}

/// The handshake of TLS fails with errors of this kind too.
fn io(error: &std::io::Error) -> Meaning {
    let text = error.to_string();
    if error.kind() != ErrorKind::InvalidData {
        return Meaning::Passing(format!("the connection failed: {text}"));
    }
    if text.contains("not valid for") {
        return Meaning::Refused(format!(
            "the server's certificate is for another host: {text} (settings storage.postgres host and \
             storage.postgres.tls.mode, or --database-url or POSTGRES_HOST)"
        ));
    }
    if text.contains("certificate") {
        return Meaning::Refused(format!(
            "the server's certificate is not trusted: {text} (setting storage.postgres.tls.caCertificate, or the \
             sslrootcert of --database-url)"
        ));
    }
    Meaning::Refused(format!(
        "encryption failed: {text} (setting storage.postgres.tls, or the sslmode of --database-url)"
    ))
}

/// PostgreSQL's codes (appendix A of its manual). Where a setting came from is not known here: each place is named.
fn code(code: &str, message: &str) -> Meaning {
    match code {
        "28P01" => Meaning::Refused(format!(
            "{message}: the user or the password is wrong (settings storage.postgres user and password, or \
             --database-url, POSTGRES_USER or POSTGRES_PASSWORD)"
        )),
        "28000" => Meaning::Refused(format!(
            "{message}: the server does not let this user in this way (settings storage.postgres user and \
             storage.postgres.tls, or --database-url or POSTGRES_USER)"
        )),
        "3D000" => Meaning::Refused(format!(
            "{message}: make it first (setting storage.postgres dbname, or --database-url or POSTGRES_DB)"
        )),
        "42501" => Meaning::Refused(format!(
            "{message}: the role lacks this right; `pricemonitor setup` can grant it (setting storage.postgres user, or \
             --database-url or POSTGRES_USER)"
        )),
        "42P01" | "42703" | "42883" | "3F000" => Meaning::Unprepared,
        // Disk or memory is full, a standby answers: nothing is lost, somebody helps, and it goes on.
        "53100" => Meaning::Passing(format!("the server's disk is full, make room: {message}")),
        "25006" => Meaning::Passing(format!("the server takes no writes now: {message}")),
        // The only constraints that a row can break are those of partitions: its month was made this moment.
        "23514" => Meaning::Passing(format!("a month was made meanwhile: {message}")),
        // Connection, resources, serialization, deadlock, locks, cancelled, idle for too long, shutting down or
        // starting, recovering from a crash, an object replaced meanwhile, a partition that came or went.
        _ if matches!(code.get(..2), Some("08" | "53" | "57"))
            || matches!(code, "40001" | "40P01" | "55P03" | "55006" | "25P03" | "25P04") =>
        {
            Meaning::Passing(message.to_owned())
        }
        _ => Meaning::Other(format!("{message} ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_somebody_must_mend() {
        for passing in
            ["08006", "57P01", "57P03", "57014", "53300", "40001", "40P01", "55P03", "53100", "23514"]
        {
            assert!(matches!(code(passing, "x"), Meaning::Passing(_)), "{passing}");
        }
        for (refused, variable) in [
            ("28P01", "POSTGRES_PASSWORD"),
            ("28000", "POSTGRES_USER"),
            ("3D000", "POSTGRES_DB"),
            ("42501", "POSTGRES_USER"),
        ] {
            let Meaning::Refused(why) = code(refused, "x") else { unreachable!("{refused}") };
            for place in ["storage.postgres", "--database-url", variable] {
                assert!(why.contains(place), "{place} in: {why}");
            }
        }
        assert!(matches!(code("23505", "x"), Meaning::Other(_)));
        assert!(matches!(code("", "x"), Meaning::Other(_)));
    }
}
