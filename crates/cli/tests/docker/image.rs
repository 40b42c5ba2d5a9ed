//! The image by itself.

use pricemonitor_testkit::docker::{Engine, IMAGE};
use serde_json::Value;

use super::{built, root};

/// Most bytes beyond the base image.
const MOST: u64 = 60_000_000;

#[test]
fn the_image_is_small_has_no_shell_and_runs_locked_down() {
    if built().is_none() {
        return;
    }
    let engine = Engine::here().unwrap();
    let told = engine.docker(["image", "inspect", IMAGE]).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let config = &told[0]["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/usr/local/bin/pricemonitor"]));
    assert_eq!(
        config["Healthcheck"]["Test"],
        serde_json::json!(["CMD", "/usr/local/bin/pricemonitor", "health"])
    );
    let label =
        |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap_or("");
    assert_eq!((label("version"), label("licenses")), (env!("CARGO_PKG_VERSION"), "Apache-2.0"));
    assert_eq!(label("revision"), "test");

    // What the layers above the base add.
    let history = engine.docker(["history", "--human=false", "--format", "{{.Size}}", IMAGE]).unwrap();
    let sizes: Vec<u64> = history.lines().map(|line| line.parse().unwrap()).collect();
    let base = *sizes.last().unwrap();
    let ours: u64 = sizes.iter().sum::<u64>() - base;
    println!("{} MB beyond its base of {} MB", ours / 1_000_000, base / 1_000_000);
    assert!(ours < MOST, "{ours} bytes beyond the base image");

    let run = |entrypoint: &str, arguments: &[&str]| {
        let mut words = vec!["run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"];
        words.extend(["--security-opt=no-new-privileges", "--entrypoint", entrypoint, IMAGE]);
        words.extend(arguments);
        engine.docker(words)
    };
    let version = env!("CARGO_PKG_VERSION");
    let told = run("/usr/local/bin/pricemonitor", &["--version"]).unwrap();
    assert_eq!(told.trim(), format!("pricemonitor {version}"));
    let told = run("/usr/local/bin/pricemonitor-operator", &["crd"]).unwrap();
    let shipped = std::fs::read_to_string(root().join("manifests/crd.yaml")).unwrap();
    // Its first line says where it comes from.
    assert_eq!(Some(told.as_str()), shipped.split_once('\n').map(|(_, definition)| definition));
    for shell in ["/bin/sh", "/bin/bash", "/busybox/sh"] {
        let refused = run(shell, &["-c", "true"]).unwrap_err();
        assert!(format!("{refused:#}").contains("no such file"), "{refused:#}");
    }
}

#[test]
fn a_container_of_the_image_alone_shows_the_page_and_is_told_healthy() {
    if built().is_none() {
        return;
    }
    let engine = Engine::apart().unwrap();
    let examples = format!("{}:/examples:ro", root().join("examples").display());
    let address = format!("{}:8501:8501", engine.address());
    let mut run = vec!["run", "--detach", "--name=alone", "--read-only", "--publish", &address];
    // A new volume belongs to whoever the image runs as.
    run.extend(["--volume", "prices:/data", "--volume", &examples]);
    run.extend([IMAGE, "up", "-f", "/examples/tickets.yaml"]);
    engine.docker(run).unwrap();
    let health =
        || engine.docker(["inspect", "--format", "{{.State.Health.Status}}", "alone"]).unwrap_or_default();
    let waited = pricemonitor_testkit::wait::until("it to be healthy", super::composition::SOON, || {
        health().trim() == "healthy"
    });
    let logs = || {
        let output = engine.client(["logs", "alone"]).command().output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    waited.unwrap_or_else(|error| panic!("{error}\n{}", logs()));
    let page = std::net::SocketAddr::from((engine.address(), 8501));
    let answer = pricemonitor_testkit::http::get_as("localhost:8501", page, "/").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    engine.docker(["stop", "--time=10", "alone"]).unwrap();
    assert!(logs().contains("Everything that was read is stored"), "{}", logs());
    let code = engine.docker(["inspect", "--format", "{{.State.ExitCode}}", "alone"]).unwrap();
    assert_eq!(code.trim(), "0");
}
