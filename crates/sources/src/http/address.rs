//! Which addresses may be asked.
//!
//! A manifest names a url, a url may name anything a name server says. Link-local addresses and
//! the metadata services of clouds hand out credentials to whoever asks from inside, so they are
//! refused after resolution: the addresses that are connected to are the ones that were judged.
//! Loopback and private networks are fine: on a laptop and in a cluster that is where feeds live.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services outside the link-local ranges.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// The host is an address, or has none but addresses, that no source may ask.
#[derive(Debug, Clone)]
pub(super) struct Refused(IpAddr);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a link-local or metadata address, which no source may ask", self.0)
    }
}

impl Error for Refused {}

/// Whether an address is out of bounds, also where an IPv6 address only wraps an IPv4 one.
pub(super) fn forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || METADATA_V6.contains(&v6)
                || wrapped(v6).is_some_and(|v4| forbidden(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn wrapped(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Judges a url whose host is an address; a name is judged when it is resolved.
///
/// # Errors
/// A sentence with the address.
pub(super) fn judge(url: &Url) -> Result<(), String> {
    let Some(host) = url.host_str() else { return Err("names no host".to_owned()) };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) if forbidden(address) => Err(Refused(address).to_string()),
        _ => Ok(()),
    }
}

/// Resolves names and drops what is out of bounds. A name with one bad address among good ones is
/// refused as a whole: that is no accident.
pub(super) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match found.iter().find(|address| forbidden(address.ip())) {
                Some(bad) => Err(Refused(bad.ip()).into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// Finds the refusal of an address among the causes of an error.
pub(super) fn refused<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Refused> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Some(refused);
        }
        cause = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_disguise() {
        for bad in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(forbidden(bad.parse().unwrap()), "{bad}");
        }
        for good in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.4", "1.1.1.1", "2606:4700::1111", "fd00::1"] {
            assert!(!forbidden(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn a_literal_address_is_judged_however_it_is_spelled() {
        for bad in [
            "http://169.254.169.254/latest/meta-data",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]:80/",
        ] {
            assert!(judge(&bad.parse().unwrap()).is_err(), "{bad}");
        }
        assert!(judge(&"http://localhost:8080/".parse().unwrap()).is_ok());
    }

    #[tokio::test]
    async fn names_are_resolved_and_loopback_is_fine() {
        let found = Guarded.resolve("localhost".parse().unwrap()).await;
        assert!(found.is_ok_and(|mut found| found.all(|address| address.ip().is_loopback())));
    }
}
