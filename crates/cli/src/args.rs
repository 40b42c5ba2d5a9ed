//! The command line. Environment variables are read here and nowhere else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use pricemonitor_config::SecretString;

use crate::exit::{Failure, Result};
use crate::out;

mod installed;
mod servers;

pub(crate) use installed::{
    AnswerFormat, AuditArgs, DeadLettersArgs, DeadLettersCommand, InstalledArgs, ListArgs, RetryArgs,
    SelectArgs, ShowArgs,
};
pub(crate) use servers::{DatabaseUrl, Role, RunArgs, ServerArgs, ServerVariables, SetupArgs, TeardownArgs};

/// Watches prices: polls sources, keeps history, tells people about drops, shows a page.
#[derive(Parser, Debug)]
#[command(name = "pricemonitor", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Examples:
  pricemonitor up -f examples/tickets.yaml         watch a simulated ticket marketplace
  pricemonitor up -f a.yaml -f b.yaml              several monitors in one process
  pricemonitor validate -f monitor.yaml            check a manifest, all errors at once
  pricemonitor test-alert -f monitor.yaml          send a test message to every channel
  pricemonitor setup -f monitor.yaml               make topics and tables on Kafka and PostgreSQL
  pricemonitor run processor -f monitor.yaml       run one worker there

Exit codes: 0 done, 1 wrong input or surroundings, 2 wrong command line, 3 failed while running,
130 or 143 ended at once by a second SIGINT or SIGTERM.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run monitors here, in one process, with the page on http://localhost:8501
    Up(UpArgs),
    /// Run one kind of worker on Apache Kafka and PostgreSQL; several processes share the work
    Run(RunArgs),
    /// Make what monitors need on Apache Kafka and PostgreSQL: topics, tables, the mark of ownership
    Setup(SetupArgs),
    /// Delete a monitor's topics, and on demand its history
    Teardown(TeardownArgs),
    /// Check manifests; with a sample, show what a source's reader makes of it
    Validate(ValidateArgs),
    /// Send a test message to the channels of a monitor
    TestAlert(TestAlertArgs),
    /// Write the stored history to standard output
    Export(ExportArgs),
    /// Compare topics, database and CSV file, and say what is missing or doubled
    Audit(AuditArgs),
    /// List, show and put back raw records that could not be acted on
    DeadLetters(DeadLettersArgs),
    /// Ask a running process whether it is ready (exit code 0) or not (3)
    Health(HealthArgs),
    /// Print a shell completion script
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Manifests.
#[derive(Args, Debug, Clone)]
pub(crate) struct Files {
    /// Manifest to read; may be given several times, `-` is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Where secrets are.
#[derive(Args, Debug, Clone)]
pub(crate) struct SecretArgs {
    /// Folder of secrets: `secretKeyRef: {name: discord, key: url}` is the file DIR/discord/url.
    /// The variable PRICEMONITOR_SECRET_DISCORD_URL serves as well
    #[arg(long, value_name = "DIR", env = "PRICEMONITOR_SECRETS_DIR")]
    pub(crate) secrets_dir: Option<PathBuf>,
}

/// Where data is.
#[derive(Args, Debug, Clone)]
pub(crate) struct DataArgs {
    /// Folder for everything that is kept
    #[arg(long, value_name = "DIR", default_value = "./data", env = "PRICEMONITOR_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
}

/// `pricemonitor up`.
#[derive(Args, Debug)]
#[command(
    after_help = "Everything is kept in the data folder: stop the process, kill it, start it again, and it goes
on where it stood; no observation or alert is lost or doubled. Ctrl-C ends it in order, within
seconds; a second Ctrl-C ends it at once, with exit code 130 (143 for SIGTERM).

Examples:
  pricemonitor up -f examples/electricity.yaml
  pricemonitor up -f tickets.yaml --data-dir /var/lib/prices --listen 127.0.0.1:9000
  cat monitor.yaml | pricemonitor up -f -
  pricemonitor up -f tickets.yaml --bootstrap-servers localhost:9092 \\
    --database-url postgres://prices@localhost/prices     (POSTGRES_PASSWORD has the password)"
)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    /// Address of the page, the API and the metrics; a port of 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8501", env = "PRICEMONITOR_LISTEN")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// How the console speaks
    #[arg(long, value_enum, default_value_t = LogFormat::Human, env = "PRICEMONITOR_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Say less: no line for each price change
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Who may see the page.
#[derive(Args, Debug, Clone)]
pub(crate) struct PageArgs {
    /// Another name under which the page may be reached, such as prices.example.org; may be given
    /// several times. Requests for names that are not known are refused
    #[arg(long, value_name = "NAME", env = "PRICEMONITOR_ALLOW_HOST", value_delimiter = ',')]
    pub(crate) allow_host: Vec<String>,
    /// Whoever wants to see the page must know this; best given by the variable, which others on the
    /// machine cannot see
    #[arg(long, value_name = "TOKEN", env = "PRICEMONITOR_PAGE_TOKEN", hide_env_values = true)]
    pub(crate) page_token: Option<PageToken>,
}

/// The page's token. Its `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub(crate) struct PageToken(pub(crate) SecretString);

impl std::str::FromStr for PageToken {
    /// It is judged later: clap would repeat a refused value.
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<PageToken, std::convert::Infallible> {
        Ok(PageToken(SecretString::new(text)))
    }
}

/// How the console speaks.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `pricemonitor validate`.
#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    /// A document as the source would deliver it: shows the observations that its reader makes of it
    #[arg(long, value_name = "FILE")]
    pub(crate) sample: Option<PathBuf>,
    /// Whose reader takes the sample, where the manifest has several sources
    #[arg(long, value_name = "NAME", requires = "sample")]
    pub(crate) source: Option<String>,
}

/// `pricemonitor test-alert`.
#[derive(Args, Debug)]
pub(crate) struct TestAlertArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    /// Only this channel
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: Option<String>,
    /// Show what would be sent, send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `pricemonitor export`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pricemonitor export -f tickets.yaml --format csv > prices.csv
  pricemonitor export -f tickets.yaml --format json --since 24h | jq .price")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// PostgreSQL, instead of SQLite in the data folder: postgres://USER@HOST:PORT/DATABASE; the password is best
    /// left to the variable POSTGRES_PASSWORD
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<DatabaseUrl>,
    /// What to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub(crate) format: ExportFormat,
    /// Only prices since then: a time such as 2026-01-04T22:45:00Z, or an age such as 24h
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
}

/// What `export` writes.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// Comma-separated, with a header.
    Csv,
    /// One JSON object a line.
    Json,
}

/// `pricemonitor health`.
#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// Address of the running process
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8501", env = "PRICEMONITOR_URL")]
    pub(crate) url: String,
    /// How long to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub(crate) timeout: u64,
}

impl HealthArgs {
    /// The wait as a span.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs(self.timeout.clamp(1, 60))
    }
}

/// The variables named `PRICEMONITOR_SECRET_...`; `DISCORD_WEBHOOK_URL` stands for the key `webhook-url` of the
/// Secret `discord` where that has no variable of its own.
pub(crate) fn secret_variables() -> impl Iterator<Item = (String, String)> {
    let discord = std::env::var("DISCORD_WEBHOOK_URL").ok().filter(|url| !url.is_empty());
    let discord = discord.map(|url| (DISCORD_VARIABLE.to_owned(), url));
    let ours = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with("PRICEMONITOR_SECRET_").then_some(())?;
        Some((name, value.into_string().ok()?))
    });
    discord.into_iter().chain(ours)
}

/// Whether the environment says where Discord is.
pub(crate) fn discord_is_given() -> bool {
    std::env::var_os("DISCORD_WEBHOOK_URL").is_some_and(|url| !url.is_empty())
}

/// What the Secret of [`ChannelSettings::discord`](pricemonitor_config::ChannelSettings::discord) is as a variable.
const DISCORD_VARIABLE: &str = "PRICEMONITOR_SECRET_DISCORD_WEBHOOK_URL";

/// The filter of the log, from `RUST_LOG`.
pub(crate) fn log_filter() -> Option<String> {
    std::env::var("RUST_LOG").ok()
}

/// Prints the manual page.
pub(crate) fn man_page() -> Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::runtime)?;
    out::bytes(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
