//! The test programs that one build of the workspace made.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::{self, Line};

/// One test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Package it belongs to.
    pub(crate) package: String,
    /// `lib`, `bin`, `example` or `test`.
    pub(crate) kind: String,
    /// Name of the target.
    pub(crate) name: String,
    /// Folder of the package: where cargo runs tests.
    folder: PathBuf,
    executable: PathBuf,
}

impl Target {
    /// Builds every test program, the real binary and the examples, once, with one set of features.
    /// `None` when something does not compile.
    ///
    /// # Errors
    /// When cargo cannot be run, or built nothing to run.
    pub(crate) fn build_all() -> Result<Option<Vec<Target>>> {
        let mut command =
            run::cargo(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
        let mut targets = Vec::new();
        let ok = run::lines(&mut command, Duration::from_secs(45 * 60), &mut |line| match line {
            Line::Out(json) => targets.extend(Target::of(&json)),
            // One line per test program says nothing new; compilation and diagnostics do.
            Line::Err(text) if text.trim_start().starts_with("Executable ") => {}
            other => run::pass(&other),
        })?;
        if !ok {
            return Ok(None);
        }
        ensure!(!targets.is_empty(), "cargo built no test program");
        targets.sort_by(|a, b| (&a.package, &a.kind, &a.name).cmp(&(&b.package, &b.kind, &b.name)));
        Ok(Some(targets))
    }

    /// The target in one of cargo's messages, if it is a test program.
    fn of(message: &str) -> Option<Target> {
        let message: Value = serde_json::from_str(message).ok()?;
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            return None;
        }
        let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
        let name = message["target"]["name"].as_str()?.to_owned();
        let kind = match message["target"]["kind"][0].as_str()? {
            kind @ ("bin" | "example" | "test" | "bench") => kind,
            _ => "lib",
        };
        Some(Target {
            package: package(message["package_id"].as_str()?, &folder)?,
            kind: kind.to_owned(),
            name,
            folder,
            executable: message["executable"].as_str()?.into(),
        })
    }

    /// The command that runs just this one, for people.
    pub(crate) fn alone(&self) -> String {
        match self.kind.as_str() {
            "lib" => format!("cargo test -p {} --lib", self.package),
            kind => format!("cargo test -p {} --{kind} {}", self.package, self.name),
        }
    }

    /// The program, started as cargo would.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.package)
            .env("RUST_BACKTRACE", "1");
        command
    }

    /// How many tests it holds, without running them.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn count(&self) -> Result<u64> {
        let mut tests = 0;
        let mut command = self.command();
        run::lines(command.args(["--list", "--format", "terse"]), Duration::from_secs(60), &mut |line| {
            if let Line::Out(text) = line {
                tests += u64::from(text.ends_with(": test"));
            }
        })
        .with_context(|| format!("listing the tests of {}", self.name))?;
        Ok(tests)
    }
}

/// The name in a package id, such as `path+file:///x/crates/cli#pricemonitor@0.1.0` or, where the
/// folder has the package's name, `path+file:///x/xtask#0.1.0`.
fn package(id: &str, folder: &Path) -> Option<String> {
    let (_, fragment) = id.rsplit_once('#')?;
    match fragment.split_once('@') {
        Some((name, _)) => Some(name.to_owned()),
        None => folder.file_name()?.to_str().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_read_from_cargos_message() {
        let message = r#"{"reason":"compiler-artifact","package_id":"path+file:///p/crates/cli#pricemonitor@0.1.0",
            "manifest_path":"/p/crates/cli/Cargo.toml","target":{"kind":["test"],"name":"kill"},
            "profile":{"test":true},"executable":"/p/target/debug/deps/kill-1"}"#;
        let target = Target::of(message).unwrap();
        assert_eq!((target.package.as_str(), target.name.as_str()), ("pricemonitor", "kill"));
        assert_eq!(target.alone(), "cargo test -p pricemonitor --test kill");
        assert_eq!(target.folder, Path::new("/p/crates/cli"));
        assert!(Target::of(&message.replace("\"test\":true", "\"test\":false")).is_none());
        assert!(Target::of("no json").is_none());
        assert_eq!(package("path+file:///p/xtask#0.1.0", Path::new("/p/xtask")).as_deref(), Some("xtask"));
    }
}
