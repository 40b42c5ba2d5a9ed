//! Addresses that a channel never talks to.
//!
//! A webhook's address is written by whoever may write a manifest. Link-local addresses are where
//! clouds answer with a machine's credentials, so they are refused: as written, and again after
//! name resolution, because a name can be made to mean anything.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services that do not live on a link-local address: Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// The same of AWS and Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Whether nothing may be sent to `address`. Loopback and private networks are fine: people keep
/// their receivers there.
pub(crate) fn forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => forbidden(IpAddr::V4(v4)),
            None => {
                v6.is_unicast_link_local()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || METADATA_V6.contains(&v6)
            }
        },
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, or through NAT64.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let tail = || {
        let octets = v6.octets();
        Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15])
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(tail()),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(tail()),
        _ => None,
    }
}

/// The host of a url as an address, where it is written as one.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A name leads to forbidden addresses only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its name leads to a link-local or metadata address, where nothing may be sent")]
pub(crate) struct Forbidden;

/// Finds the addresses of a name.
pub(crate) type Lookup = fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves names and leaves out what is forbidden.
#[derive(Clone, Copy)]
pub(crate) struct Guard {
    lookup: Lookup,
}

impl Guard {
    /// By the system's resolver.
    pub(crate) const SYSTEM: Guard = Guard {
        // Port 0: the client puts in the url's.
        lookup: |name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }),
    };

    /// By a function.
    #[cfg(test)]
    pub(crate) fn by(lookup: Lookup) -> Guard {
        Guard { lookup }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let mut addresses = found.await?;
            let before = addresses.len();
            addresses.retain(|address| !forbidden(address.ip()));
            if addresses.is_empty() && before > 0 {
                return Err(Forbidden.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_forbidden_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(forbidden(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_private_and_loopback_addresses_are_allowed() {
        for text in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "162.159.128.233",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!forbidden(text.parse().unwrap()), "{text}");
        }
    }
}
