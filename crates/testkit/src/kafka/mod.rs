//! A real Apache Kafka: one node, broker and controller in one, on loopback ports of its own.

mod properties;
mod secure;
mod wire;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

pub use secure::Secure;

use properties::{Ports, Proxied};

use crate::place::{self, Place};
use crate::process::Process;
use crate::provisioned::KAFKA;
use crate::proxy::Proxy;
use crate::server::{Server, command, joined};

/// A start took 2-5 s, on a busy machine with other JVMs.
const START: Duration = Duration::from_secs(90);
/// A controlled end flushes and closes every log.
const STOP: Duration = Duration::from_secs(30);
/// A tool is a JVM that connects, works and ends.
const TOOL: Duration = Duration::from_secs(90);

/// What a broker is like.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Lines of `server.properties` that come last, and so win over the testkit's: names and values.
    pub properties: Vec<(String, String)>,
    /// Whether there are listeners with encryption, logins and rights beside the plain one.
    pub secure: bool,
    /// Whether there is a listener that is reached through a [`Proxy`] alone: it advertises the proxy's address.
    pub proxy: bool,
    /// Another address of this machine at which there is a plain listener as well, for clients that cannot
    /// reach the loopback address.
    pub also_at: Option<Ipv4Addr>,
    /// Whether Java is as Kafka's own scripts start it, as a bench needs it, instead of made for a quick start. A start
    /// then takes twice the processor time, 4 s for 2 s, and 1 GiB of memory.
    pub long_run: bool,
}

/// A running broker. Dropping it kills it and removes its data (unless `PRICEMONITOR_KEEP` is set).
#[derive(Debug)]
pub struct Kafka {
    // First: the server ends before its folder goes.
    server: Server,
    place: Place,
    port: u16,
    secure: Option<Secure>,
    proxy: Option<Proxy>,
    outer: Option<SocketAddrV4>,
    java: Java,
}

/// What Java is made for.
#[derive(Clone, Copy, Debug)]
enum Java {
    /// A short run in little memory: the second compiler makes faster code, at a cost that such a run does not earn back.
    Quick,
    /// A long run, with memory and collector of Kafka's own scripts (`kafka-server-start.sh`, `kafka-run-class.sh`). In
    /// 256 MiB a broker under load stands still for 0.1 s every few seconds, to collect all of it at once.
    Long,
}

impl Java {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Java::Quick => &["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
            Java::Long => &[
                "-Xms1g",
                "-XX:+UseG1GC",
                "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35",
                "-XX:+ExplicitGCInvokesConcurrent",
            ],
        }
    }
}

impl Kafka {
    /// Starts a fresh one; returns when it answers.
    ///
    /// # Errors
    /// When Kafka is not provisioned, Java is missing, or the broker does not answer within 90 s.
    pub fn start(options: &Options) -> Result<Kafka> {
        let place = Place::new()?;
        let (port, controller) = (place::server_port()?, place::server_port()?);
        let secure = options.secure.then(|| Secure::new(&place)).transpose()?;
        let proxy = options.proxy.then(Proxy::new).transpose()?;
        let behind = place::server_port()?;
        let proxied = proxy.as_ref().map(|proxy| Proxied { port: behind, advertised: proxy.port() });
        let outer =
            options.also_at.map(|it| Ok::<_, anyhow::Error>(SocketAddrV4::new(it, place::server_port()?)));
        let outer = outer.transpose()?;
        let ports = Ports { plain: port, controller, proxied, outer };
        let properties = properties::broker(options, place.path(), &ports, secure.as_ref());
        place.write("server.properties", properties)?;
        place.write("log4j2.properties", properties::LOG)?;
        format(&place, secure.as_ref())?;
        let java = if options.long_run { Java::Long } else { Java::Quick };
        let server = launch(&place, java)?;
        let mut kafka = Kafka { server, place, port, secure, proxy, outer, java };
        kafka.wait_until_ready()?;
        if let Some(proxy) = &kafka.proxy {
            proxy.aim(behind);
        }
        Ok(kafka)
    }

    /// `host:port` of the listener without encryption or login, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Port of that listener. It stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The listeners that [`Options::secure`] asked for.
    pub fn secure(&self) -> Option<&Secure> {
        self.secure.as_ref()
    }

    /// The proxy that [`Options::proxy`] asked for; its address is another `bootstrap.servers`.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// `host:port` of the listener that [`Options::also_at`] asked for.
    pub fn outer(&self) -> Option<SocketAddrV4> {
        self.outer
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Folder of its data, its settings and its log (the file `log`).
    pub fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Everything that it wrote to its log, over all its runs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(self.place.at("log")).context("reading Kafka's log")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `kill -9`; returns when it is gone. The data stays.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill().map(drop)
    }

    /// Ends it in good order (SIGTERM). The data stays.
    ///
    /// # Errors
    /// When it does not end within 30 s; it is killed then.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop(Signal::TERM, STOP).map(drop)
    }

    /// Starts it again on the same data and ports; stops it before if it still runs. Returns when it
    /// answers.
    ///
    /// # Errors
    /// As for [`Kafka::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.server = launch(&self.place, self.java)?;
        self.wait_until_ready()
    }

    /// Runs one of Kafka's own tools, a class of `org.apache.kafka.tools` such as `TopicCommand`, or one of the
    /// broker's own packages by its whole name, `kafka.admin.ConfigCommand`; what it wrote to standard output.
    /// A JVM each: 1-3 s.
    ///
    /// # Errors
    /// When it fails or takes longer than 90 s; the message holds what it wrote.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let mut tool = java(&self.place, "128m", Java::Quick)?;
        tool.arg(whole_name(class)).args(arguments);
        run(&mut tool, class, Stdio::null())
    }

    /// As [`Kafka::tool`], for a tool that reads `input`: `ConsoleProducer`.
    ///
    /// # Errors
    /// As for [`Kafka::tool`].
    pub fn feed(&self, class: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut tool = java(&self.place, "128m", Java::Quick)?;
        tool.arg(whole_name(class)).args(arguments);
        // A file without a name, so that two may be fed at a time.
        let mut file = tempfile::tempfile().context("making the input of a tool")?;
        file.write_all(input.as_bytes())
            .and_then(|()| file.rewind())
            .context("writing the input of a tool")?;
        run(&mut tool, class, file.into())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let port = self.port;
        self.server.wait_until_ready(START, || wire::has_broker(port)).map(drop)
    }
}

/// A tool's class with its package.
fn whole_name(class: &str) -> String {
    if class.starts_with("kafka.") { class.to_owned() } else { format!("org.apache.kafka.tools.{class}") }
}

/// Java with Kafka's class path and the flags that all its programs share.
fn java(place: &Place, heap: &str, made_for: Java) -> Result<Command> {
    let lib = KAFKA.provided()?.join("lib");
    let mut java = command("java", None);
    java.args(made_for.arguments());
    // Loaded classes come from the archive that provisioning made, where there is one. The JVM's own
    // warnings (of an archive made by another Java) would go to standard output.
    // Native libraries are unpacked where they go with the server, however it ends.
    java.arg(joined("-Djava.io.tmpdir=", place.path()));
    java.args(["-XX:-UsePerfData", "-Xlog:disable", "-Xlog:all=error:stderr", "-Xshare:auto"])
        .arg(joined("-XX:SharedArchiveFile=", &lib.join("classes.jsa")))
        .arg(format!("-Xmx{heap}"))
        .arg(joined("-Dlog4j2.configurationFile=", &place.at("log4j2.properties")))
        .arg("-cp")
        .arg(lib.join("*"));
    Ok(java)
}

fn launch(place: &Place, made_for: Java) -> Result<Server> {
    let heap = match made_for {
        Java::Quick => "256m",
        Java::Long => "1g",
    };
    let mut broker = java(place, heap, made_for)?;
    broker.arg("kafka.Kafka").arg(place.at("server.properties"));
    Server::start("Kafka", broker, &place.at("log"))
}

/// Prepares the data folder, as a KRaft node needs it before its first start.
fn format(place: &Place, secure: Option<&Secure>) -> Result<()> {
    let mut tool = java(place, "128m", Java::Quick)?;
    tool.args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster_id(), "--config"])
        .arg(place.at("server.properties"))
        .args(secure.map(Secure::format_arguments).unwrap_or_default());
    run(&mut tool, "StorageTool", Stdio::null()).map(drop)
}

fn run(command: &mut Command, name: &str, input: Stdio) -> Result<String> {
    let finished =
        Process::start_with(command, input)?.wait(TOOL).with_context(|| format!("Kafka's {name}"))?;
    if !finished.status.success() {
        bail!("Kafka's {name} failed ({}):\n{}", finished.status, finished.output.all());
    }
    Ok(finished.output.stdout)
}

/// A fresh id: 16 bytes in Base64 for URLs, of which hexadecimal digits are a part. The last digit holds
/// two bits only.
fn cluster_id() -> String {
    // A hasher of the standard library is keyed at random.
    let random = || RandomState::new().hash_one(());
    let digits = format!("{:016x}{:016x}", random(), random());
    digits.chars().take(21).chain(['A']).collect()
}
