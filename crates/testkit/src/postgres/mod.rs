//! A real PostgreSQL on a loopback port of its own.

mod secure;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use ::postgres::{Config, NoTls, SimpleQueryMessage};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;

pub use secure::Secure;

use crate::place::{self, Place};
use crate::process::Process;
use crate::provisioned::POSTGRES;
use crate::server::{Server, User, command};

/// A start took under 1 s; recovery after `kill -9` depends on what was written.
const START: Duration = Duration::from_secs(60);
/// An end in good order writes a checkpoint.
const STOP: Duration = Duration::from_secs(30);
/// The role that may do everything, and the database that is always there.
const ADMIN: &str = "postgres";

/// What a server is like.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Settings that win over the testkit's: names and values, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// Whether everybody but the role `postgres` must come with TLS and a password.
    pub secure: bool,
    /// Another address of this machine at which it listens as well, for clients that cannot reach the
    /// loopback address. Who comes there needs TLS and a password: it is of use with `secure` alone.
    pub also_at: Option<Ipv4Addr>,
}

/// A running server. Dropping it kills it and removes its data (unless `PRICEMONITOR_KEEP` is set).
#[derive(Debug)]
pub struct Postgres {
    // First: the server ends before its folder goes.
    server: Server,
    place: Place,
    port: u16,
    user: Option<User>,
    options: Options,
    secure: Option<Secure>,
}

impl Postgres {
    /// Starts a fresh one, with the role and the database `postgres`; returns when it answers. As root it
    /// runs as `postgres` or `nobody`, since it refuses to run as root.
    ///
    /// # Errors
    /// When PostgreSQL is not provisioned, or does not answer within 60 s.
    pub fn start(options: &Options) -> Result<Postgres> {
        let place = Place::new()?;
        let user = User::unprivileged()?;
        if let Some(User { uid, gid }) = user {
            chown(place.path(), Some(uid), Some(gid))
                .with_context(|| format!("giving {} to its user", place.path().display()))?;
        }
        let port = place::server_port()?;
        init(&place, user)?;
        let secure = options.secure.then(|| Secure::new(&place, user)).transpose()?;
        if let Some(secure) = &secure {
            secure.admit(&place.at("data"))?;
        }
        let server = launch(&place, user, port, options)?;
        let mut postgres = Postgres { server, place, port, user, options: options.clone(), secure };
        postgres.wait_until_ready()?;
        for statement in postgres.secure().map(Secure::statements).into_iter().flatten() {
            postgres.rows(&statement)?;
        }
        Ok(postgres)
    }

    /// Port on 127.0.0.1. It stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Address of a database for the role `postgres`, which needs no password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ADMIN}@127.0.0.1:{}/{database}", self.port)
    }

    /// What [`Options::secure`] asked for.
    pub fn secure(&self) -> Option<&Secure> {
        self.secure.as_ref()
    }

    /// Process id of the server's first process.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Folder of its data and its log (the file `log`).
    pub fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Everything that it wrote to its log, over all its runs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(self.place.at("log")).context("reading PostgreSQL's log")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Rows that statements yield in the database `postgres`, every value as text (`NULL` as an empty
    /// text). Several statements, parted by semicolons, are one transaction.
    ///
    /// # Errors
    /// When the server cannot be reached or a statement fails; the message holds the statements.
    pub fn rows(&self, statements: &str) -> Result<Vec<Vec<String>>> {
        rows(self.port, ADMIN, statements)
    }

    /// As [`Postgres::rows`], in another database.
    ///
    /// # Errors
    /// As for [`Postgres::rows`].
    pub fn rows_in(&self, database: &str, statements: &str) -> Result<Vec<Vec<String>>> {
        rows(self.port, database, statements)
    }

    /// `kill -9` for all its processes; returns when they are gone. The data stays.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill().map(drop)
    }

    /// Ends it in good order; clients are cut off. The data stays.
    ///
    /// # Errors
    /// When it does not end within 30 s; it is killed then.
    pub fn stop(&mut self) -> Result<()> {
        // SIGTERM would wait for clients to leave.
        self.server.stop(Signal::INT, STOP).map(drop)
    }

    /// Starts it again on the same data and port; stops it before if it still runs. Returns when it
    /// answers.
    ///
    /// # Errors
    /// As for [`Postgres::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.server = launch(&self.place, self.user, self.port, &self.options)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let port = self.port;
        self.server.wait_until_ready(START, || rows(port, ADMIN, "SELECT 1").map(drop)).map(drop)
    }
}

/// Makes the data folder.
fn init(place: &Place, user: Option<User>) -> Result<()> {
    let mut initdb = command(POSTGRES.provided()?.join("bin/initdb"), user);
    initdb.arg("-D").arg(place.at("data")).args(["-U", ADMIN, "-A", "trust", "-E", "UTF8"]);
    initdb.args(["--locale=C.UTF-8", "--no-sync"]);
    let finished = Process::start(&mut initdb)?.wait(START).context("PostgreSQL's initdb")?;
    if !finished.status.success() {
        bail!("PostgreSQL's initdb failed ({}):\n{}", finished.status, finished.output.all());
    }
    Ok(())
}

fn launch(place: &Place, user: Option<User>, port: u16, options: &Options) -> Result<Server> {
    let mut server = command(POSTGRES.provided()?.join("bin/postgres"), user);
    server.arg("-D").arg(place.at("data"));
    let port = port.to_string();
    let also = options.also_at.map(|address| format!(",{address}")).unwrap_or_default();
    let listen = format!("127.0.0.1{also}");
    let own = [
        ("port", port.as_str()),
        ("listen_addresses", listen.as_str()),
        ("unix_socket_directories", ""),
        ("shared_buffers", "64MB"),
        // Safe for `kill -9`, which leaves the system's cache alone. `synchronous_commit=off` is not:
        // committed rows were gone.
        ("fsync", "off"),
    ];
    let given = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let secure = if options.secure { Secure::settings(place) } else { Vec::new() };
    let secure = secure.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in own.into_iter().chain(secure).chain(given) {
        server.arg("-c").arg(format!("{name}={value}"));
    }
    Server::start("PostgreSQL", server, &place.at("log"))
}

fn rows(port: u16, database: &str, statements: &str) -> Result<Vec<Vec<String>>> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(ADMIN).dbname(database).connect_timeout(Duration::from_secs(5));
    let mut client = config.connect(NoTls).context("connecting to PostgreSQL")?;
    let mut found = Vec::new();
    for message in client.simple_query(statements).with_context(|| statements.to_owned())? {
        if let SimpleQueryMessage::Row(row) = message {
            let value = |column| row.get(column).unwrap_or_default().to_owned();
            found.push((0..row.len()).map(value).collect());
        }
    }
    Ok(found)
}
