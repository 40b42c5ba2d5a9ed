//! The sample of concert tickets on a real node: the operator's pods run as they do anywhere, on a real broker and a
//! real database, and what is sold cheaper reaches a webhook.
//!
//! Its programs must have been built: `cargo xtask provision kafka postgres etcd kube node`. Where the machine can have
//! no real node the test says why, and tries nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod ground;

use std::io::Write as _;
use std::time::{Duration, Instant};

use pricemonitor_testkit::kubernetes::node;
use pricemonitor_testkit::wait;

use ground::{Ground, MONITOR, SOON};

#[test]
fn a_monitor_runs_on_a_real_node_and_loses_nothing_when_its_pods_are_deleted() {
    if let Some(why) = node::obstacle() {
        // Not by `println!`, which tests that pass keep to themselves.
        writeln!(std::io::stderr(), "skipped: this machine can have no real node of Kubernetes: {why}")
            .unwrap();
        return;
    }
    let began = Instant::now();
    let ground = Ground::new();
    println!("the node is ready for pods after {:?}", began.elapsed());
    let began = Instant::now();
    ground.apply();
    ground.until_ready();
    println!("the monitor is ready after {:?}", began.elapsed());
    ground.every_pod_is_locked_up();
    ground.grows();
    ground.is_told();
    ground.audit();

    for (role, how) in [("processor", "--grace-period=30"), ("storage", "--grace-period=1")] {
        let before = ground.pods(role);
        ground.delete_pod(&before[0], how);
        ground.until_rolled_out(role);
        ground.until_ready();
        assert!(!ground.pods(role).contains(&before[0]), "another pod has taken its place");
        ground.grows();
        ground.is_told();
        println!("{role}: {}", ground.audit());
    }
    ground.is_told_each_alert_once();
    ground.page_answers();

    let began = Instant::now();
    ground.suspend(true);
    wait::until("all but the page to rest", SOON, || ground.all_pods() == ground.pods("dashboard"))
        .unwrap_or_else(|error| panic!("{error}: {:?}\n{}", ground.all_pods(), ground.story()));
    // Kubernetes would have killed what does not end by itself within 30 s.
    assert!(began.elapsed() < Duration::from_secs(28), "the workers took {:?} to rest", began.elapsed());
    println!("the workers rest after {:?}", began.elapsed());
    ground.audit();
    ground.suspend(false);
    ground.until_rolled_out("storage");
    ground.until_ready();
    ground.grows();
    ground.is_told();

    ground.delete();
    wait::until("its pods to go", SOON, || ground.all_pods().is_empty())
        .unwrap_or_else(|error| panic!("{error}: {:?}", ground.all_pods()));
    ground.audit();
    println!("{MONITOR} has run, rested and gone");
    ground.end();
}
