//! The broker's settings.

use std::net::SocketAddrV4;
use std::path::Path;

use super::{Options, Secure};

/// Warnings go to the log file, through standard error.
pub(super) const LOG: &str = "\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.target=SYSTEM_ERR
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
logger.start.name=kafka.server.KafkaRaftServer
logger.start.level=INFO
";

/// Ports of the broker's listeners.
pub(super) struct Ports {
    pub(super) plain: u16,
    pub(super) controller: u16,
    pub(super) proxied: Option<Proxied>,
    pub(super) outer: Option<SocketAddrV4>,
}

/// A listener that clients find at another port.
pub(super) struct Proxied {
    pub(super) port: u16,
    pub(super) advertised: u16,
}

/// `server.properties` for one node whose folder is `place`.
///
/// The session is short (the default is 9 s): a restarted broker is let in again only when that of its
/// predecessor has run out, which took 12 s. Everything internal is small, and has one copy. Topics are
/// made by those who want them, with the number of partitions that they mean.
pub(super) fn broker(options: &Options, place: &Path, ports: &Ports, secure: Option<&Secure>) -> String {
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{}", ports.plain);
    if let Some(secure) = secure {
        listeners += &format!(",{}", secure.listeners());
    }
    if let Some(outer) = &ports.outer {
        listeners += &format!(",OUTER://{outer}");
    }
    let mut advertised = listeners.clone();
    if let Some(proxied) = &ports.proxied {
        listeners += &format!(",PROXIED://127.0.0.1:{}", proxied.port);
        advertised += &format!(",PROXIED://127.0.0.1:{}", proxied.advertised);
    }
    let controller = ports.controller;
    let mut text = format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,OUTER:PLAINTEXT,\
             SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
log.dirs={data}
log.segment.bytes=67108864
num.network.threads=2
num.io.threads=2
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
",
        data = place.join("data").display()
    );
    text += &secure.map(|secure| secure.properties(place)).unwrap_or_default();
    // Of two lines with one name, Java reads the last.
    for (name, value) in &options.properties {
        text += &format!("{name}={value}\n");
    }
    text
}
