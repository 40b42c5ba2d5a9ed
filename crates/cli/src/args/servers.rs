//! Commands on Apache Kafka and PostgreSQL, and where these are.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pricemonitor_config::SecretString;

use super::{DataArgs, Files, LogFormat, PageArgs, SecretArgs};

/// Real servers.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Servers")]
pub(crate) struct ServerArgs {
    /// Apache Kafka, instead of what the manifest says (for `up`: instead of the log in the data folder)
    #[arg(long, value_name = "HOST:PORT,...")]
    pub(crate) bootstrap_servers: Option<String>,
    /// PostgreSQL, instead of what the manifest says (for `up`: instead of SQLite in the data folder):
    /// postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full; the password is best left to the variable
    /// POSTGRES_PASSWORD, which others on the machine cannot see
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<DatabaseUrl>,
}

/// An address that may hold a password. Its `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseUrl(pub(crate) SecretString);

impl std::str::FromStr for DatabaseUrl {
    /// It is judged later: clap would repeat a refused value.
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<DatabaseUrl, std::convert::Infallible> {
        Ok(DatabaseUrl(SecretString::new(text)))
    }
}

/// What the environment says of servers, for what the manifest leaves open.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerVariables {
    /// `KAFKA_BOOTSTRAP_SERVERS`.
    pub(crate) kafka: Option<String>,
    /// `POSTGRES_HOST`.
    pub(crate) host: Option<String>,
    /// `POSTGRES_PORT`.
    pub(crate) port: Option<String>,
    /// `POSTGRES_DB`.
    pub(crate) db: Option<String>,
    /// `POSTGRES_USER`.
    pub(crate) user: Option<String>,
    /// `POSTGRES_PASSWORD`.
    pub(crate) password: Option<SecretString>,
}

impl ServerVariables {
    /// Reads them; an empty one counts as not set.
    pub(crate) fn read() -> ServerVariables {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        ServerVariables {
            kafka: get("KAFKA_BOOTSTRAP_SERVERS"),
            host: get("POSTGRES_HOST"),
            port: get("POSTGRES_PORT"),
            db: get("POSTGRES_DB"),
            user: get("POSTGRES_USER"),
            password: get("POSTGRES_PASSWORD").map(SecretString::new),
        }
    }
}

/// A kind of worker.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Polls sources and appends what they show to the raw topic.
    Producer,
    /// Detects changes and rule hits: raw topic to processed and alerts.
    Processor,
    /// Raw topic to PostgreSQL, and to the CSV file.
    Storage,
    /// Alerts to channels.
    Alert,
    /// The page.
    Dashboard,
}

impl Role {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Producer => "producer",
            Role::Processor => "processor",
            Role::Storage => "storage",
            Role::Alert => "alert",
            Role::Dashboard => "dashboard",
        }
    }
}

/// What every process that works says of itself.
#[derive(Args, Debug)]
#[command(
    after_help = "Any number of each kind may run; they share the partitions and take over from each other.
`pricemonitor setup` has been run before. A CSV file is written by one storage worker.

Variables fill what the manifest leaves open: KAFKA_BOOTSTRAP_SERVERS, POSTGRES_HOST,
POSTGRES_PORT, POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD, DISCORD_WEBHOOK_URL.

Examples:
  pricemonitor run processor -f tickets.yaml --bootstrap-servers localhost:9092
  pricemonitor run storage -f tickets.yaml --listen 127.0.0.1:9465
  pricemonitor run processor -f tickets.yaml --listen 127.0.0.1:9466 --instance second
  pricemonitor run dashboard -f tickets.yaml --listen 127.0.0.1:8501"
)]
pub(crate) struct RunArgs {
    /// Which worker
    #[arg(value_enum)]
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// Address of /metrics, /livez and /readyz, for the dashboard also of the page; a port of 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464", env = "PRICEMONITOR_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Name of this process among its like. The same after a restart, so that it has its partitions back at
    /// once; never the same for two at a time. Default: host name and port
    #[arg(long, value_name = "NAME", env = "PRICEMONITOR_INSTANCE")]
    pub(crate) instance: Option<String>,
    /// Go on behind records that retention deleted before this worker had read them: they are lost to it. Without this it
    /// ends and says so. Changes nothing where nothing was missed
    #[arg(long, env = "PRICEMONITOR_SKIP_DELETED")]
    pub(crate) skip_deleted: bool,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// How the log speaks
    #[arg(long, value_enum, default_value_t = LogFormat::Human, env = "PRICEMONITOR_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// `pricemonitor setup`.
#[derive(Args, Debug)]
#[command(
    after_help = "What exists is never changed: a topic with other settings is told, one of another monitor is refused.
Run it as often as you like, also twice at a time. It needs the right to make topics and tables; the
workers do not.

Examples:
  pricemonitor setup -f monitor.yaml
  pricemonitor setup -f monitor.yaml --bootstrap-servers localhost:9092"
)]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// Take over topics that another monitor was set up with
    #[arg(long)]
    pub(crate) adopt: bool,
    /// Role of PostgreSQL that the workers log in with, when it is not the one of this command: it is given what
    /// they need, which is less. May be given several times
    #[arg(long, value_name = "ROLE")]
    pub(crate) worker_role: Vec<String>,
    /// Role of PostgreSQL that may only read (a dashboard, Grafana). May be given several times
    #[arg(long, value_name = "ROLE")]
    pub(crate) reader_role: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// `pricemonitor teardown`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without --yes it says what it would delete and deletes nothing. Stop the workers first.

Examples:
  pricemonitor teardown -f monitor.yaml
  pricemonitor teardown -f monitor.yaml --yes --history"
)]
pub(crate) struct TeardownArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// Do it
    #[arg(long)]
    pub(crate) yes: bool,
    /// Delete the monitor's history and alerts in the database as well
    #[arg(long)]
    pub(crate) history: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// How long to wait for servers.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long to wait for servers that do not answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

impl Patience {
    /// The wait as a span.
    pub(crate) fn span(self) -> Duration {
        Duration::from_secs(self.timeout.clamp(1, 3600))
    }
}
