//! Apache Kafka: its jars, and an archive of the classes that a broker loads.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::provisioned::KAFKA;
use super::{cache, maven};
use crate::run::{self, Line};

/// The binding for Kafka's own slf4j 1.7, see [`KAFKA`].
const LOG_BINDING: &str = "2.25.4";
/// The oldest Java that Kafka's brokers run on.
const JAVA: u32 = 17;
/// What a person can do who has no such Java.
const BY_HAND: &str = "Kafka needs Java 17 or newer: install it \
                       (Debian: `apt-get install openjdk-17-jre-headless` as root)";

/// Makes sure that there is one, and a Java to run it.
///
/// # Errors
/// When Java is missing or too old, or Maven cannot fetch; the message says how to get it.
pub(crate) fn get() -> Result<bool> {
    java()?;
    cache::fill(&KAFKA, |folder| {
        let lib = folder.join("lib");
        maven::copy(
            &[
                ("org.apache.kafka", "kafka_2.13", KAFKA.version),
                ("org.apache.kafka", "kafka-tools", KAFKA.version),
                ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG_BINDING),
            ],
            &lib,
        )?;
        if let Err(error) = mend(&lib, &folder.join("mending")) {
            if run::was_interrupted() {
                return Err(error);
            }
            println!(
                "kafka: left as it is published ({error:#}); a broker that is killed may forget transactions"
            );
        }
        let recorded = record(&lib, &folder.join("recording"));
        fs::remove_dir_all(folder.join("recording")).context("removing the recording's folder")?;
        if let Err(error) = recorded {
            // A broker starts without it as well, about a second later.
            if run::was_interrupted() {
                return Err(error);
            }
            println!("kafka: no archive of classes ({error:#}); brokers will start slower");
        }
        Ok(())
    })?;
    Ok(true)
}

/// Checks that there is a Java and that it is new enough.
fn java() -> Result<()> {
    let mut first = None;
    let ok = run::lines(Command::new("java").arg("-version"), Duration::from_secs(30), &mut |line| {
        let (Line::Out(text) | Line::Err(text)) = line;
        if text.contains(" version ") {
            first.get_or_insert(text);
        }
    })
    .context(BY_HAND)?;
    let version = first.unwrap_or_default();
    println!("{version}");
    if !ok || major(&version).is_none_or(|major| major < JAVA) {
        bail!("`java -version` says `{version}`; {BY_HAND}");
    }
    Ok(())
}

/// The 17 of `openjdk version "17.0.15" 2025-04-15`; old ones (`"1.8.0_1"`) give 1.
fn major(version: &str) -> Option<u32> {
    let quoted = version.split('"').nth(1)?;
    quoted.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Mends a class as Kafka's own change for KAFKA-20734 does. A broker that starts after a crash has no leader for its
/// partitions for a moment; with the published class it takes them for deleted then, and never tells them how the
/// transactions ended that were open: some are lost, and some come twice. No test of ours could tell that from a fault
/// of ours.
///
/// Needs the compiler that comes with a JDK.
fn mend(lib: &Path, place: &Path) -> Result<()> {
    let jar = lib.join(format!("kafka-metadata-{}.jar", KAFKA.version));
    let (sources, classes) = (place.join("sources"), place.join("classes"));
    maven::unpack_sources(("org.apache.kafka", "kafka-metadata", KAFKA.version), &sources)?;
    let source = sources.join("org/apache/kafka/metadata/KRaftMetadataCache.java");
    let text = fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
    fs::write(&source, mended(&text)?)?;
    fs::create_dir_all(&classes)?;
    let mut compile = Command::new("javac");
    compile.args(["-nowarn", "-proc:none", "-cp"]).arg(lib.join("*"));
    quietly(compile.arg("-d").arg(&classes).arg(&source), Duration::from_secs(120))?;
    let mut update = Command::new("jar");
    quietly(update.arg("uf").arg(&jar).arg("-C").arg(&classes).arg("."), Duration::from_secs(60))?;
    fs::remove_dir_all(place).context("removing the mending's folder")
}

/// The class's source, where a partition that is there but has no leader is no longer one that is not there.
fn mended(source: &str) -> Result<String> {
    const FAULT: &str = ".flatMap(partition -> Optional.ofNullable(image.cluster().broker(partition.leader))";
    const REST: &str = ".map(broker -> broker.node(listenerName.value()).orElse(Node.noNode())));";
    let fault = source.split_once(FAULT).filter(|(_, behind)| behind.trim_start().starts_with(REST));
    let Some((before, behind)) = fault else {
        bail!("the class is another than expected: is it mended by now?")
    };
    let behind = behind.trim_start().strip_prefix(REST).unwrap_or_default();
    let sound = ".map(partition -> Optional.ofNullable(image.cluster().broker(partition.leader))\n                \
                 .flatMap(broker -> broker.node(listenerName.value())).orElse(Node.noNode()));";
    Ok(format!("{before}{sound}{behind}"))
}

/// Runs a broker once and has Java keep the classes that it loaded, as it parsed and checked them: a
/// start then takes half of the processor time.
fn record(lib: &Path, place: &Path) -> Result<()> {
    fs::create_dir_all(place)?;
    let file = place.join("server.properties");
    let ports = [free_port()?, free_port()?];
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{1}\n\
         controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://127.0.0.1:{0},CONTROLLER://127.0.0.1:{1}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={2}\n",
        ports[0],
        ports[1],
        place.join("data").display()
    );
    fs::write(&file, properties)?;
    // An archive serves only the class path that it was made with, hence the one that the tests use.
    let java = || {
        let mut java = Command::new("java");
        java.args(["-XX:+UseSerialGC", "-Xmx256m", "-Xlog:disable", "-Xlog:all=error:stderr", "-cp"])
            .arg(lib.join("*"));
        java
    };
    let mut format = java();
    format.args(["kafka.tools.StorageTool", "format", "-t", "cHJpY2Vtb25pdG9yMDAwMA", "-c"]).arg(&file);
    quietly(&mut format, Duration::from_secs(60))?;
    let mut archive = OsString::from("-XX:ArchiveClassesAtExit=");
    archive.push(lib.join("classes.jsa"));
    let java = java();
    // The broker serves until SIGTERM, at which Java writes the archive: 10 s are enough to load all.
    let mut broker = Command::new("timeout");
    broker.args(["--preserve-status", "-k", "60", "10"]);
    broker.arg(java.get_program()).arg(archive).args(java.get_args()).arg("kafka.Kafka").arg(&file);
    // A JVM that was ended by a signal fails, whether it wrote the archive or not.
    let ended = quietly(&mut broker, Duration::from_secs(120));
    if !lib.join("classes.jsa").is_file() {
        ended?;
        bail!("the recording broker wrote none");
    }
    Ok(())
}

/// Runs a program; what it writes is shown only in the message of a failure.
fn quietly(command: &mut Command, limit: Duration) -> Result<()> {
    let mut written = String::new();
    let ok = run::lines(command, limit, &mut |line| {
        let (Line::Out(text) | Line::Err(text)) = line;
        written += &text;
        written.push('\n');
    })?;
    if !ok {
        bail!("{} failed: {written}", command.get_program().to_string_lossy());
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_a_leader_is_there_in_the_mended_class() {
        let published = "return find(image)\n            .flatMap(partition -> Optional.ofNullable(image.cluster()\
                         .broker(partition.leader))\n                .map(broker -> broker.node(listenerName\
                         .value()).orElse(Node.noNode())));\n    }";
        let mended = mended(published).unwrap();
        assert!(mended.starts_with("return find(image)\n            .map(partition -> "), "{mended}");
        assert!(mended.ends_with(".orElse(Node.noNode()));\n    }"), "{mended}");
        assert!(super::mended(&mended).is_err(), "it is mended already");
    }

    #[test]
    fn the_major_version_of_java_is_read_from_what_it_says() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(major("java version \"1.8.0_391\""), Some(1));
        assert_eq!(major("openjdk version \"25-ea\" 2025"), Some(25));
        assert_eq!(major("no java here"), None);
    }
}
