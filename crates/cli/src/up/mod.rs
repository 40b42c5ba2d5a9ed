//! `pricemonitor up`: monitors in one process, on the embedded log and SQLite, or on real servers.

mod banner;
mod console;
mod ground;

use pricemonitor_config::Secrets;
use pricemonitor_workers::Witness;
use tokio::runtime::Runtime;

use crate::args::UpArgs;
use crate::exit::Result;
use crate::input::{self, Loaded};
use crate::logging;
use crate::pipeline::host::{self, Given, Host};
use crate::pipeline::stop::Flushed;
use crate::pipeline::{Ground, Roles, web};

/// Lines that may wait for the console; more are counted, not waited for.
const CONSOLE_ROOM: usize = 1024;
/// Name of this process among the members of a group, where it is the only one.
const INSTANCE: &str = "up";

/// Runs until a signal, or until a worker cannot go on.
pub(crate) fn run(args: UpArgs) -> Result<()> {
    logging::start(args.log_format);
    let loaded = input::manifests(&args.files)?;
    let secrets = input::secrets(&args.secrets)?;
    let runtime = host::runtime()?;
    let result = everything(&args, loaded, secrets, &runtime);
    host::leave(runtime);
    result
}

fn everything(args: &UpArgs, loaded: Vec<Loaded>, secrets: Secrets, runtime: &Runtime) -> Result<()> {
    let access = web::Access::of(&args.page)?;
    let (witness, seen) = Witness::channel(CONSOLE_ROOM);
    // The port first: it is the most likely thing to be taken, and nothing has happened yet.
    let bound = runtime.block_on(web::bind(args.listen))?;
    let shared_log = args.servers.bootstrap_servers.is_some();
    let given = Given {
        secrets: secrets.clone(),
        secrets_dir: args.secrets.secrets_dir.clone(),
        data_dir: args.data.data_dir.clone(),
        instance: if shared_log { host::instance(bound.address()) } else { INSTANCE.to_owned() },
        skip_deleted: false,
        witness: witness.clone(),
    };
    let mut host = Host::new(runtime, given)?;
    let several = loaded.len() > 1;
    let plan = ground::Plan::of(args, &secrets, &loaded)?;
    banner::print(args, &loaded, bound.address());
    let shared = host.shared.clone();
    let answers = host.serve(bound);
    let prepared = host.connect(move |stop| plan.prepare(loaded, &shared, stop))?;
    let Some((monitors, database)) = prepared else {
        banner::goodbye(args, &Flushed::default());
        return Ok(());
    };
    let console = console::Console::new(args, several, witness);
    let (shared, stop) = (host.shared.clone(), host.stop.clone());
    host.beside(console.run(seen, shared.metrics.clone(), stop.clone()));
    host.beside(web::page(answers, access, database.clone(), shared, stop));
    let monitors: Vec<(Loaded, Ground)> = monitors;
    let (ended, flushed) = host.work(monitors, vec![database], Roles::ALL, true);
    banner::goodbye(args, &flushed);
    ended
}
