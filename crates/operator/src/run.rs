//! `pricemonitor-operator run`.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Config;
use pricemonitor_operator::election::Election;
use pricemonitor_operator::http;
use pricemonitor_operator::inputs::Apis;
use pricemonitor_operator::operator::Operator;
use pricemonitor_operator::reconcile::Settings;
use pricemonitor_operator::watches::WATCH;
use rand::Rng as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, RunArgs};
use crate::render::defaults;

/// Until SIGTERM or SIGINT.
pub(crate) fn run(args: RunArgs) -> Result<()> {
    log(&args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(work(args))
}

fn log(args: &RunArgs) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log: `{}`", args.log))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Human => {
            builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).compact().init();
        }
    }
    Ok(())
}

async fn work(args: RunArgs) -> Result<()> {
    let mut config = Config::infer()
        .await
        .context("no cluster: neither the service account of a pod nor a kubeconfig can be read")?;
    config.connect_timeout = Some(Duration::from_secs(5));
    // A list or a watch that nothing comes of: longer than the API keeps a silent watch.
    config.read_timeout = Some(Duration::from_secs(u64::from(WATCH) + 30));
    config.write_timeout = Some(Duration::from_secs(30));
    // A failed call is tried again by who made it, who may have to stop.
    config.default_retry = false;
    let namespace = args.lease_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    ensure!(args.watch_namespaces.iter().all(|name| !name.is_empty()), "--watch-namespaces: a name is empty");
    // Two processes of one name would each take the other's Lease for its own.
    let name = args.identity.clone().unwrap_or_else(|| "pricemonitor-operator".to_owned());
    let me = format!("{name}_{:08x}", rand::rng().random::<u32>());
    let listener =
        http::bind(args.listen).await.with_context(|| format!("--listen: cannot take {}", args.listen))?;
    let settings = Settings {
        defaults: defaults(&args.defaults),
        worker_image: args.defaults.worker_image.clone(),
        apis: Apis::default(),
    };
    tracing::info!(
        replica = me,
        cluster = %config.cluster_url,
        listen = %listener.local_addr()?,
        namespaces = if args.watch_namespaces.is_empty() { "all".to_owned() } else { args.watch_namespaces.join(",") },
        "starts"
    );
    let operator = Operator {
        config,
        settings,
        namespaces: args.watch_namespaces,
        election: Election { namespace, name: args.lease_name, me },
        listener,
    };
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    let listen = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stops");
        told.cancel();
    });
    let done = operator.run(stop).await;
    listen.abort();
    Ok(done?)
}
