//! Network settings: limits, TLS and trusted proxies.

use std::ffi::OsString;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::raw::{Raw, bytes, list};
use crate::network::limits::NetworkLimits;
use crate::network::tls::TlsFiles;

impl<E: Fn(&str) -> Option<OsString>> Raw<E> {
    pub(super) fn limits(&mut self) -> NetworkLimits {
        let default = NetworkLimits::default();
        NetworkLimits {
            header: self.parse("HEADER_TIMEOUT", default.header, seconds),
            request: self.parse("REQUEST_TIMEOUT", default.request, seconds),
            idle: self.parse("IDLE_TIMEOUT", default.idle, seconds),
            stall: self.parse("STALL_TIMEOUT", default.stall, seconds),
            connections: self.parse("MAX_CONNECTIONS", default.connections, count),
            connections_per_address: self.parse("MAX_CONNECTIONS_PER_ADDRESS", default.connections_per_address, count),
            uploads: self.parse("MAX_UPLOADS", default.uploads, count),
            send_buffer: self.parse("SEND_BUFFER_BYTES", default.send_buffer, bytes),
        }
    }

    pub(super) fn tls(&mut self) -> Option<TlsFiles> {
        match (self.get("TLS_CERT"), self.get("TLS_KEY")) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert: cert.into(), key: key.into() }),
            (None, None) => None,
            (cert, _) => {
                let (set, missing) = if cert.is_some() { ("TLS_CERT", "TLS_KEY") } else { ("TLS_KEY", "TLS_CERT") };
                self.report(set, format!("is set, but {missing} is not: set both"));
                None
            }
        }
    }

    pub(super) fn trusted_proxies(&mut self) -> Vec<IpNet> {
        self.parse("TRUSTED_PROXIES", Vec::new(), |text| {
            let networks: Vec<IpNet> = list(text).map(network).collect::<Result<_, _>>()?;
            if networks.is_empty() {
                Err(format!("{text:?} contains no address: remove it if there is no proxy"))
            } else {
                Ok(networks)
            }
        })
    }
}

/// Warns about a trusted network that contains all addresses.
pub(super) fn open_proxies_warning(proxies: &[IpNet]) -> Option<String> {
    let all = proxies.iter().find(|network| network.prefix_len() == 0)?;
    Some(format!(
        "TRUSTED_PROXIES contains {all}: any client can forge its address and evade the limits per address; use \
         the addresses of the load balancer"
    ))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text:?} is not a valid time: write seconds, more than 0 and at most 86400 (a day)"))
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("{text:?} is not a valid number: write a whole number above 0"))
}

/// A network such as 10.0.0.0/8, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    let network: Result<IpNet, _> = text.parse();
    network
        .or_else(|_| address())
        .map_err(|_| format!("{text:?} is not a valid address or network, such as 10.0.0.0/8"))
}
