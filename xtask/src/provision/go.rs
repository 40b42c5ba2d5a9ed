//! Programs that are built from their Go modules, through the ordinary client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::{self, Line};

/// What a person can do who has no Go.
const BY_HAND: &str = "it is built with Go: install Go 1.26 or newer and put its `bin` on the \
                       PATH, or leave the servers out with `cargo xtask test --quick`";
/// How long one call of the client may take; the longest, Kubernetes without a cache, takes minutes.
const LIMIT: Duration = Duration::from_secs(40 * 60);
/// The folder of a build below the program's own: module, caches. Nothing of it is kept.
const WORK: &str = "go";

/// A module of our own in a folder of its own, in which one program is built.
pub(crate) struct Build {
    folder: PathBuf,
}

impl Build {
    /// A module with these files (name, content) below `program`, the folder of the program.
    ///
    /// # Errors
    /// When there is no Go, or the folder cannot be written.
    pub(crate) fn new(program: &Path, files: &[(&str, &str)]) -> Result<Build> {
        if super::find("go").is_none() {
            bail!("{BY_HAND}");
        }
        let folder = program.join(WORK);
        let module = folder.join("module");
        fs::create_dir_all(&module).with_context(|| format!("making {}", module.display()))?;
        for (name, content) in files {
            let file = module.join(name);
            fs::write(&file, content).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(Build { folder })
    }

    /// Builds `package` of the module `module` at `version`, into the file `into`.
    ///
    /// # Errors
    /// When it cannot be fetched or does not compile; what Go says is printed.
    pub(crate) fn published(&self, package: &str, version: &str, into: &Path) -> Result<()> {
        self.go(&["mod", "init", "localhost/provision"])?;
        self.go(&["get", &format!("{package}@{version}")])?;
        self.build(package, "", into)
    }

    /// Builds `package` into the file `into`; `flags` go to the linker.
    ///
    /// # Errors
    /// When it does not compile; what Go says is printed.
    pub(crate) fn build(&self, package: &str, flags: &str, into: &Path) -> Result<()> {
        let parent = into.parent().context("a program lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        let flags = format!("-ldflags=-s -w {flags}");
        let into = into
            .to_str()
            .with_context(|| format!("{} is no text: set PRICEMONITOR_CACHE", into.display()))?;
        println!("go: fetching and compiling {into}, minutes without a line");
        self.go(&["build", "-p", "2", "-trimpath", &flags, "-o", into, package])
    }

    /// Fetches a module at `version`, without what it needs itself; its folder.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub(crate) fn fetch(&self, module: &str, version: &str) -> Result<PathBuf> {
        let mut text = String::new();
        let mut command = self.command();
        command.args(["mod", "download", "-json", &format!("{module}@{version}")]);
        let ok = run::lines(&mut command, LIMIT, &mut |line| match line {
            Line::Out(part) => text += &part,
            other => run::pass(&other),
        })?;
        let told: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let folder = told["Dir"].as_str().filter(|_| ok).map(PathBuf::from);
        folder.with_context(|| format!("go cannot fetch {module} {version}: {}", told["Error"]))
    }

    /// The folder of a module that the build has fetched.
    ///
    /// # Errors
    /// When it has not fetched it.
    pub(crate) fn source(&self, module: &str) -> Result<PathBuf> {
        let mut folder = None;
        let mut command = self.command();
        command.args(["list", "-m", "-f", "{{.Dir}}", module]);
        let ok = run::lines(&mut command, LIMIT, &mut |line| match line {
            Line::Out(text) => folder = Some(PathBuf::from(text)),
            other => run::pass(&other),
        })?;
        folder.filter(|_| ok).with_context(|| format!("go knows no folder of {module}, see above"))
    }

    /// Removes the module and the caches: gigabytes that serve nobody once the program is there.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))
    }

    fn go(&self, arguments: &[&str]) -> Result<()> {
        let began = std::time::Instant::now();
        let ok = run::lines(self.command().args(arguments), LIMIT, &mut |line| match &line {
            // Hundreds of modules, one a line.
            Line::Err(text) if ["go: downloading ", "go: added "].iter().any(|it| text.starts_with(it)) => {}
            _ => run::pass(&line),
        })?;
        if !ok {
            bail!("go {} failed, see above; {BY_HAND}", arguments.first().unwrap_or(&""));
        }
        println!("go: {} done after {}", arguments.first().unwrap_or(&""), run::words(began.elapsed()));
        Ok(())
    }

    /// Go with caches of its own (writable, else they could not be removed), at most two threads, behind
    /// everything else on the machine, and never with a tool chain that it fetches by itself.
    fn command(&self) -> Command {
        let mut command = Command::new("nice");
        command.args(["-n", "15", "go"]).current_dir(self.folder.join("module"));
        command.env("GOMODCACHE", self.folder.join("modules")).env("GOCACHE", self.folder.join("cache"));
        command.env("GOFLAGS", "-modcacherw -buildvcs=false").env("GOMAXPROCS", "2");
        command.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOTOOLCHAIN", "local");
        command
    }
}
