//! What the files of `docker/` say agrees with each other and with the code.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::provisioned::{DOCKER, KAFKA, POSTGRES};
use serde_json::Value;

use super::root;

const SOON: Duration = Duration::from_secs(60);

/// The composition as docker's compose understands it, with every profile; `None`, and said, where there is none.
fn composition() -> Option<Value> {
    let plugin = DOCKER.folder().unwrap().join("bin/docker-compose");
    let mut command = if DOCKER.is_there().unwrap() {
        Command::new(plugin)
    } else {
        let mut client = Command::new("docker");
        if !client.args(["compose", "version"]).output().is_ok_and(|it| it.status.success()) {
            let _ = writeln!(std::io::stderr(), "skipped: there is no docker compose");
            return None;
        }
        let mut client = Command::new("docker");
        client.arg("compose");
        client
    };
    // With the defaults of all variables, whatever the person has set who runs this.
    command.args(["--file", "docker/compose.yaml", "--env-file", "/dev/null", "--profile", "*"]);
    command.args(["config", "--format", "json"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let finished = Process::start(command.current_dir(root())).unwrap().wait(SOON).unwrap();
    assert!(finished.status.success(), "{}", finished.output.all());
    Some(serde_json::from_str(&finished.output.stdout).unwrap())
}

fn services(composition: &Value) -> Vec<(&str, &Value)> {
    composition["services"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, service)| (name.as_str(), service))
        .collect()
}

/// Services that run the project's own image.
fn ours(composition: &Value) -> Vec<(&str, &Value)> {
    services(composition).into_iter().filter(|(_, service)| service["image"] == "pricemonitor:dev").collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn compose_accepts_the_file_and_every_mount_is_there() {
    let Some(composition) = composition() else { return };
    let expected = "alert dashboard electricity-alert electricity-processor electricity-producer electricity-setup electricity-storage \
                    grafana kafka kafka-ui postgres processor producer prometheus setup storage";
    let names: Vec<_> = services(&composition).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.join(" "), expected);
    for (name, service) in services(&composition) {
        for mount in
            service["volumes"].as_array().into_iter().flatten().filter(|mount| mount["type"] == "bind")
        {
            let source = Path::new(mount["source"].as_str().unwrap());
            assert!(source.exists(), "{name} mounts {}, which is not there", source.display());
            assert_eq!(mount["read_only"], true, "{name} may write {}", source.display());
        }
    }
}

#[test]
fn every_command_is_one_of_the_program_and_every_manifest_is_valid() {
    let Some(composition) = composition() else { return };
    for (name, service) in ours(&composition) {
        let words: Vec<&str> =
            service["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let at = words.iter().position(|word| *word == "-f").unwrap() + 1;
        let manifest = words[at].strip_prefix("/etc/pricemonitor/").unwrap();
        let manifest = root().join("docker/monitors").join(manifest);
        // With `--help` behind them words are understood, and nothing is done.
        let run = |words: &[&str]| {
            Process::start(Command::new(env!("CARGO_BIN_EXE_pricemonitor")).args(words))
                .unwrap()
                .wait(SOON)
                .unwrap()
        };
        let help = run(&[&words[..], &["--help"]].concat());
        assert_eq!(help.code(), Some(0), "{name}: {}", help.output.all());
        let valid = run(&["validate", "-f", manifest.to_str().unwrap()]);
        assert_eq!(valid.code(), Some(0), "{name}: {}", valid.output.all());
    }
}

#[test]
fn every_variable_that_a_worker_is_given_is_one_that_it_reads() {
    let Some(composition) = composition() else { return };
    let code = ["crates/cli/src/args.rs", "crates/cli/src/args/servers.rs"].map(read).concat();
    let mut given = BTreeSet::new();
    for (_, service) in ours(&composition) {
        given.extend(service["environment"].as_object().unwrap().keys().cloned());
    }
    assert!(given.len() > 8, "{given:?}");
    for name in given {
        assert!(code.contains(&format!("\"{name}\"")), "{name} is given, and nothing reads it");
    }
}

#[test]
fn the_example_of_settings_names_every_variable_with_its_default() {
    let text = read("docker/compose.yaml");
    let mut wanted = BTreeSet::new();
    for part in text.split("${").skip(1) {
        let (variable, _) = part.split_once('}').unwrap();
        let (name, default) =
            variable.split_once(":-").unwrap_or_else(|| panic!("{variable} has no default"));
        wanted.insert((name.to_owned(), default.to_owned()));
    }
    // Those that are handed on where they are set.
    for line in text.lines().filter(|line| line.starts_with("      ")) {
        if let Some(name) = line.trim().strip_suffix(':').filter(|name| is_variable(name)) {
            wanted.insert((name.to_owned(), String::new()));
        }
    }
    let mut told = BTreeSet::new();
    for line in read("docker/.env.example").lines() {
        if let Some((name, value)) = line.trim_start_matches('#').split_once('=')
            && is_variable(name)
        {
            told.insert((name.to_owned(), value.to_owned()));
        }
    }
    // Compose's own.
    assert!(told.remove(&("COMPOSE_PROFILES".to_owned(), "tickets".to_owned())));
    assert_eq!(told, wanted);
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[test]
fn ports_are_those_that_the_programs_listen_on_and_prometheus_asks_every_worker() {
    let Some(composition) = composition() else { return };
    let port = |text: &Value| text.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let scraped = read("docker/prometheus/prometheus.yml");
    for (name, service) in ours(&composition) {
        if service["command"][0] != "run" {
            continue;
        }
        let environment = &service["environment"];
        let listens = port(&environment["PRICEMONITOR_LISTEN"]);
        assert_eq!(
            port(&environment["PRICEMONITOR_URL"]),
            listens,
            "{name} is asked for its health at another port"
        );
        let published = service["ports"].as_array().map_or(0, Vec::len);
        assert_eq!(published, usize::from(name == "dashboard"), "{name}");
        let job = scraped
            .split("- names: [")
            .skip(1)
            .find(|job| job.split(']').next().unwrap().split(", ").any(|it| it == name));
        let job = job.unwrap_or_else(|| panic!("Prometheus does not ask {name}"));
        assert!(job.contains(&format!("port: {listens}\n")), "{name}");
    }
    let published = |name: &str| {
        let port = &composition["services"][name]["ports"][0];
        (port["published"].as_str().unwrap().to_owned(), port["target"].as_u64().unwrap())
    };
    assert_eq!(published("dashboard"), ("8501".to_owned(), 8501));
    assert_eq!(published("kafka-ui"), ("8080".to_owned(), 8080));
    assert_eq!(published("prometheus"), ("9090".to_owned(), 9090));
    assert_eq!(published("grafana"), ("3000".to_owned(), 3000));
    assert!(read("docker/Dockerfile").contains("EXPOSE 8501\n"));
}

#[test]
fn images_are_pinned_and_are_of_the_versions_that_tests_run_on() {
    let Some(composition) = composition() else { return };
    let image = |name: &str| composition["services"][name]["image"].as_str().unwrap().to_owned();
    assert_eq!(image("kafka"), format!("apache/kafka:{}", KAFKA.version));
    let version = POSTGRES.version.rsplit_once('.').unwrap().0;
    assert_eq!(image("postgres"), format!("postgres:{version}-trixie"));
    for (name, service) in services(&composition) {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        assert!(tag == "dev" || tag.split('.').count() >= 2, "{name}: {image} is not pinned");
    }
    // Two that build the same name at once get into each other's way, and each profile needs it.
    let builds = |service: &Value| !service["build"].is_null();
    let builders: Vec<_> =
        services(&composition).into_iter().filter(|(_, service)| builds(service)).collect();
    assert_eq!(builders.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["dashboard"]);
    assert_eq!(builders[0].1["profiles"], serde_json::json!(["tickets", "electricity"]));
    let dockerfile = read("docker/Dockerfile");
    let rust = read("Cargo.toml");
    let rust =
        rust.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    assert!(
        dockerfile.contains(&format!("ARG BUILD_IMAGE=rust:{rust}.")),
        "another Rust than Cargo.toml's {rust}"
    );
    assert!(dockerfile.contains(&format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn what_the_image_is_built_of_is_not_ignored_and_tests_are() {
    let ignored = read(".dockerignore");
    for line in
        read("docker/Dockerfile").lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from"))
    {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        for source in words.iter().take(words.len() - 1).filter(|source| **source != ".") {
            assert!(ignored.contains(&format!("!{source}\n")), "{source} is ignored");
            assert!(Path::new(&root()).join(source).exists(), "{source}");
        }
    }
    assert!(ignored.contains("crates/*/tests"));
}
