//! Stand-ins for the images of other people, where nothing can be pulled: the same programs (Apache Kafka, PostgreSQL,
//! Prometheus), started as the images start them, as far as a composition uses that. Of Grafana and Kafka UI nothing can be
//! had: what stands in for them answers the question whether it is healthy, and nothing else.

use std::path::Path;

use anyhow::{Context, Result};

use super::Engine;
use super::bases::tag;
use crate::provisioned::{KAFKA, POSTGRES, PROMETHEUS};

/// Whose image is stood in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// `apache/kafka`: a real broker, set by the same variables.
    Kafka,
    /// `postgres`: a real server, set by the same variables; it runs the scripts of `/docker-entrypoint-initdb.d` once.
    Postgres,
    /// `prom/prometheus`: a real Prometheus, of Debian's version.
    Prometheus,
    /// `grafana/grafana` and `kafbat/kafka-ui`: nothing but a web server that says that it is well.
    Nothing,
}

impl StandIn {
    /// All there are.
    pub const ALL: [StandIn; 4] = [StandIn::Kafka, StandIn::Postgres, StandIn::Prometheus, StandIn::Nothing];

    /// Name of the image once [`Engine::stand_ins`] has run.
    pub fn image(self) -> &'static str {
        match self {
            StandIn::Kafka => "pricemonitor-test/stand-in-for-kafka:1",
            StandIn::Postgres => "pricemonitor-test/stand-in-for-postgres:1",
            StandIn::Prometheus => "pricemonitor-test/stand-in-for-prometheus:1",
            StandIn::Nothing => "pricemonitor-test/stand-in-for-a-page:1",
        }
    }

    fn dockerfile(self) -> &'static str {
        match self {
            StandIn::Kafka => include_str!("kafka.Dockerfile"),
            StandIn::Postgres => include_str!("postgres.Dockerfile"),
            StandIn::Prometheus => include_str!("prometheus.Dockerfile"),
            StandIn::Nothing => include_str!("page.Dockerfile"),
        }
    }

    fn script(self) -> &'static str {
        match self {
            StandIn::Kafka => include_str!("kafka.sh"),
            StandIn::Postgres => include_str!("postgres.sh"),
            StandIn::Prometheus | StandIn::Nothing => "",
        }
    }
}

impl Engine {
    /// Makes all stand-ins; seconds when they are there.
    ///
    /// # Errors
    /// When something is not provisioned (`cargo xtask provision kafka postgres prometheus docker`) or cannot be built.
    pub fn stand_ins(&self) -> Result<()> {
        let programs = [
            (StandIn::Kafka, Some((KAFKA, KAFKA.provided()?.join("lib")))),
            (StandIn::Postgres, Some((POSTGRES, POSTGRES.provided()?))),
            (StandIn::Prometheus, Some((PROMETHEUS, PROMETHEUS.provided()?.join("bin")))),
            (StandIn::Nothing, None),
        ];
        let debian = self.debian()?;
        for (which, program) in programs {
            let recipe = program.as_ref().map_or("", |(program, _)| program.recipe);
            let parts = [&debian, recipe, which.dockerfile(), which.script()].map(str::as_bytes);
            let made = format!("{}-{}", which.image(), tag(&parts));
            if !self.has(&made)? {
                self.stand_in(which, &debian, program.as_ref().map(|(_, folder)| folder.as_path()), &made)?;
            }
            self.docker(["tag", &made, which.image()])?;
        }
        Ok(())
    }

    fn stand_in(&self, which: StandIn, debian: &str, program: Option<&Path>, image: &str) -> Result<()> {
        let folder = self.place.at("stand-in");
        let _ = std::fs::remove_dir_all(&folder);
        self.place.write("stand-in/Dockerfile", which.dockerfile().replace("debian-base", debian))?;
        self.place.write("stand-in/start.sh", which.script())?;
        if let Some(program) = program {
            let to = folder.join("program");
            let mut copy = std::process::Command::new("cp");
            let copied = copy
                .args(["--recursive", "--dereference", "--preserve=mode"])
                .arg(program)
                .arg(&to)
                .status()
                .context("cp")?;
            anyhow::ensure!(copied.success(), "copying {} failed ({copied})", program.display());
        }
        self.make(image, &folder)
    }
}
