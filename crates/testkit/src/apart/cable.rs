//! The one cable between this machine and the one apart, and the ways over it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::tool;
use crate::wait;

/// This machine, for those apart and for everybody on it.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 1);
/// The machine apart.
pub(crate) const APART: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 2);
/// The host's end of the cable. It goes, with its address and the ways over it, when the machine does.
const LINK: &str = "pmnode";

/// Connects this machine with the namespace of the process `first`; addresses in `behind` are reached through there.
pub(crate) fn connect(first: u32, behind: Option<&str>) -> Result<()> {
    // That of a node before goes a moment after its last process.
    wait::until("the network of an earlier one to go", Duration::from_secs(30), || !is_connected())?;
    let first = first.to_string();
    let (host, apart, gateway) = (format!("{HOST}/30"), format!("{APART}/30"), APART.to_string());
    let inside = |words: &[&str]| {
        let enter = ["nsenter", "--target", &first, "--net", "--", "ip"];
        tool(&[&enter, words].concat()).map(drop)
    };
    tool(&["ip", "link", "add", LINK, "type", "veth", "peer", "name", "host0", "netns", &first])
        .context("connecting the two machines")?;
    tool(&["ip", "address", "add", &host, "dev", LINK])?;
    tool(&["ip", "link", "set", LINK, "up"])?;
    inside(&["address", "add", &apart, "dev", "host0"])?;
    inside(&["link", "set", "host0", "up"])?;
    // For Services: where they lead is decided before the way is.
    inside(&["route", "add", "default", "via", &HOST.to_string()])?;
    if let Some(behind) = behind {
        tool(&["ip", "route", "add", behind, "via", &gateway])
            .with_context(|| format!("{behind}, which would be behind the cable, is something else here"))?;
    }
    Ok(())
}

/// Whether there is a cable.
pub(crate) fn is_connected() -> bool {
    Path::new("/sys/class/net").join(LINK).exists()
}
