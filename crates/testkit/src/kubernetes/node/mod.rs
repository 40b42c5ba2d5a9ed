//! A real node: containerd, runc and kubelet, on which pods run as they do anywhere, with kube-proxy for Services
//! and CoreDNS for names. Beside it the control plane of [`Cluster`], with its controllers and its scheduler.
//!
//! The node lives in namespaces of its own (network, mounts, processes) below one first process. Whatever becomes
//! of the test, with that process the kernel ends everything on the node: pods, mounts, network. What is left then
//! is a tree of empty control groups, which the value removes, or after a kill of the test the next node.
//!
//! Pods reach this machine at [`HOST`], and this machine reaches pods by their addresses. Nothing leads out of the
//! machine: images are imported ([`RealNode::load`]), never pulled.

mod kubelet;
mod runtime;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use crate::apart::cable::HOST;

use super::{Cluster, Parts};
use crate::apart::{self, Namespaces, cable, cgroup};
use crate::image::Image;
use crate::place::Place;
use crate::process::Process;
use crate::provisioned::{NODE, NODE_TOOLS};
use crate::server::Server;

/// kubelet tells that its node is ready within seconds; a busy machine takes longer.
const START: Duration = Duration::from_secs(120);
/// Addresses of the pods.
const PODS: &str = "10.213.78.0/24";
/// The name of the node.
pub const NAME: &str = "node-1";

/// Why this machine can have no real node; `None` where it can, and where [`RealNode::start`] must work once
/// `cargo xtask provision etcd kube node` has.
pub fn obstacle() -> Option<String> {
    apart::obstacle(&NODE_TOOLS)
}

/// A control plane with one real node. Dropping it ends both and leaves nothing behind. There is one on a machine
/// at a time: another one waits.
#[derive(Debug)]
pub struct RealNode {
    // In the order in which they end: whoever speaks to another one ends before it.
    others: Vec<Server>,
    containerd: Server,
    namespaces: Namespaces,
    cluster: Cluster,
    cgroups: cgroup::Tree,
    place: Place,
    _turn: apart::Turn,
}

impl RealNode {
    /// Starts a fresh one; returns when the node is ready for pods.
    ///
    /// # Errors
    /// When this machine can have none (see [`obstacle`]), something is not provisioned, another test has a node for
    /// longer than forty minutes, or a part is not at work within 120 s; the message holds the end of its log.
    pub fn start() -> Result<RealNode> {
        if let Some(why) = obstacle() {
            bail!("this machine can have no real node of Kubernetes: {why}");
        }
        let programs = NODE.provided()?.join("bin");
        let turn = apart::turn()?;
        let place = Place::new()?;
        let cgroups = cgroup::Tree::new("node")?;
        let namespaces = Namespaces::new(&place, &programs)?;
        cable::connect(namespaces.first(), Some(PODS))?;
        let mut cluster = Cluster::start_at(HOST, Parts::Controllers)?;
        cluster.add_scheduler()?;
        let containerd = runtime::start(&place, &namespaces)?;
        let mut node =
            RealNode { others: Vec::new(), containerd, namespaces, cluster, cgroups, place, _turn: turn };
        node.prepare()?;
        Ok(node)
    }

    fn prepare(&mut self) -> Result<()> {
        let socket = runtime::socket(&self.place);
        let (inside, place) = (&self.namespaces, &self.place);
        let answers = || ctr(inside, &socket, &["version"]);
        self.containerd.wait_until_ready(START, answers)?;
        self.load(&runtime::pause(&NODE.provided()?.join("bin/pause")))?;
        let mut kubelet = kubelet::start(place, inside, &self.cluster, self.cgroups.name())?;
        self.others.push(kubelet::proxy(place, inside, &self.cluster)?);
        let mut names = kubelet::names(place, inside, self.cluster.admin().kubeconfig())?;
        let wait = format!("node/{NAME}");
        let ready = ["wait", "--for=condition=Ready", &wait, "--timeout=5s"];
        kubelet.wait_until_ready(START, || self.cluster.admin().run(&ready, None).map(drop))?;
        self.others.push(kubelet);
        names.wait_until_ready(START, kubelet::answers_names)?;
        self.others.push(names);
        Ok(())
    }

    /// Makes an image known to the node, under the name that it has.
    ///
    /// # Errors
    /// When it cannot be put together or imported.
    pub fn load(&self, image: &Image) -> Result<()> {
        let file = image.write(&self.place)?;
        self.import(&file).with_context(|| format!("importing {}", image.reference()))?;
        std::fs::remove_file(&file).context("removing the image's file")
    }

    /// Makes the images of an archive known to the node, such as one that docker has saved.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn import(&self, archive: &Path) -> Result<()> {
        let path = archive.to_str().context("the folder for tests is no text")?;
        ctr(&self.namespaces, &runtime::socket(&self.place), &["images", "import", path])
    }

    /// The control plane.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The address of this machine for pods, and for everybody on it.
    pub fn host(&self) -> Ipv4Addr {
        HOST
    }

    /// Folder of the node's data, settings and logs (`<program>.log`).
    pub fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Host's process id of the first process on the node: everything on it ends with it.
    pub fn first(&self) -> u32 {
        self.namespaces.first()
    }
}

/// containerd's own client; what it waits for is waited for at most two minutes.
fn ctr(inside: &Namespaces, socket: &Path, arguments: &[&str]) -> Result<()> {
    let mut ctr = inside.command(NODE.provided()?.join("bin/ctr"));
    ctr.arg("--address").arg(socket).args(["--namespace", "k8s.io"]).args(arguments);
    let finished = Process::start(&mut ctr)?.wait(START).context("ctr")?;
    if !finished.status.success() {
        bail!("ctr {} failed ({}):\n{}", arguments.join(" "), finished.status, finished.output.all());
    }
    Ok(())
}
