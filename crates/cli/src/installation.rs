//! What a monitor stands on, for commands that look at it from outside.

use pricemonitor_config::{Monitor, Secrets};
use pricemonitor_eventlog::embedded::{EmbeddedStore, Options};
use pricemonitor_eventlog::kafka::{self, KafkaLog};
use pricemonitor_eventlog::{Error, Log};
use pricemonitor_store::Database;
use tokio::runtime::Handle;

use crate::args::{InstalledArgs, ServerVariables};
use crate::exit::{Failure, Result};
use crate::input::{self, Loaded};
use crate::pipeline::connect::layout;
use crate::servers::Servers;

/// What is to be done with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Also while others work with it.
    Read,
    /// Of a data folder, only while nobody works with it.
    Write,
}

/// The monitors of the command line, and where they are.
pub(crate) struct Installation<'a> {
    pub(crate) args: &'a InstalledArgs,
    pub(crate) monitors: Vec<Loaded>,
    variables: ServerVariables,
    secrets: Secrets,
}

/// The log of a monitor.
pub(crate) struct OpenLog {
    pub(crate) log: Log,
    // Second: the log goes before what it is in.
    _store: Option<EmbeddedStore>,
}

impl Installation<'_> {
    /// Reads the manifests.
    pub(crate) fn load(args: &InstalledArgs) -> Result<Installation<'_>> {
        let mut monitors = input::manifests(&args.files)?;
        if let Some(name) = &args.monitor {
            let known: Vec<String> = monitors.iter().map(|one| one.monitor.id.name().to_owned()).collect();
            monitors.retain(|one| one.monitor.id.name() == name || one.monitor.id.as_str() == name);
            if monitors.is_empty() {
                return Err(Failure::input(format!(
                    "--monitor {name}: the manifests have no such monitor, only {}",
                    known.join(", ")
                )));
            }
        }
        let secrets = input::secrets(&args.secrets)?;
        Ok(Installation { args, monitors, variables: ServerVariables::read(), secrets })
    }

    /// The one monitor, for commands that are about one.
    pub(crate) fn only(&self) -> Result<&Monitor> {
        match self.monitors.as_slice() {
            [one] => Ok(&one.monitor),
            several => {
                Err(Failure::input(format!("there are {} monitors: name one with --monitor", several.len())))
            }
        }
    }

    /// Where servers are looked for.
    pub(crate) fn servers(&self) -> Servers<'_> {
        Servers { args: &self.args.servers, variables: &self.variables, secrets: &self.secrets }
    }

    /// Whether the monitor's log is on a cluster.
    pub(crate) fn on_cluster(&self, monitor: &Monitor) -> bool {
        let named =
            [&self.args.servers.bootstrap_servers, &monitor.kafka.bootstrap_servers, &self.variables.kafka];
        !self.args.embedded && named.into_iter().any(Option::is_some)
    }

    /// Opens the database of a monitor: the server that is named, else the file in the data folder; `None` where
    /// there is neither.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn database(&self, monitor: &Monitor, runtime: &Handle) -> Result<Option<Database>> {
        if (self.on_cluster(monitor) || self.args.servers.database_url.is_some())
            && let Some(settings) = self.servers().postgres(monitor)?
        {
            let opened = runtime.block_on(Database::open_postgres(&settings));
            return opened.map(Some).map_err(Failure::input);
        }
        let path = self.args.data.data_dir.join("prices.sqlite");
        if !path.is_file() {
            return Ok(None);
        }
        runtime.block_on(Database::open_sqlite(&path)).map(Some).map_err(Failure::input)
    }

    /// Opens the log of a monitor.
    ///
    /// # Errors
    /// When it is not there, or cannot be used that way now.
    pub(crate) fn log(&self, monitor: &Monitor, access: Access) -> Result<OpenLog> {
        if self.on_cluster(monitor) {
            let connection = self.servers().kafka(monitor)?;
            let options = kafka::Options::default();
            let log = KafkaLog::open(&connection, &monitor.id, &layout(monitor), options).map_err(failed)?;
            return Ok(OpenLog { log: log.into(), _store: None });
        }
        let dir = &self.args.data.data_dir;
        // To be written it must be there as well: a command makes no folder by mistake.
        let mut store = EmbeddedStore::open_to_read(dir, Options::default()).map_err(failed)?;
        store.monitor(&monitor.id, &layout(monitor)).map_err(failed)?;
        if access == Access::Write {
            drop(store);
            store = EmbeddedStore::open(dir, Options::default()).map_err(failed)?;
        }
        let log = store.monitor(&monitor.id, &layout(monitor)).map_err(failed)?;
        Ok(OpenLog { log: log.into(), _store: Some(store) })
    }
}

/// An error of the log: what only a person can put right, or what failed.
pub(crate) fn failed(error: Error) -> Failure {
    match error {
        Error::InUse(_) | Error::Newer(_) | Error::Position(_) | Error::Storage(_) => Failure::input(error),
        _ => Failure::runtime(error),
    }
}
