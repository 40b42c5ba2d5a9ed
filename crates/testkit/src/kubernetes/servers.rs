//! How each program is started.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::audit;
use super::users::User;
use crate::place::{self, Place};
use crate::provisioned::{ETCD, KUBE, KWOK_STAGES};
use crate::server::{Server, command, joined};

/// The API server's book of requests.
pub(super) const AUDIT: &str = "audit.log";
/// Addresses of Services, which lead nowhere but on a real node.
const SERVICES: &str = "10.96.0.0/16";

pub(super) fn url(at: SocketAddrV4) -> String {
    format!("https://{at}")
}

pub(super) fn etcd(place: &Place, port: u16, peer: u16) -> Result<Server> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    let mut etcd = command(ETCD.provided()?.join("bin/etcd"), None);
    // A kill leaves the page cache: without fsync nothing is lost but speed is won.
    etcd.args(["--unsafe-no-fsync", "--log-level=warn", "--data-dir"]).arg(place.at("etcd"));
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.args(["--initial-cluster", &format!("default={peer}")]);
    Server::start("etcd", etcd, &place.at("etcd.log"))
}

pub(super) fn api(place: &Place, store: u16, at: SocketAddrV4) -> Result<Server> {
    place.write("audit.yaml", audit::POLICY)?;
    let mut api = command(kube("kube-apiserver")?, None);
    api.arg(format!("--etcd-servers=http://127.0.0.1:{store}")).arg(format!("--secure-port={}", at.port()));
    api.args([format!("--bind-address={}", at.ip()), format!("--advertise-address={}", at.ip())]);
    api.arg(format!("--service-cluster-ip-range={SERVICES}"));
    if at.ip().is_loopback() {
        // A Service with a loopback address as its endpoint would be refused, hence no endpoints at all.
        api.args(["--authorization-mode=RBAC", "--endpoint-reconciler-type=none"]);
    } else {
        api.args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"]);
        api.arg("--kubelet-preferred-address-types=InternalIP");
    }
    api.args(["--service-account-issuer=https://kubernetes.default.svc", "--shutdown-delay-duration=0"]);
    files(
        &mut api,
        place,
        &[
            ("--tls-cert-file=", "apiserver.crt"),
            ("--tls-private-key-file=", "apiserver.key"),
            ("--client-ca-file=", "ca.crt"),
            ("--token-auth-file=", "tokens.csv"),
            ("--service-account-key-file=", "accounts.crt"),
            ("--service-account-signing-key-file=", "accounts.key"),
            ("--cert-dir=", "apiserver"),
            ("--audit-policy-file=", "audit.yaml"),
            ("--audit-log-path=", AUDIT),
        ],
    );
    Server::start("kube-apiserver", api, &place.at("kube-apiserver.log"))
}

pub(super) fn controllers(place: &Place) -> Result<Server> {
    let mut controllers = client(place, "kube-controller-manager", User::CONTROLLERS)?;
    // With the default of 20 requests a second its start takes 5 s longer.
    controllers.args(["--kube-api-qps=500", "--kube-api-burst=1000", "--use-service-account-credentials"]);
    controllers.args(["--node-monitor-grace-period=16s", "--horizontal-pod-autoscaler-sync-period=2s"]);
    files(
        &mut controllers,
        place,
        &[
            ("--service-account-private-key-file=", "accounts.key"),
            ("--root-ca-file=", "ca.crt"),
            // Else it makes a folder below /usr.
            ("--flex-volume-plugin-dir=", "volume-plugins"),
        ],
    );
    Server::start("kube-controller-manager", controllers, &place.at("kube-controller-manager.log"))
}

pub(super) fn scheduler(place: &Place) -> Result<Server> {
    let scheduler = client(place, "kube-scheduler", User::SCHEDULER)?;
    Server::start("kube-scheduler", scheduler, &place.at("kube-scheduler.log"))
}

pub(super) fn kwok(place: &Place, kubeconfig: &Path) -> Result<Server> {
    let stages = KUBE.provided()?.join(KWOK_STAGES);
    let mut kwok = command(kube("kwok")?, None);
    kwok.arg(joined("--kubeconfig=", kubeconfig)).arg(joined("--config=", &stages));
    kwok.args(["--manage-all-nodes=true", "--node-lease-duration-seconds=40"]);
    kwok.arg(format!("--server-address=127.0.0.1:{}", place::server_port()?));
    Server::start("kwok", kwok, &place.at("kwok.log"))
}

/// A node that has room for any test.
pub(super) fn node(number: u32) -> Value {
    let name = format!("node-{number}");
    let room = json!({"cpu": "32", "memory": "256Gi", "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": format!("zone-{number}"),
        }},
        "status": {"allocatable": room, "capacity": room},
    })
}

/// A program that asks the API what to do, and of which there is one alone.
fn client(place: &Place, name: &str, user: User) -> Result<Command> {
    let mut client = command(kube(name)?, None);
    let config = user.kubeconfig(place);
    for flag in ["--kubeconfig=", "--authentication-kubeconfig=", "--authorization-kubeconfig="] {
        client.arg(joined(flag, &config));
    }
    client.args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
    client.arg(format!("--secure-port={}", place::server_port()?));
    files(&mut client, place, &[("--cert-dir=", name)]);
    Ok(client)
}

fn kube(name: &str) -> Result<PathBuf> {
    Ok(KUBE.provided()?.join("bin").join(name))
}

fn files(command: &mut Command, place: &Place, flags: &[(&str, &str)]) {
    command.args(flags.iter().map(|(flag, file)| joined(flag, &place.at(file))));
}
