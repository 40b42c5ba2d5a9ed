//! The one cable between this machine and the node, and the ways over it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::tool;
use crate::wait;

/// This machine, for pods and for everybody on it.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 1);
/// The node.
pub(super) const NODE: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 2);
/// The pods.
pub(super) const PODS: &str = "10.213.78.0/24";
/// The host's end of the cable. It goes, with its address and the way to the pods, when the node does.
const LINK: &str = "pmnode";

/// Connects this machine with the namespace of the process `first`.
pub(super) fn connect(first: u32) -> Result<()> {
    // That of a node before goes a moment after its last process.
    wait::until("the network of an earlier node to go", Duration::from_secs(30), || !is_connected())?;
    let first = first.to_string();
    let (host, node, gateway) = (format!("{HOST}/30"), format!("{NODE}/30"), NODE.to_string());
    let inside = |words: &[&str]| {
        let enter = ["nsenter", "--target", &first, "--net", "--", "ip"];
        tool(&[&enter, words].concat()).map(drop)
    };
    tool(&["ip", "link", "add", LINK, "type", "veth", "peer", "name", "host0", "netns", &first])
        .context("connecting the node with this machine")?;
    tool(&["ip", "address", "add", &host, "dev", LINK])?;
    tool(&["ip", "link", "set", LINK, "up"])?;
    inside(&["address", "add", &node, "dev", "host0"])?;
    inside(&["link", "set", "host0", "up"])?;
    // For Services: where they lead is decided before the way is.
    inside(&["route", "add", "default", "via", &HOST.to_string()])?;
    tool(&["ip", "route", "add", PODS, "via", &gateway])
        .with_context(|| format!("{PODS}, where the pods would be, is something else here"))?;
    Ok(())
}

/// Whether there is a cable.
pub(super) fn is_connected() -> bool {
    Path::new("/sys/class/net").join(LINK).exists()
}
