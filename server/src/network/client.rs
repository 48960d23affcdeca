//! The client's address: the peer of the connection, or the address from a trusted proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::HeaderMap;
use hyper::header::HeaderName;
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose `X-Forwarded-For` header is trusted (`TRUSTED_PROXIES`).
///
/// The `Forwarded` header is ignored: a proxy that sets `X-Forwarded-For` passes on a `Forwarded` from the client, who
/// could forge it.
#[derive(Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    /// Whether the warning about an unlisted proxy was logged.
    has_warned: AtomicBool,
}

impl Proxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { trusted: networks, has_warned: AtomicBool::new(false) }
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The client's address. Each proxy appends its peer, so the client is the last address that is not a trusted
    /// proxy. Addresses before that can be forged.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            if is_local(client) && headers.contains_key(FORWARDED_FOR) && !self.has_warned.swap(true, Ordering::Relaxed)
            {
                tracing::warn!(
                    "{client} sends X-Forwarded-For: if it is a proxy or a load balancer, add it to TRUSTED_PROXIES; until \
                     then, all clients behind it share one limit for connections and wrong API keys"
                );
            }
            return client;
        }
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            for hop in line.as_bytes().rsplit(|byte| *byte == b',') {
                let Some(address) = hop_address(hop) else {
                    return client;
                };
                client = address;
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }
}

/// Whether an address is a loopback or private one, as a proxy's usually is.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// One entry of `X-Forwarded-For`: an address, with a port where the proxy adds one.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

/// The unit of limits per address: an IPv4 address, or an IPv6 /64, which is the smallest network of a customer.
pub fn rate_limit_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_determine_the_client_address() {
        let proxies = Proxies::new(
            ["10.0.0.0/8", "192.0.2.7/32", "2001:db8:1::/48"].map(|network| network.parse().unwrap()).into(),
        );
        for (peer, lines, client) in [
            // Not a proxy: its header is ignored.
            ("203.0.113.9", &["1.1.1.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            // The left entries are from the client itself.
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1,203.0.113.9,10.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", &["10.9.9.9, 203.0.113.9 , 192.0.2.7"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.2.3.4", "10.2.3.5"], "203.0.113.9"),
            // All are proxies: the first one counts as the client.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // An invalid entry ends the chain.
            ("10.0.0.1", &["1.1.1.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1, 10.0.0.2/8"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, 300.1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, \u{e9}"], "10.0.0.1"),
            // The format of some proxies.
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("2001:db8:1::5", &["2001:db8::1, 2001:db8:1::6"], "2001:db8::1"),
        ] {
            let headers = lines.iter().map(|line| {
                (
                    hyper::header::HeaderName::from_static("x-forwarded-for"),
                    hyper::header::HeaderValue::from_bytes(line.as_bytes()).unwrap(),
                )
            });
            let mut map = HeaderMap::new();
            headers.for_each(|(name, value)| {
                map.append(name, value);
            });
            map.insert("forwarded", "for=9.9.9.9".parse().unwrap());
            assert_eq!(proxies.client(peer.parse().unwrap(), &map).to_string(), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn rate_limits_apply_per_ipv4_address_or_ipv6_64_network() {
        for (address, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(rate_limit_key(address.parse().unwrap()).to_string(), expected);
        }
    }
}
