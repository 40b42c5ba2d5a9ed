//! A real Kubernetes control plane: etcd, kube-apiserver and, where asked for, what acts on the objects
//! that it keeps. Every server is a child of this process, on loopback ports of its own.
//!
//! With [`Parts::Nodes`] no container ever runs: KWOK plays nodes on which every pod is ready at once and
//! every Job's pod succeeds. Everything above a node (scheduling, rollouts, owners, quotas, disruption
//! budgets) is Kubernetes itself. Where pods must really run there is [`node::RealNode`].

mod audit;
mod helm;
mod kubectl;
pub mod node;
mod servers;
mod users;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use audit::Request;
pub use helm::Helm;
pub use kubectl::{Kubectl, list};

use crate::place::{self, Place};
use crate::provisioned::DEFINITIONS;
use crate::server::Server;
use crate::wait;
use users::User;

/// etcd and the API server together took 3 s on a quiet machine, and 20 s on a busy one.
const START: Duration = Duration::from_secs(120);

/// Which servers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// The API alone: objects are checked and kept, and nothing comes of them.
    #[default]
    Api,
    /// And the controllers: Deployments have pods, which wait for a node, and what has lost its owner is
    /// removed.
    Controllers,
    /// And a scheduler with so many nodes: pods run and are ready, Jobs complete.
    Nodes(u32),
}

/// A running control plane. Dropping it kills its servers and removes their data (unless
/// `PRICEMONITOR_KEEP` is set).
#[derive(Debug)]
pub struct Cluster {
    // First: whoever speaks to a server ends before it, and all of them before their folder goes.
    others: Vec<Server>,
    api: Server,
    etcd: Server,
    place: Place,
    at: SocketAddrV4,
    store: u16,
    admin: Kubectl,
}

impl Cluster {
    /// Starts a fresh one; returns when all its parts are at work.
    ///
    /// # Errors
    /// When etcd or kube is not provisioned, or a part is not at work within 120 s; the message holds the
    /// end of its log.
    pub fn start(parts: Parts) -> Result<Cluster> {
        Cluster::start_at(Ipv4Addr::LOCALHOST, parts)
    }

    /// As [`Cluster::start`], with the API at an address of this machine that others can reach.
    fn start_at(address: Ipv4Addr, parts: Parts) -> Result<Cluster> {
        let place = Place::new()?;
        let (store, peer) = (place::server_port()?, place::server_port()?);
        let at = SocketAddrV4::new(address, place::server_port()?);
        users::certificates(&place, address)?;
        let all = [User::ADMIN, User::CONTROLLERS, User::SCHEDULER, User::NODE, User::PROXY];
        users::write(&place, &servers::url(at), &all)?;
        let admin = Kubectl::new(User::ADMIN.kubeconfig(&place))?;
        let etcd = servers::etcd(&place, store, peer)?;
        let api = servers::api(&place, store, at)?;
        let mut cluster = Cluster { others: Vec::new(), api, etcd, place, at, store, admin };
        cluster.wait_for_api()?;
        cluster.extend_to(parts)?;
        Ok(cluster)
    }

    /// Adds what [`Parts::Api`] lacks to be `parts`. The garbage collector knows at once what was defined
    /// before it started; of later definitions it hears within 30 s.
    ///
    /// # Errors
    /// When there is more than the API already, and as for [`Cluster::start`].
    pub fn extend_to(&mut self, parts: Parts) -> Result<()> {
        if !self.others.is_empty() {
            bail!("the cluster has its controllers already: extend it once");
        }
        match parts {
            Parts::Api => {}
            Parts::Controllers => self.add_controllers()?,
            Parts::Nodes(0) => bail!("a cluster of no node: ask for `Parts::Controllers` instead"),
            Parts::Nodes(count) => {
                self.add_controllers()?;
                self.add_nodes(count)?;
            }
        }
        Ok(())
    }

    fn wait_for_api(&mut self) -> Result<()> {
        let ready = ["get", "--raw", "/readyz", "--request-timeout=5s"];
        self.api.wait_until_ready(START, || self.admin.run(&ready, None).map(drop)).map(drop)
    }

    /// `kill -9` for the API server: nobody is answered, and every watch breaks. What it keeps stays.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill_api(&mut self) -> Result<()> {
        self.api.kill().map(drop)
    }

    /// Starts it again after [`Cluster::kill_api`], at the same address; returns when it is ready.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub fn start_api(&mut self) -> Result<()> {
        self.api = servers::api(&self.place, self.store, self.at)?;
        self.wait_for_api()
    }

    fn add_controllers(&mut self) -> Result<()> {
        let mut controllers = servers::controllers(&self.place)?;
        // Without it no pod can be made. It is the last sign of a start.
        let account = ["get", "serviceaccount", "default", "--namespace=default"];
        controllers.wait_until_ready(START, || self.admin.run(&account, None).map(drop))?;
        self.others.push(controllers);
        Ok(())
    }

    fn add_scheduler(&mut self) -> Result<()> {
        // Before those whom it depends on, for when they are dropped.
        self.others.insert(0, servers::scheduler(&self.place)?);
        Ok(())
    }

    fn add_nodes(&mut self, count: u32) -> Result<()> {
        self.add_scheduler()?;
        let mut kwok = servers::kwok(&self.place, &User::ADMIN.kubeconfig(&self.place))?;
        let nodes: Vec<_> = (1..=count).map(servers::node).collect();
        // Created, not applied: the status of what is new is kept then.
        self.admin.run(&["create", "-f", "-"], Some(&list(&nodes)))?;
        let ready = ["wait", "--for=condition=Ready", "node", "--all", "--timeout=5s"];
        kwok.wait_until_ready(START, || self.admin.run(&ready, None).map(drop))?;
        self.others.insert(0, kwok);
        Ok(())
    }

    /// Adds the resources that KEDA and the Prometheus operator bring, without anything that acts on them;
    /// returns when the API serves them.
    ///
    /// # Errors
    /// When the definitions are not provisioned, or not served within 60 s.
    pub fn add_definitions(&self) -> Result<()> {
        let file = DEFINITIONS.provided()?.join("definitions.yaml");
        self.admin
            .apply(&fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?)?;
        let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
        self.admin.run(&established, None)?;
        let served =
            || self.admin.get(&["scaledobjects,triggerauthentications,podmonitors,servicemonitors"]).is_ok();
        // The endpoints follow the condition after a moment.
        wait::until("the API to serve the resources of others", Duration::from_secs(60), served)
    }

    /// `https://host:port` of the API.
    pub fn url(&self) -> String {
        servers::url(self.at)
    }

    /// kubectl as an administrator, whom no rule stops.
    pub fn admin(&self) -> &Kubectl {
        &self.admin
    }

    /// The file with the credentials of one of Kubernetes' own users.
    fn kubeconfig(&self, user: User) -> PathBuf {
        user.kubeconfig(&self.place)
    }

    /// kubectl as a service account, which must exist and may do what roles bound to it say; its token is
    /// good for a day.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn account(&self, namespace: &str, name: &str) -> Result<Kubectl> {
        let asked = ["create", "token", name, "--namespace", namespace, "--duration=24h"];
        let token =
            self.admin.run(&asked, None).with_context(|| format!("a token for {namespace}/{name}"))?;
        let config = users::kubeconfig(&self.place, &self.url(), token.trim());
        Kubectl::new(self.place.write(format!("{namespace}.{name}.kubeconfig"), config)?)
    }

    /// What a service account has asked of the API so far, and how that ended. A request may be missing for
    /// a moment after its answer.
    ///
    /// # Errors
    /// When the API server's book cannot be read.
    pub fn requests_of(&self, namespace: &str, name: &str) -> Result<Vec<Request>> {
        audit::requests(&self.place.at(servers::AUDIT), &format!("system:serviceaccount:{namespace}:{name}"))
    }

    /// Process ids of all its servers.
    pub fn ids(&self) -> Vec<u32> {
        [&self.api, &self.etcd].into_iter().chain(&self.others).map(Server::id).collect()
    }

    /// Folder of all its data, its keys and its logs (`<program>.log`).
    pub fn folder(&self) -> &Path {
        self.place.path()
    }
}
