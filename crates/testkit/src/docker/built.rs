//! The project's own image, really built by its Dockerfile.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::Engine;

/// What it is called.
pub const IMAGE: &str = "pricemonitor:test";
/// A release build of everything, on two cores that others use as well.
const BUILD: Duration = Duration::from_secs(45 * 60);

impl Engine {
    /// Builds the image of the source tree at `root` under the name [`IMAGE`], on base images of this machine, and without the
    /// optimization over all crates, which makes it larger, never smaller. Takes some minutes, many for the first time, and
    /// seconds when nothing has changed.
    ///
    /// # Errors
    /// When it cannot be built, or takes more than 45 minutes; the message holds what docker wrote.
    pub fn build(&self, root: &Path) -> Result<()> {
        let arguments = self.arguments()?.map(|(name, value)| format!("{name}={value}"));
        let mut words = vec!["build", "--network=host", "--file", "docker/Dockerfile", "--tag", IMAGE];
        words.extend(arguments.iter().flat_map(|argument| ["--build-arg", argument.as_str()]));
        words.push(".");
        self.client(words).within(root).run(BUILD)?;
        // Layers of earlier sources. Younger ones hold what was compiled.
        self.docker(["image", "prune", "--force", "--filter", "until=72h"]).map(drop)
    }

    /// What the Dockerfile is built with here.
    fn arguments(&self) -> Result<[(&'static str, String); 4]> {
        Ok([
            ("BUILD_IMAGE", self.rust()?),
            ("RUNTIME_IMAGE", self.runtime()?),
            ("LTO", "off".to_owned()),
            ("REVISION", "test".to_owned()),
        ])
    }

    /// A file for compose that has `services` built with the same arguments.
    ///
    /// # Errors
    /// When the base images cannot be made.
    pub fn override_of(&self, services: &[&str]) -> Result<String> {
        let arguments: serde_json::Map<_, _> =
            self.arguments()?.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let service = |name: &&str| ((*name).to_owned(), json!({"build": {"args": arguments}}));
        Ok(json!({"services": services.iter().map(service).collect::<serde_json::Map<_, _>>()}).to_string())
    }
}
