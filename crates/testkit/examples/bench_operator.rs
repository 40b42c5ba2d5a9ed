//! A thousand monitors on a real API server without any other controller: how long the operator takes to bring all of
//! them to what they say, what it holds in memory, what it writes when nothing changes, and how soon a change arrives.
//! `cargo xtask bench operator` builds and runs it; it prints and judges nothing.

#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pricemonitor_testkit::kubernetes::{Cluster, Kubectl, Parts};
use pricemonitor_testkit::place::free_port;
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::{http, wait};
use serde_json::{Value, json};

const NAMESPACES: usize = 10;
const EACH: usize = 100;
/// How long the converged operator is watched doing nothing.
const REST: Duration = Duration::from_secs(60);
/// Changes of one monitor each.
const CHANGES: usize = 100;
const SOON: Duration = Duration::from_secs(120);

fn monitor(namespace: usize, number: usize) -> Value {
    json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor",
        "metadata": {"name": format!("m{number}"), "namespace": format!("shop-{namespace}")},
        "spec": {
            "sources": [{"name": "market", "interval": "5s", "simulator": {"events": 5, "seed": number}}],
            "rules": [{"name": "ten", "drop": {"percent": 10, "baseline": "lastNotified"}, "cooldown": "1m"},
                      {"name": "bargain", "below": {"value": 60, "clear": 70}, "severity": "critical"}],
            "channels": [{"name": "discord",
                          "discord": {"webhookUrl": {"secretKeyRef": {"name": "discord", "key": "url"}}}}],
            "kafka": {"bootstrapServers": "kafka:9092", "partitions": 6},
            "storage": {"postgres": {"secretRef": {"name": "prices-app"}}},
            "workers": {"storage": {"replicas": 2}, "dashboard": {"enabled": true},
                        "processor": {"autoscaling": {"maxReplicas": 6}}}}})
}

fn secrets(namespace: usize) -> [Value; 3] {
    let namespace = format!("shop-{namespace}");
    let secret = |name: &str, data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "stringData": data,
               "metadata": {"name": name, "namespace": namespace}})
    };
    [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        secret("prices-app", json!({"host": "db", "dbname": "p", "user": "p", "password": "x"})),
        secret("discord", json!({"url": "https://discord.example/x"})),
    ]
}

struct Bench {
    binary: PathBuf,
    cluster: Cluster,
    config: PathBuf,
}

struct Operator {
    process: Process,
    port: u16,
}

impl Operator {
    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = http::get(self.port, "/metrics").map(|answer| answer.body).unwrap_or_default();
        http::metric(&text, &format!("pricemonitor_operator_{name}"), labels).unwrap_or(0.0)
    }

    fn tell(&self, what: &str, since: Instant) -> Result<()> {
        let usage = self.process.usage()?;
        println!(
            "{what}: {:.1} s; operator: {:.1} s CPU, {} MiB now, {} MiB at most; {} reconciles",
            since.elapsed().as_secs_f64(),
            usage.cpu.as_secs_f64(),
            usage.resident >> 20,
            usage.peak >> 20,
            self.metric("reconciles_total", &[]),
        );
        Ok(())
    }
}

impl Bench {
    fn admin(&self) -> &Kubectl {
        self.cluster.admin()
    }

    fn start(&self) -> Result<Operator> {
        let port = free_port()?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "--lease-namespace=system", "--worker-image=prices:1"]);
        command.arg(format!("--listen=127.0.0.1:{port}")).env("KUBECONFIG", &self.config);
        Ok(Operator { process: Process::start(&mut command)?, port })
    }

    /// Requests of the operator that write, but for those to its Lease.
    fn writes(&self) -> Result<usize> {
        let asked = self.cluster.requests_of("system", "pricemonitor-operator")?;
        let writes = asked.iter().filter(|one| !matches!(&*one.verb, "get" | "list" | "watch"));
        Ok(writes.filter(|one| one.resource != "leases").count())
    }

    /// How many monitors have a status of their newest generation, and all their children.
    fn converged(&self) -> Result<(usize, usize)> {
        let columns =
            "-o=jsonpath={range .items[*]}{.metadata.generation}={.status.observedGeneration} {end}";
        let text = self.admin().run(&["get", "pm", "-A", columns], None)?;
        let current = text
            .split_whitespace()
            .filter(|pair| pair.split_once('=').is_some_and(|(wanted, seen)| wanted == seen));
        let current = current.count();
        let deployments = self.admin().run(&["get", "deployments", "-A", "--no-headers"], None)?;
        Ok((current, deployments.lines().count()))
    }
}

fn prepare(binary: &Path) -> Result<Bench> {
    let cluster = Cluster::start(Parts::Api)?;
    let print = |word: &str| -> Result<String> {
        let finished = Process::start(Command::new(binary).arg(word))?.wait(SOON)?;
        Ok(finished.output.stdout)
    };
    let admin = cluster.admin();
    admin.apply(&print("crd")?)?;
    wait::until("the API to serve monitors", SOON, || admin.get(&["pricemonitors"]).is_ok())?;
    let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "system"}});
    admin.apply_all(&[system])?;
    let finished = Process::start(Command::new(binary).args(["rbac", "--namespace=system"]))?.wait(SOON)?;
    admin.apply(&finished.output.stdout)?;
    for namespace in 0..NAMESPACES {
        admin.apply_all(&secrets(namespace))?;
        let monitors: Vec<Value> = (0..EACH).map(|number| monitor(namespace, number)).collect();
        admin.apply_all(&monitors)?;
    }
    let config = cluster.account("system", "pricemonitor-operator")?.kubeconfig().to_owned();
    Ok(Bench { binary: binary.to_owned(), cluster, config })
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: bench_operator PATH-OF-PRICEMONITOR-OPERATOR")?;
    let binary = fs::canonicalize(&path).with_context(|| format!("{path}: build it first"))?;
    let began = Instant::now();
    let bench = prepare(&binary)?;
    let all = NAMESPACES * EACH;
    println!(
        "{all} monitors in {NAMESPACES} namespaces are applied after {:.1} s",
        began.elapsed().as_secs_f64()
    );

    let began = Instant::now();
    let operator = bench.start()?;
    wait::until("a look at every monitor", Duration::from_secs(600), || {
        std::thread::sleep(Duration::from_secs(1));
        operator.metric("monitors", &["condition=\"Ready\""]) >= all as f64
    })?;
    operator.tell("converged", began)?;
    let (current, deployments) = bench.converged()?;
    ensure!(
        current == all && deployments == 5 * all,
        "{current} of {all} are current, {deployments} Deployments"
    );
    println!("writes: {}", bench.writes()?);

    std::thread::sleep(Duration::from_secs(5));
    let before = bench.writes()?;
    std::thread::sleep(REST);
    println!("at rest, in {} s: {} writes", REST.as_secs(), bench.writes()? - before);
    operator.tell("at rest", began)?;
    changes(&bench)?;
    operator.tell("changes", began)?;
    operator.process.terminate(SOON)?;

    let (before, began) = (bench.writes()?, Instant::now());
    let again = bench.start()?;
    wait::until("a second look at every monitor", Duration::from_secs(600), || {
        std::thread::sleep(Duration::from_millis(500));
        again.metric("monitors", &["condition=\"Ready\""]) >= all as f64
    })?;
    again.tell("started anew", began)?;
    println!("writes of an operator that starts anew: {}", bench.writes()? - before);
    again.process.terminate(SOON)?;
    Ok(())
}

/// From the answer to a change of a monitor to the change of its Deployment, as a watch tells it.
fn changes(bench: &Bench) -> Result<()> {
    let image = "-o=jsonpath={.metadata.namespace}/{.metadata.name}={.spec.template.spec.containers[0].image} {'\\n'}";
    let watch = bench.admin().start(&[
        "get",
        "deployments",
        "-A",
        "--watch-only",
        "-l=app.kubernetes.io/component=storage",
        image,
    ])?;
    std::thread::sleep(Duration::from_secs(3));
    let mut took = Vec::new();
    for change in 0..CHANGES {
        let (namespace, name) = (format!("shop-{}", change % NAMESPACES), format!("m{}", change % EACH));
        let tag = format!("prices:change-{change}");
        let patch = json!({"spec": {"image": tag}}).to_string();
        bench.admin().run(&["patch", "pm", &name, "-n", &namespace, "--type=merge", "-p", &patch], None)?;
        let (began, wanted) = (Instant::now(), format!("{namespace}/{name}-storage={tag} "));
        while !watch.output().stdout.contains(&wanted) {
            ensure!(began.elapsed() < SOON, "{wanted} never came");
            std::thread::sleep(Duration::from_millis(5));
        }
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).or(took.last()).copied().unwrap_or_default();
    println!("a change to its Deployment: p50 {:.0?}, p99 {:.0?} of {CHANGES}", at(50), at(99));
    watch.kill9()?;
    Ok(())
}
