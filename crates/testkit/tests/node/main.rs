//! A real node runs pods and leaves nothing behind, however its test ends.
//!
//! Its programs must have been built: `cargo xtask provision etcd kube node`. Where the machine can have no real node
//! the test says why, and tries nothing.

#![allow(clippy::unwrap_used, clippy::panic)] // the helpers of tests

use std::fs;
use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pricemonitor_testkit::kubernetes::node::{self, RealNode};
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::server::is_running;
use pricemonitor_testkit::wait;
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);
/// Where the test is to be killed, this variable is set.
const DOOMED: &str = "TESTKIT_NODE_DOOMED";

/// A pod that runs as restricted ones do, with a Secret: a mount of its own.
fn run_a_pod(node: &RealNode) {
    let admin = node.cluster().admin();
    let locked = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waits", "namespace": "default"}, "spec": {
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "waits", "image": "pricemonitor.test/pause:1", "securityContext": locked,
                        "resources": {"limits": {"memory": "64Mi"}},
                        "volumeMounts": [{"name": "secret", "mountPath": "/secret"}]}],
        "volumes": [{"name": "secret", "secret": {"secretName": "secret"}}],
    }});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret", "namespace": "default"},
                        "stringData": {"key": "value"}});
    admin.apply_all(&[secret, pod]).unwrap();
    let ready = ["wait", "--for=condition=Ready", "pod/waits", "--timeout=60s"];
    admin.run(&ready, None).unwrap_or_else(|error| {
        let pod = admin.run(&["describe", "pod", "waits"], None).unwrap_or_default();
        panic!("{error}\n{pod}")
    });
}

/// What there is of a node on this machine, seen from outside of it.
fn traces(folder: &Path) -> Vec<String> {
    let mut traces = Vec::new();
    if Path::new("/sys/class/net/pmnode").exists() {
        traces.push("the link pmnode".to_owned());
    }
    let routes = Process::start(Command::new("ip").args(["route", "show"])).unwrap().wait(SOON).unwrap();
    let ours = |line: &&str| line.contains("10.213.");
    traces.extend(routes.output.stdout.lines().filter(ours).map(|route| format!("the route {route}")));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let below = format!(" {}/", folder.display());
    traces.extend(
        mounts.lines().filter(|line| line.contains(&below)).map(|mount| format!("the mount {mount}")),
    );
    let tops = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|top| top.path());
    let groups = tops.chain([PathBuf::from("/sys/fs/cgroup")]).map(|top| top.join("pricemonitor-node"));
    traces
        .extend(groups.filter(|group| group.exists()).map(|group| format!("the group {}", group.display())));
    traces
}

#[test]
fn a_pod_runs_on_a_real_node_and_nothing_is_left_after_a_panic_or_a_kill() {
    if let Some(why) = node::obstacle() {
        // Not by `println!`, which tests that pass keep to themselves.
        writeln!(std::io::stderr(), "skipped: this machine can have no real node of Kubernetes: {why}")
            .unwrap();
        return;
    }
    if std::env::var_os(DOOMED).is_some() {
        let node = RealNode::start().unwrap();
        run_a_pod(&node);
        println!("first={}", node.first());
        // Until it is killed.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }

    let this = "a_pod_runs_on_a_real_node_and_nothing_is_left_after_a_panic_or_a_kill";
    // What a killed test leaves goes with this folder.
    let place = Place::new().unwrap();
    let mut doomed = Command::new(std::env::current_exe().unwrap());
    doomed.args([this, "--exact", "--nocapture"]).env(DOOMED, "1").env("TMPDIR", place.path());
    let (input, _open) = std::io::pipe().unwrap();
    let mut doomed = Process::start_with(&mut doomed, Stdio::from(input)).unwrap();
    doomed.wait_for("first=", Duration::from_secs(240)).unwrap();
    let output = doomed.output().stdout;
    let first: u32 = output.split("first=").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert!(is_running(first));
    doomed.kill9().unwrap();
    wait::until("the first process to end", SOON, || !is_running(first)).unwrap();

    // The next one finds a clean machine, or makes it one.
    let mut seen = None;
    let broke = catch_unwind(AssertUnwindSafe(|| {
        let began = Instant::now();
        let node = RealNode::start().unwrap();
        println!("a node is ready after {:?}", began.elapsed());
        seen = Some((node.first(), node.folder().to_owned()));
        run_a_pod(&node);
        assert_ne!(traces(node.folder()), [""; 0], "what is looked for is there now");
        println!("a pod runs after {:?}", began.elapsed());
        panic!("as a test that fails");
    }));
    let told = broke.unwrap_err();
    assert_eq!(told.downcast_ref::<&str>(), Some(&"as a test that fails"), "{told:?}");
    let (first, folder) = seen.unwrap();
    assert!(!is_running(first));
    assert!(std::env::var_os("PRICEMONITOR_KEEP").is_some() || !folder.exists());
    // The kernel takes a network apart after its last process has ended.
    wait::until("everything to go", SOON, || traces(&folder).is_empty())
        .unwrap_or_else(|error| panic!("{error}: {:#?}", traces(&folder)));
}
