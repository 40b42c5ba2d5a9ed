//! containerd, and what it starts pods with.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::PODS;
use crate::apart::Namespaces;
use crate::image::Image;
use crate::place::Place;
use crate::provisioned::NODE;
use crate::server::Server;

/// The image of the container that holds a pod's namespaces.
const PAUSE: &str = "pricemonitor.test/pause:1";

/// Where containerd listens.
pub(super) fn socket(place: &Place) -> PathBuf {
    place.at("containerd.sock")
}

/// The image of `program`, which only waits.
pub(super) fn pause(program: &Path) -> Image {
    Image::new(PAUSE).with_file(program, "/pause").entrypoint(&["/pause"])
}

pub(super) fn start(place: &Place, inside: &Namespaces) -> Result<Server> {
    let node = NODE.provided()?;
    let network = json!({
        "cniVersion": "1.0.0", "name": "pods", "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
            "ipam": {"type": "host-local", "dataDir": place.at("addresses"),
                     "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }],
    });
    place.write("network/10-pods.conflist", network.to_string())?;
    // The plug-in that is left out makes a folder in /opt. No process may be kept from the memory killer: that
    // takes a right that root does not have everywhere.
    let settings = format!(
        r#"version = 3
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{network}"
"#,
        root = place.at("containerd/root").display(),
        state = place.at("containerd/state").display(),
        socket = socket(place).display(),
        plugins = node.join("cni").display(),
        network = place.at("network").display(),
    );
    let settings = place.write("containerd.toml", settings)?;
    let mut containerd = inside.command(node.join("bin/containerd"));
    containerd.arg("--config").arg(settings);
    Server::start("containerd", containerd, &place.at("containerd.log"))
}
