//! `cargo xtask bench`: release builds against the speed goals. Never part of the tests, and never a
//! failure for being slow: a busy machine is no reason for red.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::run;

/// What `cargo xtask bench` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Only the benches whose name holds this text (detection, log, store, kafka, binary, cluster, operator)
    #[arg(value_name = "NAME", default_value = "")]
    name: String,
}

struct Bench {
    package: &'static str,
    folder: &'static str,
    example: &'static str,
    goal: &'static str,
}

const BENCHES: [Bench; 7] = [
    Bench {
        package: "pricemonitor-detection",
        folder: "crates/detection",
        example: "bench_detection",
        goal: "detection alone: >= 2 million observations/s on one core over 100,000 series; state of a quote <= 200 bytes",
    },
    Bench {
        package: "pricemonitor-eventlog",
        folder: "crates/eventlog",
        example: "bench_log",
        goal: "the embedded log must carry >= 50,000 observations/s with room to spare",
    },
    Bench {
        package: "pricemonitor-store",
        folder: "crates/store",
        example: "bench_store",
        goal: "one million rows of history: every chart and table answers in <= 100 ms; on PostgreSQL >= 0.7 x the rows/s \
               of a bare binary COPY of the same rows, <= 1.5 CPU seconds of its own a million rows",
    },
    Bench {
        package: "pricemonitor-workers",
        folder: "crates/workers",
        example: "bench_kafka",
        goal: "processor on a real Kafka, exactly once: <= 3.5 s CPU a million messages where librdkafka alone takes 1.9; <= 64 MiB; restore >= 500,000 records/s",
    },
    Bench {
        package: "pricemonitor-testkit",
        folder: "crates/testkit",
        example: "bench_binary",
        goal: "start to first stored price <= 2 s; idle memory <= 40 MiB; >= 50,000 observations/s from append to stored row",
    },
    Bench {
        package: "pricemonitor-testkit",
        folder: "crates/testkit",
        example: "bench_cluster",
        goal: "workers on Kafka and PostgreSQL at 10,000 prices/s: append acknowledged to webhook p99 <= batch interval (50 ms) + 50 ms; kill -9 to the next commit <= 2 s; a lost processor is taken over within 8 s",
    },
    Bench {
        package: "pricemonitor-testkit",
        folder: "crates/testkit",
        example: "bench_operator",
        goal: "1,000 monitors: converged <= 120 s, operator <= 64 MiB; at rest no write; a change reaches its Deployment within 1 s (p99)",
    },
];

/// Runs the benches one after the other.
///
/// # Errors
/// When one does not compile or breaks off.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let chosen: Vec<&Bench> =
        BENCHES.iter().filter(|bench| bench.example.contains(arguments.name.as_str())).collect();
    anyhow::ensure!(!chosen.is_empty(), "no bench is called `{}`", arguments.name);
    let mut ok = true;
    for bench in chosen {
        println!("\n=== {} ===\ngoal: {}", bench.example, bench.goal);
        if !Path::new(bench.folder).join("examples").join(format!("{}.rs", bench.example)).exists() {
            println!("there is no {} yet in {}", bench.example, bench.folder);
            ok = false;
            continue;
        }
        let limit = Duration::from_secs(60 * 60);
        let mut arguments =
            vec!["run", "--release", "--quiet", "-p", bench.package, "--example", bench.example];
        let binary = match bench.example {
            "bench_binary" | "bench_cluster" => Some(("pricemonitor", "target/release/pricemonitor")),
            "bench_operator" => Some(("pricemonitor-operator", "target/release/pricemonitor-operator")),
            _ => None,
        };
        if let Some((package, path)) = binary {
            ok &= run::stream(&mut run::cargo(["build", "--release", "-p", package]), limit)?;
            arguments.extend(["--", path]);
        }
        ok &= run::stream(&mut run::cargo(arguments), limit)?;
    }
    Ok(ok)
}
