//! The image and the composition of `docker/`: what they say agrees with the code, and on a machine that can have a container
//! engine of the test's own the image is really built and the composition really run.
//!
//! Nothing can be pulled here, so that the base images are made of Debian's packages and this machine's Rust, and Apache
//! Kafka, PostgreSQL and Prometheus are the same programs in images of our own. Grafana and Kafka UI are not there at all:
//! something stands in for them that only says that it is well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod composition;
mod image;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pricemonitor_testkit::docker::{self, Engine};

/// The source tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Builds the image and the stand-ins, once for all tests. `None`, and said: this machine can have no engine.
pub fn built() -> Option<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    if let Some(why) = docker::obstacle() {
        // Captured output is not seen, and a test that proves nothing has to be.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
        return None;
    }
    let build = || {
        let engine = Engine::here()?;
        engine.build(&root())?;
        engine.stand_ins()
    };
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_ref().unwrap_or_else(|error| panic!("{error}"));
    Some(())
}
