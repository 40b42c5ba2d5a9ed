//! Secrets stay secret: planted values are in no output, page, metric or file, however things fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::path::Path;
use std::time::Duration;

use common::{SOON, Setup, manifest, pricemonitor};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, wait};

const IN_ADDRESS: &str = "PLANTED-address-4711";
const IN_SIGNATURE: &str = "PLANTED-signature-4712";
const IN_BEARER: &str = "PLANTED-bearer-4713";

const SPEC: &str = "
sources:
- {name: market, interval: 200ms, simulator: {events: 5, seed: 5}}
- name: web
  interval: 1s
  http:
    url: 'URL/prices'
    format: porssisahko
    bearerToken: {secretKeyRef: {name: web, key: token}}
channels:
- name: hook
  webhook:
    urlFrom: {secretKeyRef: {name: hook, key: url}}
    signingSecret: {secretKeyRef: {name: hook, key: signing}}
- name: dead
  webhook:
    urlFrom: {secretKeyRef: {name: dead, key: url}}
- name: nowhere
  discord: {webhookUrl: {secretKeyRef: {name: not-there, key: url}}}
";

fn planted(text: &str) -> Option<&'static str> {
    [IN_ADDRESS, IN_SIGNATURE, IN_BEARER].into_iter().find(|secret| text.contains(secret))
}

/// Every page and every question of the API but the endless one.
fn pages() -> Vec<String> {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api/openapi.json");
    let api: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(api).unwrap()).unwrap();
    let paths = api["paths"].as_object().unwrap().keys().filter(|path| !path.ends_with("/live")).cloned();
    let mut pages: Vec<String> = ["/", "/metrics", "/readyz", "/livez"].map(str::to_owned).into();
    pages.extend(paths);
    assert!(pages.len() > 7, "{pages:?}");
    pages
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn planted_secrets_appear_nowhere_however_channels_and_sources_fail() {
    // Every answer repeats the secret back, as careless servers do.
    let careless = Receiver::start(|request| {
        let echo = format!("bad request to {} by {IN_BEARER} {IN_SIGNATURE} {IN_ADDRESS}", request.path);
        match request.number % 3 {
            0 => Answer::Reply(500, Vec::new(), echo),
            1 => Answer::Drop,
            _ => Answer::Reply(400, Vec::new(), echo),
        }
    })
    .unwrap();
    let setup = Setup::new(&manifest("secrets", &SPEC.replace("URL", &careless.url(""))));
    setup.place.write("secrets/hook/signing", format!("{IN_SIGNATURE}\n")).unwrap();
    setup.place.write("secrets/web/token", format!("{IN_BEARER}\n")).unwrap();
    let closed = pricemonitor_testkit::place::free_port().unwrap();
    let with_secrets = |command: &mut std::process::Command| {
        command
            .arg("--secrets-dir")
            .arg(setup.place.at("secrets"))
            .env("PRICEMONITOR_SECRET_HOOK_URL", careless.url(&format!("/{IN_ADDRESS}")))
            .env("PRICEMONITOR_SECRET_DEAD_URL", format!("http://127.0.0.1:{closed}/{IN_ADDRESS}"))
            .env("RUST_LOG", "debug");
    };
    let mut up = setup.command();
    with_secrets(&mut up);
    let mut process = Process::start(&mut up).unwrap();
    setup.ready(&mut process);
    let seen = |name: &str, value: &str| {
        careless.received().iter().any(|request| request.header(name).is_some_and(|is| is.contains(value)))
    };
    wait::until("the secrets to be used at all", SOON, || {
        seen("authorization", IN_BEARER)
            && seen("webhook-signature", "v1,")
            && careless.received().iter().filter(|request| request.path.contains(IN_ADDRESS)).count() > 3
    })
    .unwrap();
    for path in pages() {
        let answer = http::get(setup.port, &path).unwrap();
        assert_eq!(planted(&format!("{}{}", answer.head, answer.body)), None, "{path}: {}", answer.body);
    }
    let output = process.terminate(Duration::from_secs(10)).unwrap().output.all();
    assert_eq!(planted(&output), None, "{output}");

    let mut dry = pricemonitor();
    dry.args(["test-alert", "--dry-run", "-f"]).arg(setup.manifest());
    with_secrets(&mut dry);
    let output = Process::start(&mut dry).unwrap().wait(SOON).unwrap().output.all();
    assert_eq!(planted(&output), None, "{output}");

    let mut kept = Vec::new();
    files(&setup.data(), &mut kept);
    assert!(kept.len() >= 2, "{kept:?}");
    for file in kept {
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(planted(&String::from_utf8_lossy(&bytes)), None, "{}", file.display());
    }
}

#[test]
fn a_channel_without_its_secret_is_off_and_its_alerts_are_kept() {
    let spec = "
sources:
- {name: market, interval: 200ms, simulator: {events: 10, seed: 5}}
channels:
- name: nowhere
  discord: {webhookUrl: {secretKeyRef: {name: not-there, key: url}}}
";
    let setup = Setup::new(&manifest("secrets", spec));
    let mut process = setup.up();
    process.wait_for("not-there", SOON).unwrap();
    let count = |query: &str| pricemonitor_testkit::read::number(&setup.prices(), query).unwrap_or(0);
    wait::until("a kept alert", SOON, || count("SELECT count(*) FROM price_drop_alerts") > 0).unwrap();
    let pending = "SELECT count(*) FROM alert_deliveries WHERE channel = 'nowhere' AND state = 'pending'";
    wait::until("a pending delivery", SOON, || count(pending) > 0).unwrap();
    assert_eq!(process.terminate(Duration::from_secs(5)).unwrap().code(), Some(0));
}
