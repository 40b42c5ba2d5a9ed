//! A container engine (Debian's dockerd) of a test's own, and what it needs where nothing can be pulled: base images made
//! of this machine's files, and stand-ins for the images of other people.
//!
//! An engine that builds stays in this machine's network, without a bridge and without a rule of the firewall, so that
//! `--network=host` reaches the package registries. An engine that runs containers lives on a machine apart: whatever
//! becomes of the test, everything in it ends with it. Both have the same data: what was built is what runs. That is kept
//! in the cache folder, with the layers of dependencies that took minutes to compile.

mod bases;
mod built;
mod stand_ins;

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use built::IMAGE;
pub use stand_ins::StandIn;

use crate::apart::{self, Namespaces, cable, cgroup};
use crate::place::Place;
use crate::process::Process;
use crate::provisioned::{DOCKER, DOCKER_TOOLS, cache};
use crate::server::{Server, joined};

/// An engine answers within a second; a busy machine takes longer.
const START: Duration = Duration::from_secs(60);
/// How long one call of the client may take that builds nothing.
const CALL: Duration = Duration::from_secs(10 * 60);

/// Where an engine's containers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// On this machine, in its network.
    Here,
    /// On a machine apart, with a network of their own.
    Apart,
}

/// A running engine. Dropping it ends it and every container. There is one at a time: another one waits.
#[derive(Debug)]
pub struct Engine {
    // In the order in which they end.
    server: Server,
    _namespaces: Namespaces,
    _cgroups: cgroup::Tree,
    place: Place,
    _turn: apart::Turn,
}

/// Why this machine can have no engine; `None` where it can, once `cargo xtask provision docker` has run.
pub fn obstacle() -> Option<String> {
    if !apart::is_there("apt-get") {
        return Some("base images are made of Debian's packages, and there is no apt-get".to_owned());
    }
    apart::obstacle(&DOCKER_TOOLS)
}

/// Whether this machine has an engine of its own, and compose.
pub fn is_there() -> bool {
    let answers = |words: &[&str]| Client::theirs(words).run(START).is_ok();
    answers(&["info"]) && answers(&["compose", "version"])
}

impl Engine {
    /// One that can reach what this machine reaches while it builds. It runs no containers otherwise.
    ///
    /// # Errors
    /// When this machine can have none (see [`obstacle`]), something is not provisioned, or it does not answer within a
    /// minute; the message holds the end of its log.
    pub fn here() -> Result<Engine> {
        Engine::start(Ground::Here)
    }

    /// One whose containers have a network of their own. Their published ports are reached at [`Engine::address`].
    ///
    /// # Errors
    /// As for [`Engine::here`].
    pub fn apart() -> Result<Engine> {
        Engine::start(Ground::Apart)
    }

    fn start(ground: Ground) -> Result<Engine> {
        if let Some(why) = obstacle() {
            bail!("this machine can have no container engine: {why}");
        }
        let programs = DOCKER.provided()?.join("bin");
        let turn = apart::turn()?;
        let place = Place::new()?;
        plugin(&place, &programs)?;
        let cgroups = cgroup::Tree::new("docker")?;
        // With its first process every container ends, whatever becomes of the engine.
        let namespaces = match ground {
            Ground::Here => Namespaces::at_home(&place, &programs)?,
            Ground::Apart => Namespaces::new(&place, &programs)?,
        };
        if ground == Ground::Apart {
            cable::connect(namespaces.first(), None)?;
        }
        let mut dockerd = namespaces.command("dockerd");
        if ground == Ground::Here {
            dockerd.args(["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
        }
        let data = cache()?.join("docker-data");
        dockerd.arg(joined("--data-root=", &data)).arg(joined("--exec-root=", &place.at("exec")));
        dockerd.arg(joined("--pidfile=", &place.at("dockerd.pid"))).arg(joined("--host=", &host(&place)));
        dockerd.arg(format!("--cgroup-parent=/{}", cgroups.name())).arg("--storage-driver=overlay2");
        let server = Server::start("dockerd", dockerd, &place.at("dockerd.log"))?;
        let mut engine = Engine { server, _namespaces: namespaces, _cgroups: cgroups, place, _turn: turn };
        let client = engine.client(["version"]);
        engine.server.wait_until_ready(START, || quiet(client.clone(), CALL).map(drop))?;
        engine.sweep()?;
        Ok(engine)
    }

    /// Removes what a test left that was killed.
    fn sweep(&self) -> Result<()> {
        let left = self.docker(["ps", "--all", "--quiet"])?;
        for container in left.split_whitespace() {
            self.docker(["rm", "--force", "--volumes", container])?;
        }
        self.docker(["network", "prune", "--force"])?;
        self.docker(["volume", "prune", "--force"]).map(drop)
    }

    /// Where published ports are reached from this machine: bind them to this address.
    pub fn address(&self) -> Ipv4Addr {
        cable::APART
    }

    /// Runs docker's client; what it wrote to standard output.
    ///
    /// # Errors
    /// When it fails or takes ten minutes; the message holds what it wrote.
    pub fn docker<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Result<String> {
        quiet(self.client(arguments), CALL)
    }

    /// A call of docker's client, which speaks to this engine and has compose.
    pub fn client<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Client {
        let arguments = arguments.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let variables = vec![
            ("DOCKER_HOST".into(), host(&self.place).into_os_string()),
            ("DOCKER_CONFIG".into(), self.place.at("client").into_os_string()),
            // The one that needs no plug-in.
            ("DOCKER_BUILDKIT".into(), "0".into()),
        ];
        Client { arguments, variables, folder: None }
    }

    /// Saves an image as an archive, for a node to import.
    ///
    /// # Errors
    /// When there is no such image, or the disk is full.
    pub fn save(&self, image: &str, into: &Path) -> Result<()> {
        let words = [OsStr::new("save"), OsStr::new("--output"), into.as_os_str(), OsStr::new(image)];
        self.docker(words).map(drop)
    }
}

/// A call of docker's client.
#[derive(Clone, Debug)]
pub struct Client {
    arguments: Vec<std::ffi::OsString>,
    variables: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    folder: Option<PathBuf>,
}

impl Client {
    /// A call that speaks to the engine of this machine.
    pub fn theirs<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Client {
        let arguments = arguments.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Client { arguments, variables: Vec::new(), folder: None }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Client {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs it in another folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Client {
        self.folder = Some(folder.to_owned());
        self
    }

    /// The command.
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Runs it; what it wrote to standard output.
    ///
    /// # Errors
    /// When it fails or takes longer than `within`; the message holds what it wrote.
    pub fn run(self, within: Duration) -> Result<String> {
        quiet(self, within)
    }
}

fn quiet(client: Client, within: Duration) -> Result<String> {
    let words: Vec<_> = client.arguments.iter().map(|word| word.to_string_lossy()).collect();
    let words = format!("docker {}", words.join(" "));
    let finished = Process::start(&mut client.command())?.wait(within).with_context(|| words.clone())?;
    if !finished.status.success() {
        bail!("{words} failed ({}):\n{}", finished.status, finished.output.all());
    }
    Ok(finished.output.stdout)
}

fn host(place: &Place) -> PathBuf {
    // With its scheme: `unix:///...`.
    PathBuf::from(joined("unix://", &place.at("docker.sock")))
}

/// Gives the client compose, and no settings of whoever runs the test.
fn plugin(place: &Place, programs: &Path) -> Result<()> {
    let folder = place.at("client/cli-plugins");
    std::fs::create_dir_all(&folder)?;
    std::os::unix::fs::symlink(programs.join("docker-compose"), folder.join("docker-compose"))
        .context("making compose known to docker's client")
}
