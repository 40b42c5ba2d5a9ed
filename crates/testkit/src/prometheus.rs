//! A real Prometheus on a loopback port of its own, and promtool, which judges its files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::http;
use crate::place::{self, Place};
use crate::process::Process;
use crate::provisioned::PROMETHEUS;
use crate::server::{Server, command};
use crate::wait;

/// A start took 0.3 s.
const START: Duration = Duration::from_secs(30);
/// Longest run of promtool.
const LIMIT: Duration = Duration::from_secs(120);

/// What promtool says of files.
#[derive(Debug)]
pub struct Promtool {
    program: PathBuf,
}

impl Promtool {
    /// The one that was fetched.
    ///
    /// # Errors
    /// When Prometheus is not provisioned.
    pub fn new() -> Result<Promtool> {
        Ok(Promtool { program: PROMETHEUS.provided()?.join("bin/promtool") })
    }

    /// Judges a configuration and the rules that it names.
    ///
    /// # Errors
    /// When something is wrong with it; the message is promtool's.
    pub fn check_config(&self, config: &Path) -> Result<String> {
        self.run(&["check", "config"], &[config.to_owned()])
    }

    /// Judges files of rules.
    ///
    /// # Errors
    /// As for [`Promtool::check_config`].
    pub fn check_rules(&self, rules: &[PathBuf]) -> Result<String> {
        self.run(&["check", "rules"], rules)
    }

    /// Runs files of unit tests. Rules that they name are looked for from the file's own folder.
    ///
    /// # Errors
    /// When one fails; the message is promtool's, which shows what was expected and what was got.
    pub fn test_rules(&self, tests: &[PathBuf]) -> Result<String> {
        self.run(&["test", "rules"], tests)
    }

    fn run(&self, words: &[&str], files: &[PathBuf]) -> Result<String> {
        let finished = Process::start(Command::new(&self.program).args(words).args(files))?
            .wait(LIMIT)
            .context("promtool")?;
        let told = finished.output.all();
        if !finished.status.success() {
            bail!("promtool {} failed ({}):\n{told}", words.join(" "), finished.status);
        }
        Ok(told)
    }
}

/// A running server. Dropping it kills it and removes its data (unless `PRICEMONITOR_KEEP` is set).
#[derive(Debug)]
pub struct Prometheus {
    // First: the server ends before its folder goes.
    _server: Server,
    _place: Place,
    port: u16,
}

impl Prometheus {
    /// Starts one with this `prometheus.yml`; returns when it answers. Paths in it are looked for from its own folder, so
    /// they are best absolute.
    ///
    /// # Errors
    /// When Prometheus is not provisioned, refuses the configuration, or does not answer within 30 s.
    pub fn start(config: &str) -> Result<Prometheus> {
        let place = Place::new()?;
        let port = place::server_port()?;
        let config = place.write("prometheus.yml", config)?;
        let mut server = command(PROMETHEUS.provided()?.join("bin/prometheus"), None);
        server.arg("--config.file").arg(&config).arg("--storage.tsdb.path").arg(place.at("data"));
        server.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        server.current_dir(place.path());
        let mut server = Server::start("Prometheus", server, &place.at("log"))?;
        server.wait_until_ready(START, || {
            let status = http::get(port, "/-/ready")?.status;
            ensure!(status == 200, "/-/ready says {status}");
            Ok(())
        })?;
        Ok(Prometheus { _server: server, _place: place, port })
    }

    /// The series that an expression yields now, as the API has them: each with `metric` and `value`.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the expression; the message holds both.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self
            .ask(&format!("/api/v1/query?query={}", encoded(expression)))
            .context(expression.to_owned())?;
        match (data["resultType"].as_str(), data["result"].as_array()) {
            (Some("vector"), Some(series)) => Ok(series.clone()),
            // A number alone is one series without labels.
            (Some("scalar"), _) => Ok(vec![serde_json::json!({"metric": {}, "value": data["result"]})]),
            _ => bail!("{expression} yields neither series nor a number: {data}"),
        }
    }

    /// Waits until an expression yields a series.
    ///
    /// # Errors
    /// When it yields none within `within`, or is refused.
    pub fn wait_for(&self, expression: &str, within: Duration) -> Result<Vec<Value>> {
        wait::value(&format!("series of {expression}"), within, || match self.query(expression) {
            Ok(series) if series.is_empty() => None,
            answer => Some(answer),
        })?
    }

    /// Every rule that it evaluates: each with `name`, `type`, `health` and `lastError`.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let data = self.ask("/api/v1/rules")?;
        let groups = data["groups"].as_array().context("no groups of rules")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let answer = http::get(self.port, path)?;
        let mut body: Value = serde_json::from_str(&answer.body)
            .with_context(|| format!("{path} answers {}: {}", answer.status, answer.body))?;
        if body["status"] != "success" {
            bail!("Prometheus says: {}", body["error"].as_str().unwrap_or(&answer.body));
        }
        Ok(body["data"].take())
    }
}

/// The queries of a Grafana dashboard to Prometheus, each with the title of its panel. `values` are what its variables
/// stand for, by their names without `$`.
///
/// # Errors
/// When a variable is left that has no value.
pub fn panels(dashboard: &Value, values: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for panel in list(dashboard, "panels") {
        let title = panel["title"].as_str().unwrap_or_default().to_owned();
        for target in list(&panel, "targets") {
            let Some(expression) = target["expr"].as_str() else { continue };
            let fill = |text: String, (name, value): &(&str, &str)| text.replace(&format!("${name}"), value);
            let filled = values.iter().fold(expression.to_owned(), fill);
            ensure!(!filled.contains('$'), "{title}: a variable of `{filled}` has no value");
            found.push((title.clone(), filled));
        }
    }
    Ok(found)
}

/// As a part of an address.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => drop(write!(out, "%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_panels_are_found_with_their_values_and_a_variable_without_one_is_told() {
        let board = serde_json::json!({"panels": [{"title": "row"}, {"title": "Lag", "targets": [
            {"expr": "max(lag{monitor=\"$monitor\"}[$__rate_interval])"}, {"rawSql": "SELECT $monitor"}]}]});
        let found = panels(&board, &[("monitor", "default.a"), ("__rate_interval", "5s")]).unwrap();
        assert_eq!(found, [("Lag".to_owned(), "max(lag{monitor=\"default.a\"}[5s])".to_owned())]);
        let error = panels(&board, &[("monitor", "default.a")]).unwrap_err().to_string();
        assert!(error.contains("Lag") && error.contains("$__rate_interval"), "{error}");
    }

    #[test]
    fn an_expression_survives_the_way_into_an_address() {
        assert_eq!(encoded("a{b=\"ä\"} > 0.5"), "a%7Bb%3D%22%C3%A4%22%7D%20%3E%200.5");
    }
}
