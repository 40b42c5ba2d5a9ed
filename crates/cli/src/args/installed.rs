//! Commands that look at what runs, or ran.

use clap::{Args, Subcommand, ValueEnum};
use pricemonitor_workers::letters::LetterId;

use super::{DataArgs, Files, SecretArgs, ServerArgs};

/// Which installation.
#[derive(Args, Debug, Clone)]
pub(crate) struct InstalledArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Only this monitor of the manifests, by its name or its id
    #[arg(long, value_name = "NAME")]
    pub(crate) monitor: Option<String>,
    /// Look at what `pricemonitor up` keeps in the data folder, whatever servers the manifest or the
    /// environment names
    #[arg(long, conflicts_with_all = ["bootstrap_servers", "database_url"])]
    pub(crate) embedded: bool,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
}

/// How an answer is written.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `pricemonitor audit`.
#[derive(Args, Debug)]
#[command(
    after_help = "Compares every raw record that the log still has with its event, its dead letter, its row in the
database, its line in the CSV file and its alerts, and says what is missing, doubled or without a cause,
by the raw record's place (incarnation-partition-offset). Changes nothing; runs beside workers at work.
What is still on its way, and what retention has deleted, is no mistake, and is told.

Exit codes: 0 clean, 1 not clean (or the input is wrong), 3 it could not be compared.

Examples:
  pricemonitor audit -f monitor.yaml
  pricemonitor audit -f monitor.yaml --data-dir /var/lib/prices --embedded
  pricemonitor audit -f monitor.yaml --format json | jq .findings"
)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) installed: InstalledArgs,
    /// What to write
    #[arg(long, value_enum, default_value_t = AnswerFormat::Human)]
    pub(crate) format: AnswerFormat,
}

/// `pricemonitor dead-letters`.
#[derive(Args, Debug)]
#[command(after_help = "Where nothing names Kafka (the command line, the manifest, the variable
KAFKA_BOOTSTRAP_SERVERS), the log is the one that `pricemonitor up` keeps in the data folder.
Reasons: empty, malformed, out_of_range, too_long, future, wrong_partition; docs/records.md tells more.

Examples:
  pricemonitor dead-letters list -f monitor.yaml --since 24h
  pricemonitor dead-letters list -f monitor.yaml --reason future --format json | jq .payload
  pricemonitor dead-letters show -f monitor.yaml 0:17
  pricemonitor dead-letters retry -f monitor.yaml 0:17 0:18
  pricemonitor dead-letters retry -f monitor.yaml --all --reason future --dry-run")]
pub(crate) struct DeadLettersArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
}

/// What is done with dead letters.
#[derive(Subcommand, Debug)]
pub(crate) enum DeadLettersCommand {
    /// List the newest dead letters, oldest first
    List(ListArgs),
    /// Show everything of a dead letter
    Show(ShowArgs),
    /// Put records back on the raw topic, each once
    Retry(RetryArgs),
}

/// Which letters.
#[derive(Args, Debug, Clone)]
pub(crate) struct SelectArgs {
    /// Only with this reason
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// Only from this time on, such as 2026-01-04T22:45:00Z, or this age, such as 24h
    #[arg(long, value_name = "TIME|AGE")]
    pub(crate) since: Option<String>,
}

/// `pricemonitor dead-letters list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) installed: InstalledArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// At most so many, the newest (of each monitor)
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// What to write
    #[arg(long, value_enum, default_value_t = AnswerFormat::Human)]
    pub(crate) format: AnswerFormat,
}

/// `pricemonitor dead-letters show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) installed: InstalledArgs,
    /// Ids as `list` shows them
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<LetterId>,
    /// What to write
    #[arg(long, value_enum, default_value_t = AnswerFormat::Human)]
    pub(crate) format: AnswerFormat,
}

/// `pricemonitor dead-letters retry`.
#[derive(Args, Debug)]
#[command(after_help = "The payload goes back with its key, which decides the partition, and the letter is
marked as retried in the same transaction. A letter whose key or payload was too long to be kept whole is
left alone. What `pricemonitor up` keeps in its data folder can be written only while it is stopped.")]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) installed: InstalledArgs,
    /// Ids as `list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<LetterId>,
    /// All letters, or those that the filters take
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Also letters that were put back before
    #[arg(long)]
    pub(crate) again: bool,
    /// Say what would be put back, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
