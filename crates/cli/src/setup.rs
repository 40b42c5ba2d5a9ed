//! `pricemonitor setup` and `teardown`: topics and tables, and their end.

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::kafka::{self, Connection, SetUp, Setup};
use pricemonitor_eventlog::{Stop, Topic};
use pricemonitor_store::postgres::Roles;
use pricemonitor_store::{Database, postgres};
use pricemonitor_workers::Health;
use pricemonitor_workers::health::Part;
use tokio::runtime::Handle;

use crate::args::{LogFormat, ServerVariables, SetupArgs, TeardownArgs};
use crate::exit::{Failure, Result};
use crate::input::{self, Loaded};
use crate::logging;
use crate::out::say;
use crate::pipeline::connect::{self, Trouble, Waiting, layout};
use crate::pipeline::host;
use crate::servers::Servers;

/// Makes what every monitor needs.
pub(crate) fn run(args: &SetupArgs) -> Result<()> {
    logging::start(LogFormat::Human);
    let (loaded, secrets) = (input::manifests(&args.files)?, input::secrets(&args.secrets)?);
    let variables = ServerVariables::read();
    let servers = Servers { args: &args.servers, variables: &variables, secrets: &secrets };
    let (health, stop, runtime) = (Health::new(), Stop::new(), host::runtime()?);
    let waiting = Waiting { health: &health, stop: &stop, patience: Some(args.patience.span()) };
    for Loaded { monitor, .. } in &loaded {
        say!("{}", monitor.id.name())?;
        let connection = servers.kafka(monitor)?;
        if let Some(done) = topics(&waiting, &connection, monitor, args.adopt)? {
            told("kafka", &lines(&done), "every topic is there")?;
        }
        let Some(settings) = servers.postgres(monitor)? else {
            say!("  postgres  not used: the manifest names none")?;
            continue;
        };
        let roles = Roles { workers: args.worker_role.clone(), readers: args.reader_role.clone() };
        if let Some(made) = tables(&waiting, runtime.handle(), &settings, &roles, monitor.id.as_str())? {
            told("postgres", &made, "every table is there")?;
        }
    }
    Ok(())
}

/// What `setup` did and saw, a line each.
fn lines(done: &SetUp) -> Vec<String> {
    let mut lines: Vec<String> = done.made.iter().map(|name| format!("made {name}")).collect();
    lines.extend(done.adopted_from.iter().map(|other| format!("taken over from the monitor {other}")));
    let anew = |raw: &String| format!("{raw} was made anew by another tool: it has another life from now on");
    lines.extend(done.begun_anew.iter().map(anew));
    lines.extend(done.differences.iter().map(|it| it.to_string()));
    lines.extend(done.not_compared.iter().map(|why| format!("settings of topics were not compared: {why}")));
    lines
}

fn told(what: &str, made: &[String], nothing: &str) -> Result<()> {
    if made.is_empty() {
        say!("  {what:<8}  {nothing}")?;
    }
    for line in made {
        say!("  {what:<8}  {line}")?;
    }
    Ok(())
}

/// Makes the topics of a monitor; says what it did. `None`: stopped while waiting.
pub(crate) fn topics(
    waiting: &Waiting<'_>,
    connection: &Connection,
    monitor: &Monitor,
    adopt: bool,
) -> Result<Option<SetUp>> {
    let part = Part::worker(monitor.id.as_str(), "kafka");
    let replication = monitor.kafka.replication_factor.map(|factor| factor as i32);
    let mut wanted = Setup { replication, adopt, ..Setup::default() };
    let said = &monitor.kafka.retention;
    for (topic, kept) in [
        (Topic::Raw, said.raw),
        (Topic::Processed, said.processed),
        (Topic::Alerts, said.alerts),
        (Topic::DeadLetters, said.dead_letters),
    ] {
        if let Some(kept) = kept {
            wanted.retention.insert(topic, u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
        }
    }
    waiting.until(&part, || {
        kafka::setup(connection, &monitor.id, &layout(monitor), &wanted).map_err(|error| {
            match connect::trouble(&error) {
                // Waiting would not make it another topic.
                Trouble::Passing(why) if matches!(error, pricemonitor_eventlog::Error::Position(_)) => {
                    Trouble::Final(why)
                }
                other => other,
            }
        })
    })
}

/// Makes the tables; says what it did. `None`: stopped while waiting.
pub(crate) fn tables(
    waiting: &Waiting<'_>,
    runtime: &Handle,
    settings: &postgres::Settings,
    roles: &Roles,
    monitor: &str,
) -> Result<Option<Vec<String>>> {
    let part = Part::worker(monitor, "postgres");
    waiting.until(&part, || {
        runtime.block_on(postgres::migrate(settings, roles)).map_err(|error| {
            let why = error.to_string();
            if error.is_transient() { Trouble::Passing(why) } else { Trouble::Final(why) }
        })
    })
}

/// Deletes what `setup` made, and on demand what was stored.
pub(crate) fn teardown(args: &TeardownArgs) -> Result<()> {
    logging::start(LogFormat::Human);
    let (loaded, secrets) = (input::manifests(&args.files)?, input::secrets(&args.secrets)?);
    let variables = ServerVariables::read();
    let servers = Servers { args: &args.servers, variables: &variables, secrets: &secrets };
    let (health, stop, runtime) = (Health::new(), Stop::new(), host::runtime()?);
    let waiting = Waiting { health: &health, stop: &stop, patience: Some(args.patience.span()) };
    for Loaded { monitor, .. } in &loaded {
        say!("{}", monitor.id.name())?;
        let connection = servers.kafka(monitor)?;
        let settings = servers.postgres(monitor)?.filter(|_| args.history);
        if !args.yes {
            say!("  would delete its topics at {}", connection.bootstrap_servers)?;
            if settings.is_some() {
                say!("  would delete its history and alerts in PostgreSQL")?;
            }
            continue;
        }
        let part = Part::worker(monitor.id.as_str(), "kafka");
        let gone = waiting.until(&part, || {
            kafka::teardown(&connection, &monitor.id, &layout(monitor)).map_err(|error| match error {
                pricemonitor_eventlog::Error::Retry(why) => Trouble::Passing(why),
                other => Trouble::Final(other.to_string()),
            })
        })?;
        let gone: Vec<String> = gone.into_iter().flatten().map(|name| format!("deleted {name}")).collect();
        told("kafka", &gone, "there was no topic of it")?;
        if let Some(settings) = &settings {
            let opened = connect::postgres(&waiting, runtime.handle(), settings, monitor.id.as_str())?;
            forget(opened, monitor, runtime.handle())?;
        }
    }
    if !args.yes {
        return Err(Failure::input("nothing was deleted: say --yes to do it"));
    }
    Ok(())
}

fn forget(database: Option<Database>, monitor: &Monitor, runtime: &Handle) -> Result<()> {
    let Some(database) = database else { return Ok(()) };
    let removed = runtime.block_on(database.remove(&monitor.id)).map_err(Failure::runtime)?;
    say!("  postgres  deleted {} prices and {} alerts", removed.rows, removed.alerts)
}
