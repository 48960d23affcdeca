//! Classifies the host of an address, so that a server cannot direct the runner to its own network.

use std::net::{IpAddr, Ipv6Addr};

use ureq::http::Uri;

/// What kind of host an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    Loopback,
    /// Clouds serve the metadata of their machines there.
    LinkLocal,
    Other,
}

impl Host {
    pub fn of(uri: &Uri) -> Self {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if address.is_loopback() => Self::Loopback,
            Ok(IpAddr::V4(address)) if address.is_link_local() => Self::LinkLocal,
            Ok(IpAddr::V6(address)) if Ipv6Addr::is_unicast_link_local(&address) => Self::LinkLocal,
            Ok(_) => Self::Other,
            Err(_) if host == "localhost" => Self::Loopback,
            // Systems also accept 2852039166 and 0xa9fea9fe as addresses.
            Err(_) if host.rsplit('.').next().is_some_and(is_number) => Self::LinkLocal,
            Err(_) => Self::Other,
        }
    }
}

fn is_number(text: &str) -> bool {
    match text.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
