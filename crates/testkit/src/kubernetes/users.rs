//! Who may speak to the API, and how a client and the API know each other.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::certificates::Authority;
use crate::place::Place;

/// Somebody with a token for life. Service accounts have their tokens from the API instead.
#[derive(Clone, Copy)]
pub(super) struct User {
    file: &'static str,
    name: &'static str,
    group: &'static str,
}

impl User {
    /// No rule stops this group.
    pub(super) const ADMIN: User = User { file: "admin", name: "admin", group: "system:masters" };
    /// Kubernetes makes roles for these two names by itself.
    pub(super) const CONTROLLERS: User =
        User { file: "kube-controller-manager", name: "system:kube-controller-manager", group: "" };
    pub(super) const SCHEDULER: User =
        User { file: "kube-scheduler", name: "system:kube-scheduler", group: "" };
    /// What a node may do, an authorizer of its own decides by this name and group.
    pub(super) const NODE: User = User { file: "kubelet", name: "system:node:node-1", group: "system:nodes" };
    /// As the two above.
    pub(super) const PROXY: User = User { file: "kube-proxy", name: "system:kube-proxy", group: "" };

    /// The file that [`write`] makes.
    pub(super) fn kubeconfig(self, place: &Place) -> PathBuf {
        place.at(format!("{}.kubeconfig", self.file))
    }
}

/// Writes `tokens.csv` for the API server, and the kubeconfig of each user for the API at `url`.
pub(super) fn write(place: &Place, url: &str, users: &[User]) -> Result<()> {
    let mut tokens = String::new();
    for User { file, name, group } in users {
        let token = format!("{:016x}{:016x}", random(), random());
        // Token, user, id, groups.
        tokens += &format!("{token},{name},{file},\"{group}\"\n");
        place.write(format!("{file}.kubeconfig"), kubeconfig(place, url, &token))?;
    }
    place.write("tokens.csv", tokens)?;
    Ok(())
}

/// JSON, which every reader of YAML takes.
pub(super) fn kubeconfig(place: &Place, url: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": place.at("ca.crt")}}],
        "users": [{"name": "test", "user": {"token": token}}],
    })
    .to_string()
}

/// Writes what the API server at `address` shows of itself, and the key pair of service accounts' tokens.
pub(super) fn certificates(place: &Place, address: Ipv4Addr) -> Result<()> {
    let authority = Authority::new("testkit")?;
    let names = [address.to_string(), "kubernetes.default.svc".to_owned()];
    let (server, accounts) = (authority.server_also_at(&names)?, authority.client("service-accounts")?);
    place.write("ca.crt", authority.certificate())?;
    place.write("apiserver.crt", server.certificate)?;
    place.write("apiserver.key", server.key)?;
    // Tokens are checked by the certificate: the API server reads no public key out of PKCS #8.
    place.write("accounts.crt", accounts.certificate)?;
    place.write("accounts.key", accounts.key)?;
    Ok(())
}

/// A hasher of the standard library is keyed at random.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
