//! A Kubernetes control plane to try things on, with two nodes that are played and no container ever, until
//! its standard input ends (Ctrl-D) or it is ended; then nothing of it is left.
//!
//!     cargo xtask provision etcd kube
//!     cargo run -p pricemonitor-testkit --example kubernetes
//!
//! It prints a line for a shell to evaluate, with the matching kubectl first on the path.

#![allow(clippy::print_stdout)]

use std::io::Read as _;

use anyhow::Result;
use pricemonitor_testkit::kubernetes::{Cluster, Parts};
use pricemonitor_testkit::provisioned::KUBE;

fn main() -> Result<()> {
    let cluster = Cluster::start(Parts::Nodes(2))?;
    let (config, programs) = (cluster.admin().kubeconfig(), KUBE.provided()?.join("bin"));
    println!("export KUBECONFIG={} PATH={}:$PATH", config.display(), programs.display());
    println!("# kubectl apply --server-side -f manifests/crd.yaml && kubectl get nodes");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
