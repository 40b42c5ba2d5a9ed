//! `pricemonitor run`: one kind of worker, on Apache Kafka and PostgreSQL.

use pricemonitor_config::Secrets;
use pricemonitor_eventlog::Stop;
use pricemonitor_eventlog::kafka::Connection;
use pricemonitor_store::{Database, postgres};
use pricemonitor_workers::Witness;
use tokio::runtime::Runtime;

use crate::args::{Role, RunArgs, ServerVariables};
use crate::exit::{Failure, Result};
use crate::input::{self, Loaded};
use crate::logging;
use crate::pipeline::connect::{self, Waiting};
use crate::pipeline::host::{self, Given, Host};
use crate::pipeline::{Ground, Roles, Shared, web};
use crate::servers::Servers;

/// Runs until a signal, or until the worker cannot go on.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    logging::start(args.log_format);
    let loaded = input::manifests(&args.files)?;
    let secrets = input::secrets(&args.secrets)?;
    let runtime = host::runtime()?;
    let result = everything(args, loaded, secrets, &runtime);
    host::leave(runtime);
    result
}

fn everything(args: &RunArgs, loaded: Vec<Loaded>, secrets: Secrets, runtime: &Runtime) -> Result<()> {
    let access = web::Access::of(&args.page)?;
    let plans = plans(args, &secrets, loaded)?;
    let bound = runtime.block_on(web::bind(args.listen))?;
    let instance = args.instance.clone().unwrap_or_else(|| host::instance(bound.address()));
    tracing::info!(role = args.role.name(), instance, listen = %bound.address(), "started");
    let given = Given {
        secrets,
        secrets_dir: args.secrets.secrets_dir.clone(),
        data_dir: args.data.data_dir.clone(),
        instance,
        skip_deleted: args.skip_deleted,
        witness: Witness::none(),
    };
    let mut host = Host::new(runtime, given)?;
    let (shared, role) = (host.shared.clone(), args.role);
    let answers = host.serve(bound);
    let opened = host.connect(move |stop| open(role, plans, &shared, stop))?;
    let Some(opened) = opened else { return Ok(()) };
    if let Some(database) = opened.databases.first().filter(|_| role == Role::Dashboard) {
        let (shared, stop) = (host.shared.clone(), host.stop.clone());
        host.beside(web::page(answers, access, database.clone(), shared, stop));
    }
    let (ended, flushed) = host.work(opened.monitors, opened.databases, roles(role), false);
    flushed.errors.iter().for_each(|error| tracing::error!("{error}"));
    tracing::info!(role = role.name(), "stopped");
    ended
}

/// What a role means for the workers; the page is none of them.
fn roles(role: Role) -> Roles {
    let none = Roles::NONE;
    match role {
        Role::Producer => Roles { producer: true, ..none },
        Role::Processor => Roles { processor: true, ..none },
        Role::Storage => Roles { storage: true, ..none },
        Role::Alert => Roles { alert: true, ..none },
        Role::Dashboard => none,
    }
}

/// A monitor with the servers that the role needs.
struct Planned {
    loaded: Loaded,
    cluster: Option<Connection>,
    database: Option<postgres::Settings>,
}

fn plans(args: &RunArgs, secrets: &Secrets, loaded: Vec<Loaded>) -> Result<Vec<Planned>> {
    let variables = ServerVariables::read();
    let servers = Servers { args: &args.servers, variables: &variables, secrets };
    let mut plans = Vec::new();
    for loaded in loaded {
        let monitor = &loaded.monitor;
        let cluster = if args.role == Role::Dashboard { None } else { Some(servers.kafka(monitor)?) };
        let database = match args.role {
            Role::Producer | Role::Processor => None,
            Role::Storage | Role::Alert | Role::Dashboard => servers.postgres(monitor)?,
        };
        let needed = match args.role {
            Role::Producer | Role::Processor => false,
            Role::Storage => monitor.csv.is_none(),
            Role::Alert | Role::Dashboard => true,
        };
        if needed && database.is_none() {
            let or = if args.role == Role::Storage { ", or a CSV file by spec.storage.csv" } else { "" };
            return Err(Failure::input(format!(
                "{}: the {} needs PostgreSQL: write spec.storage.postgres, or give --database-url or the variables \
                 POSTGRES_HOST, POSTGRES_USER and POSTGRES_PASSWORD{or}",
                monitor.id.name(),
                args.role.name()
            )));
        }
        plans.push(Planned { loaded, cluster, database });
    }
    one_database(args.role, &plans)?;
    Ok(plans)
}

/// One page shows one database.
fn one_database(role: Role, plans: &[Planned]) -> Result<()> {
    let mut databases = plans.iter().filter_map(|plan| plan.database.as_ref());
    let Some(first) = databases.next().filter(|_| role == Role::Dashboard) else { return Ok(()) };
    if databases.all(|other| other == first) {
        return Ok(());
    }
    Err(Failure::input("these monitors keep their history in different databases: run a dashboard for each"))
}

/// What was opened.
struct Opened {
    monitors: Vec<(Loaded, Ground)>,
    /// Each database once.
    databases: Vec<Database>,
}

fn open(role: Role, plans: Vec<Planned>, shared: &Shared, stop: &Stop) -> Result<Option<Opened>> {
    let waiting = Waiting { health: &shared.health, stop, patience: None };
    let mut opened = Opened { monitors: Vec::new(), databases: Vec::new() };
    let mut known: Vec<(postgres::Settings, Database)> = Vec::new();
    for Planned { loaded, cluster, database } in plans {
        let database = match database {
            None => None,
            Some(settings) => match known.iter().find(|(other, _)| *other == settings) {
                Some((_, database)) => Some(database.clone()),
                None => {
                    let id = loaded.monitor.id.as_str();
                    let new = connect::postgres(&waiting, &shared.runtime, &settings, id)?;
                    let Some(new) = new else { return Ok(None) };
                    known.push((settings, new.clone()));
                    Some(new)
                }
            },
        };
        let Some(cluster) = cluster.filter(|_| role != Role::Dashboard) else { continue };
        let log = connect::kafka(&waiting, &cluster, &loaded.monitor, shared)?;
        let Some(log) = log else { return Ok(None) };
        if let Some(database) = database.as_ref().filter(|_| matches!(role, Role::Storage | Role::Alert)) {
            let (runtime, monitor) = (&shared.runtime, &loaded.monitor);
            let known = connect::register(&waiting, runtime, database, monitor, monitor.id.as_str())?;
            if known.is_none() {
                return Ok(None);
            }
        }
        opened.monitors.push((loaded, Ground { log, database }));
    }
    opened.databases = known.into_iter().map(|(_, database)| database).collect();
    Ok(Some(opened))
}
