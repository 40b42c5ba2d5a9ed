//! The command line. Environment variables are read here and nowhere else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs price monitors on Kubernetes.
#[derive(Parser, Debug)]
#[command(name = "pricemonitor-operator", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Look after the monitors of a cluster, until it is told to stop
    Run(Box<RunArgs>),
    /// Print the CustomResourceDefinition
    Crd,
    /// Print the operator's service account and what it may do
    Rbac(RbacArgs),
    /// Print every object that a manifest leads to, without a cluster
    Render(Box<RenderArgs>),
}

/// `pricemonitor-operator render`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pricemonitor-operator render -f monitor.yaml
  pricemonitor-operator render -f tickets.yaml --bootstrap-servers kafka:9092 --postgres-secret prices-app")]
pub(crate) struct RenderArgs {
    /// Manifest to read; may be given several times
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) defaults: DefaultArgs,
    /// Assume that the cluster has KEDA
    #[arg(long)]
    pub(crate) keda: bool,
    /// Assume that the cluster has the Prometheus operator
    #[arg(long)]
    pub(crate) pod_monitor: bool,
}

/// `pricemonitor-operator run`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pricemonitor-operator run --bootstrap-servers kafka.data:9092 --postgres-secret prices-app
  pricemonitor-operator run --watch-namespaces team-a,team-b

It reaches the cluster as kubectl does: by the service account of its pod, or by KUBECONFIG.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) defaults: DefaultArgs,
    /// Look after monitors of these namespaces alone [default: all]
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',', env = "PRICEMONITOR_WATCH_NAMESPACES")]
    pub(crate) watch_namespaces: Vec<String>,
    /// Address for /metrics, /livez and /readyz
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "0.0.0.0:9464",
        env = "PRICEMONITOR_OPERATOR_LISTEN"
    )]
    pub(crate) listen: std::net::SocketAddr,
    /// Namespace of the Lease that says which replica writes [default: that of the pod]
    #[arg(long, value_name = "NAMESPACE", env = "PRICEMONITOR_LEASE_NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,
    /// Name of that Lease
    #[arg(
        long,
        value_name = "NAME",
        default_value = "pricemonitor-operator",
        env = "PRICEMONITOR_LEASE_NAME"
    )]
    pub(crate) lease_name: String,
    /// Name of this replica in the Lease [default: that of the pod]
    #[arg(long, value_name = "NAME", env = "POD_NAME", hide_env_values = true)]
    pub(crate) identity: Option<String>,
    /// How the log is written
    #[arg(long, value_enum, default_value = "json", env = "PRICEMONITOR_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What is logged, such as `debug`
    #[arg(long, value_name = "FILTER", default_value = "warn,pricemonitor_operator=info", env = "RUST_LOG")]
    pub(crate) log: String,
}

/// `pricemonitor-operator rbac`.
#[derive(Args, Debug)]
pub(crate) struct RbacArgs {
    /// Namespace of the operator
    #[arg(short = 'n', long, value_name = "NAMESPACE", default_value = "pricemonitor-system")]
    pub(crate) namespace: String,
    /// Name of its service account and roles
    #[arg(long, value_name = "NAME", default_value = "pricemonitor-operator")]
    pub(crate) name: String,
    /// Namespaces that it looks after [default: all]
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    pub(crate) watch_namespaces: Vec<String>,
}

/// How the log is written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Human,
}

/// What is added to monitors that do not say it themselves.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Defaults")]
pub(crate) struct DefaultArgs {
    /// The workers' image, for monitors that name none
    #[arg(
        long,
        value_name = "IMAGE",
        env = "PRICEMONITOR_WORKER_IMAGE",
        default_value = concat!("pricemonitor:", env!("CARGO_PKG_VERSION"))
    )]
    pub(crate) worker_image: String,
    /// Apache Kafka, for monitors without spec.kafka.bootstrapServers
    #[arg(long, value_name = "HOST:PORT,...", env = "PRICEMONITOR_BOOTSTRAP_SERVERS")]
    pub(crate) bootstrap_servers: Option<String>,
    /// Secret with `username` and `password` for SCRAM-SHA-512 there; looked for in each monitor's namespace
    #[arg(long, value_name = "SECRET", requires = "bootstrap_servers", env = "PRICEMONITOR_KAFKA_SECRET")]
    pub(crate) kafka_secret: Option<String>,
    /// Secret with `ca.crt`, the authority of Kafka's certificates; looked for in each monitor's namespace
    #[arg(long, value_name = "SECRET", requires = "bootstrap_servers", env = "PRICEMONITOR_KAFKA_CA_SECRET")]
    pub(crate) kafka_ca_secret: Option<String>,
    /// Copies of every record, for monitors without spec.kafka.replicationFactor
    #[arg(long, value_name = "N", env = "PRICEMONITOR_REPLICATION_FACTOR")]
    pub(crate) replication_factor: Option<u32>,
    /// Secret for spec.storage.postgres of monitors without one; looked for in each monitor's namespace
    #[arg(long, value_name = "SECRET", env = "PRICEMONITOR_POSTGRES_SECRET")]
    pub(crate) postgres_secret: Option<String>,
    /// How the connection to that PostgreSQL is secured
    #[arg(long, value_name = "MODE", default_value = "verify-full", env = "PRICEMONITOR_POSTGRES_TLS_MODE",
          value_parser = ["disable", "require", "verify-ca", "verify-full"])]
    pub(crate) postgres_tls_mode: String,
    /// Secret with `ca.crt`, the authority of that PostgreSQL's certificate
    #[arg(
        long,
        value_name = "SECRET",
        requires = "postgres_secret",
        env = "PRICEMONITOR_POSTGRES_CA_SECRET"
    )]
    pub(crate) postgres_ca_secret: Option<String>,
    /// A ConfigMap with a Grafana dashboard for every monitor that does not say otherwise
    #[arg(long, env = "PRICEMONITOR_GRAFANA_DASHBOARDS")]
    pub(crate) grafana_dashboards: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
