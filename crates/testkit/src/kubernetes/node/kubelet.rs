//! kubelet, which makes pods run; kube-proxy, which makes Services lead to them; CoreDNS, which knows their names.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{NAME, PODS, runtime};
use crate::apart::Namespaces;
use crate::apart::cable::APART as ADDRESS;
use crate::http;
use crate::kubernetes::Cluster;
use crate::kubernetes::users::User;
use crate::place::Place;
use crate::provisioned::NODE;
use crate::server::{Server, joined};

/// Port of CoreDNS that says whether it answers.
const READY: u16 = 8181;

/// It trusts whoever reaches it: nobody but this machine and its pods can.
pub(super) fn start(place: &Place, inside: &Namespaces, cluster: &Cluster, cgroup: &str) -> Result<Server> {
    let names = place.write("resolv.conf", format!("nameserver {ADDRESS}\n"))?;
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", runtime::socket(place).display()),
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{cgroup}"), "failCgroupV1": false,
        "failSwapOn": false, "oomScoreAdj": 0, "maxOpenFiles": 20_000,
        "address": ADDRESS.to_string(), "healthzBindAddress": "127.0.0.1",
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [ADDRESS.to_string()], "clusterDomain": "cluster.local", "resolvConf": names,
        "podLogsDir": place.at("logs"), "volumePluginDir": place.at("volume-plugins"),
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "4s", "shutdownGracePeriod": "0s",
    });
    let settings = place.write("kubelet.yaml", settings.to_string())?;
    let mut kubelet = inside.command(NODE.provided()?.join("bin/kubelet"));
    kubelet.arg(joined("--config=", &settings));
    kubelet.arg(joined("--kubeconfig=", &cluster.kubeconfig(User::NODE)));
    kubelet
        .arg(joined("--root-dir=", &place.at("kubelet")))
        .arg(joined("--cert-dir=", &place.at("kubelet-keys")));
    kubelet.args([format!("--hostname-override={NAME}"), format!("--node-ip={ADDRESS}")]);
    Server::start("kubelet", kubelet, &place.at("kubelet.log"))
}

pub(super) fn proxy(place: &Place, inside: &Namespaces, cluster: &Cluster) -> Result<Server> {
    let settings = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "nftables", "hostnameOverride": NAME, "oomScoreAdj": 0, "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": cluster.kubeconfig(User::PROXY)},
        // These belong to the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    let settings = place.write("kube-proxy.yaml", settings.to_string())?;
    let mut proxy = inside.command(NODE.provided()?.join("bin/kube-proxy"));
    proxy.arg(joined("--config=", &settings));
    Server::start("kube-proxy", proxy, &place.at("kube-proxy.log"))
}

/// CoreDNS as a process of the node: as a pod it would be one more image and one more start to wait for.
pub(super) fn names(place: &Place, inside: &Namespaces, kubeconfig: &Path) -> Result<Server> {
    let settings = format!(
        ".:53 {{\n bind {ADDRESS}\n errors\n ready {ADDRESS}:{READY}\n kubernetes cluster.local in-addr.arpa ip6.arpa {{\n  \
         kubeconfig {}\n  pods insecure\n  ttl 5\n }}\n}}\n",
        kubeconfig.display()
    );
    let settings = place.write("Corefile", settings)?;
    let mut coredns = inside.command(NODE.provided()?.join("bin/coredns"));
    coredns.arg("-conf").arg(settings);
    Server::start("CoreDNS", coredns, &place.at("coredns.log"))
}

/// Whether CoreDNS has the cluster's names.
pub(super) fn answers_names() -> Result<()> {
    let status = http::get_at(SocketAddr::from((ADDRESS, READY)), "/ready")?.status;
    ensure!(status == 200, "it answers {status}");
    Ok(())
}
