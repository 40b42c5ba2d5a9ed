//! What the monitors of `up` stand on: the data folder, or real servers where the command line names them.

use std::path::PathBuf;

use pricemonitor_config::{Monitor, Secrets};
use pricemonitor_eventlog::embedded::{EmbeddedStore, Options};
use pricemonitor_eventlog::kafka::Connection;
use pricemonitor_eventlog::{Log, Stop};
use pricemonitor_store::{Database, postgres};
use pricemonitor_workers::now;

use crate::args::{ServerVariables, UpArgs};
use crate::exit::{Failure, Result};
use crate::input::Loaded;
use crate::pipeline::connect::{self, Waiting};
use crate::pipeline::{Ground, Shared};
use crate::servers::Servers;
use crate::setup;

/// What is to be opened.
pub(super) struct Plan {
    data_dir: PathBuf,
    /// For each monitor, in their order; empty without a cluster.
    clusters: Vec<Connection>,
    database: Option<postgres::Settings>,
}

/// The monitors with what they stand on, and the database of all of them.
pub(super) type Prepared = (Vec<(Loaded, Ground)>, Database);

impl Plan {
    /// As the command line says: without it nothing of what the manifests say of servers is used.
    pub(super) fn of(args: &UpArgs, secrets: &Secrets, loaded: &[Loaded]) -> Result<Plan> {
        let variables = ServerVariables::read();
        let servers = Servers { args: &args.servers, variables: &variables, secrets };
        let mut plan = Plan { data_dir: args.data.data_dir.clone(), clusters: Vec::new(), database: None };
        if args.servers.bootstrap_servers.is_some() {
            plan.clusters =
                loaded.iter().map(|one| servers.kafka(&one.monitor)).collect::<Result<Vec<_>>>()?;
        }
        if args.servers.database_url.is_some()
            && let Some(one) = loaded.first()
        {
            plan.database = servers.postgres(&one.monitor)?;
        }
        Ok(plan)
    }

    /// Opens everything; real servers are waited for and set up. `None`: stopped first.
    pub(super) fn prepare(
        self,
        loaded: Vec<Loaded>,
        shared: &Shared,
        stop: &Stop,
    ) -> Result<Option<Prepared>> {
        let waiting = Waiting { health: &shared.health, stop, patience: None };
        // First, as it also says that the folder is ours alone.
        let embedded = match self.clusters.is_empty() {
            true => Some(EmbeddedStore::open(&self.data_dir, Options::default()).map_err(Failure::input)?),
            false => None,
        };
        let Some(database) = self.database(shared, &waiting)? else { return Ok(None) };
        let mut monitors = Vec::new();
        for (n, one) in loaded.into_iter().enumerate() {
            let log = match (&embedded, self.clusters.get(n)) {
                (Some(store), _) => {
                    let log = store.monitor(&one.monitor.id, &connect::layout(&one.monitor));
                    Some(Log::from(log.map_err(Failure::input)?))
                }
                (None, Some(cluster)) => {
                    if setup::topics(&waiting, cluster, &one.monitor, false)?.is_none() {
                        return Ok(None);
                    }
                    connect::kafka(&waiting, cluster, &one.monitor, shared)?
                }
                (None, None) => return Err(Failure::runtime("a monitor has no event log")),
            };
            let Some(log) = log else { return Ok(None) };
            if self.register(&one.monitor, &database, shared, &waiting)?.is_none() {
                return Ok(None);
            }
            monitors.push((one, Ground { log, database: Some(database.clone()) }));
        }
        Ok(Some((monitors, database)))
    }

    /// Makes a monitor known to the database. A server may be away again; a file that does not take it is no good.
    fn register(
        &self,
        monitor: &Monitor,
        database: &Database,
        shared: &Shared,
        waiting: &Waiting<'_>,
    ) -> Result<Option<()>> {
        if self.database.is_some() {
            return connect::register(waiting, &shared.runtime, database, monitor, "database");
        }
        let register = database.register(&monitor.id, monitor.retention, now());
        shared.runtime.block_on(register).map(|_| Some(())).map_err(Failure::input)
    }

    fn database(&self, shared: &Shared, waiting: &Waiting<'_>) -> Result<Option<Database>> {
        let Some(settings) = &self.database else {
            let path = self.data_dir.join("prices.sqlite");
            return shared.runtime.block_on(Database::open_sqlite(&path)).map(Some).map_err(Failure::input);
        };
        let roles = postgres::Roles::default();
        if setup::tables(waiting, &shared.runtime, settings, &roles, "database")?.is_none() {
            return Ok(None);
        }
        connect::postgres(waiting, &shared.runtime, settings, "database")
    }
}
