//! Artifacts by their Maven coordinates, through the ordinary client.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run;

/// An artifact: group, name, version.
pub(crate) type Coordinates<'a> = (&'a str, &'a str, &'a str);

/// What a person can do who has no Maven.
const BY_HAND: &str = "it comes by Maven: install it (Debian: `apt-get install maven` as root)";
/// The plugin that copies and unpacks; without a version each Maven brings its own.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// Whether there is a client.
pub(crate) fn is_there() -> bool {
    super::find("mvn").is_some()
}

/// Puts the jars of the artifacts and of all they need at run time into `into`.
///
/// # Errors
/// When there is no client, or it fails.
pub(crate) fn copy(artifacts: &[Coordinates<'_>], into: &Path) -> Result<()> {
    goal("copy-dependencies", artifacts, into)
}

/// Puts what is in the jars of the artifacts into `into`.
///
/// # Errors
/// When there is no client, or it fails.
pub(crate) fn unpack(artifacts: &[Coordinates<'_>], into: &Path) -> Result<()> {
    goal("unpack-dependencies", artifacts, into)
}

/// Puts the sources of an artifact into `into`.
///
/// # Errors
/// As for [`copy`].
pub(crate) fn unpack_sources((group, name, version): Coordinates<'_>, into: &Path) -> Result<()> {
    if !is_there() {
        bail!("{BY_HAND}");
    }
    fs::create_dir_all(into).with_context(|| format!("making {}", into.display()))?;
    let mut output = OsString::from("-DoutputDirectory=");
    output.push(into);
    let mut command = Command::new("mvn");
    // In there: the goal needs no project, and without one the plugin leaves its marks, by which it would do nothing
    // the next time, under the folder that it is called from.
    command.current_dir(into).args(["-q", "-B", "-ntp"]).arg(format!("{PLUGIN}:unpack"));
    command.arg(format!("-Dartifact={group}:{name}:{version}:jar:sources")).arg(output);
    if !run::stream(&mut command, Duration::from_secs(10 * 60))? {
        bail!("mvn cannot fetch the sources of {name} {version}, see above");
    }
    Ok(())
}

fn goal(goal: &str, artifacts: &[Coordinates<'_>], into: &Path) -> Result<()> {
    if !is_there() {
        bail!("{BY_HAND}");
    }
    fs::create_dir_all(into).with_context(|| format!("making {}", into.display()))?;
    // In there, so that what the plugin leaves beside its project goes with it.
    let pom = into.join("pom.xml");
    fs::write(&pom, project(artifacts)).with_context(|| format!("writing {}", pom.display()))?;
    let mut output = OsString::from("-DoutputDirectory=");
    output.push(into);
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", "-ntp", "-f"]).arg(&pom).arg(format!("{PLUGIN}:{goal}"));
    command.arg("-DincludeScope=runtime").arg(output);
    let ok = run::stream(&mut command, Duration::from_secs(10 * 60))?;
    fs::remove_file(&pom)?;
    if !ok {
        bail!("mvn {goal} failed, see above; is the network there, and does Maven know its mirror?");
    }
    Ok(())
}

/// A project that has nothing but dependencies.
fn project(artifacts: &[Coordinates<'_>]) -> String {
    let mut dependencies = String::new();
    for (group, name, version) in artifacts {
        dependencies += &format!(
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version></dependency>\n"
        );
    }
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>localhost</groupId>\
         <artifactId>provision</artifactId><version>1</version><packaging>pom</packaging>\n\
         <dependencies>\n{dependencies}</dependencies></project>\n"
    )
}
