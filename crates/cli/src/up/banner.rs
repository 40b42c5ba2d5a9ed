//! The first and the last screen.

use std::net::SocketAddr;

use crate::args::{LogFormat, UpArgs};
use crate::input::Loaded;
use crate::out;
use crate::pipeline::stop::Flushed;

/// A line on standard output, if anybody reads it.
macro_rules! say {
    ($($text:tt)*) => {
        out::show(&format!("{}\n", format_args!($($text)*)))
    };
}

/// Says what runs and where to look.
pub(super) fn print(args: &UpArgs, loaded: &[Loaded], page: SocketAddr) {
    if args.log_format == LogFormat::Json {
        return;
    }
    say!("PriceMonitor {}", env!("CARGO_PKG_VERSION"));
    for Loaded { monitor, .. } in loaded {
        let names = |names: Vec<&str>| names.join(", ");
        let sources = names(monitor.sources.iter().map(|source| source.name.as_str()).collect());
        let rules = names(monitor.rules.iter().map(|rule| &*rule.name).collect());
        let channels = match monitor.channels.as_slice() {
            [] => "this console and the page".to_owned(),
            all => names(all.iter().map(|channel| channel.name.as_str()).collect()),
        };
        say!("  {}", monitor.id.name());
        say!("    sources  {sources}");
        say!("    rules    {rules}");
        say!("    alerts   {channels}");
        if let Some(csv) = &monitor.csv {
            say!("    csv      {}", args.data.data_dir.join(&csv.path).display());
        }
        if monitor.suspend {
            say!("    suspended: its sources are not polled (spec.suspend)");
        }
        let unused: Vec<&str> =
            monitor.cluster_only.iter().copied().filter(|path| !used(args, path)).collect();
        if !unused.is_empty() {
            say!("    for a cluster only, not used here: {}", unused.join(", "));
        }
    }
    if let Some(servers) = &args.servers.bootstrap_servers {
        say!("  kafka      {servers}");
    }
    if args.servers.database_url.is_some() {
        say!("  postgres   as --database-url says");
    }
    say!("  data       {}", args.data.data_dir.display());
    say!("  page       http://{}", address(page));
    say!("Press Ctrl-C to stop.\n");
}

/// Whether what a manifest says for a cluster is used all the same, as the command line names one.
fn used(args: &UpArgs, path: &str) -> bool {
    let security = ["spec.kafka.replicationFactor", "spec.kafka.authentication", "spec.kafka.tls"];
    args.servers.bootstrap_servers.is_some() && security.contains(&path)
}

/// `localhost` for loopback, which is what people type.
fn address(page: SocketAddr) -> String {
    if page.ip().is_loopback() { format!("localhost:{}", page.port()) } else { page.to_string() }
}

/// Says what became of everything that was under way.
pub(super) fn goodbye(args: &UpArgs, flushed: &Flushed) {
    if args.log_format == LogFormat::Json {
        tracing::info!(left = flushed.left.len(), errors = flushed.errors.len(), "stopped");
        return;
    }
    if flushed.left.is_empty() {
        say!("\nStopped. Everything that was read is stored; the next start goes on from here.");
    } else {
        say!("\nStopped. Nothing is lost; the next start goes on with:");
        for (monitor, worker, records) in &flushed.left {
            say!("  {monitor} {worker}: {records} records to read");
        }
    }
    for error in &flushed.errors {
        out::tell(&format!("error: {error}"));
    }
}
