//! Programs that are built from their Go modules, through the ordinary client.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::provisioned::cache;
use crate::run::{self, Line};

/// What a person can do who has no Go.
const BY_HAND: &str = "it is built with Go: install Go 1.26 or newer and put its `bin` on the \
                       PATH, or leave the servers out with `cargo xtask test --quick`";
/// How long one call of the client may take; the longest, Kubernetes without a cache, takes minutes.
const LIMIT: Duration = Duration::from_secs(40 * 60);
/// The folder of a build's modules below the program's own. Nothing of it is kept.
const WORK: &str = "go";
/// The folder of Go's caches beside the programs. One for all, for a node is made of what a control plane is made of;
/// what was fetched and compiled before a failure serves the next try.
const CACHES: &str = ".go";

/// A module of our own in a folder of its own, in which programs are built.
pub(crate) struct Build {
    folder: PathBuf,
    module: PathBuf,
    caches: PathBuf,
    /// As long as somebody builds, nobody removes the caches.
    in_use: File,
}

/// Removes Go's caches, once nobody builds: gigabytes that serve nobody when the programs are there.
///
/// # Errors
/// When they cannot be removed.
pub(crate) fn tidy() -> Result<()> {
    let caches = cache()?.join(CACHES);
    if !caches.exists() || lock_file()?.try_lock().is_err() {
        return Ok(());
    }
    fs::remove_dir_all(&caches).with_context(|| format!("removing {}", caches.display()))
}

fn lock_file() -> Result<File> {
    let path = cache()?.join(format!("{CACHES}.lock"));
    File::create(&path).with_context(|| format!("opening {}", path.display()))
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
        let caches = cache()?.join(CACHES);
        let in_use = lock_file()?;
        in_use.lock_shared().context("locking Go's caches")?;
        let build = Build { folder, module, caches, in_use };
        build.write(files)?;
        Ok(build)
    }

    /// A module of these files beside this one, for programs whose versions must not mix with those of this one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn beside(&self, name: &str, files: &[(&str, &str)]) -> Result<Build> {
        let (folder, module, caches) = (self.folder.clone(), self.folder.join(name), self.caches.clone());
        let in_use = self.in_use.try_clone().context("locking Go's caches")?;
        let build = Build { folder, module, caches, in_use };
        build.write(files)?;
        Ok(build)
    }

    fn write(&self, files: &[(&str, &str)]) -> Result<()> {
        let make = |folder: &Path| {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
        };
        make(&self.module)?;
        for (name, content) in files {
            let file = self.module.join(name);
            file.parent().map_or(Ok(()), make)?;
            fs::write(&file, content).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }

    /// Builds packages of one published module at `version`, each into the file beside it.
    ///
    /// # Errors
    /// When one cannot be fetched or does not compile; what Go says is printed.
    pub(crate) fn published(&self, version: &str, programs: &[(&str, PathBuf)]) -> Result<()> {
        let packages: Vec<_> = programs.iter().map(|(package, _)| *package).collect();
        self.get(version, &packages)?;
        programs.iter().try_for_each(|(package, into)| self.build(package, "", into))
    }

    /// Makes the module one that asks for these packages of one published module at `version`.
    ///
    /// # Errors
    /// When one cannot be fetched.
    pub(crate) fn get(&self, version: &str, packages: &[&str]) -> Result<()> {
        self.go(&["mod", "init", "localhost/provision"])?;
        let wanted: Vec<_> = packages.iter().map(|package| format!("{package}@{version}")).collect();
        let get = ["get"].into_iter().chain(wanted.iter().map(String::as_str));
        self.go(&get.collect::<Vec<_>>())
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

    /// Removes the modules.
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

    /// Go with caches of our own (writable, else they could not be removed), at most two threads, behind
    /// everything else on the machine, and never with a tool chain that it fetches by itself.
    fn command(&self) -> Command {
        let mut command = Command::new("nice");
        command.args(["-n", "15", "go"]).current_dir(&self.module);
        command.env("GOMODCACHE", self.caches.join("modules")).env("GOCACHE", self.caches.join("builds"));
        command.env("GOFLAGS", "-modcacherw -buildvcs=false").env("GOMAXPROCS", "2");
        command.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOTOOLCHAIN", "local");
        command
    }
}
