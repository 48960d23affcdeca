//! Chooses the proxy of a request by scheme and host, like curl.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use crate::base::env::Env;

/// The proxy settings from the environment.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<ProxySetting>,
    https: Option<ProxySetting>,
    /// The entries of `NO_PROXY`.
    bypass: Vec<String>,
}

/// A proxy, and the environment variable that sets it.
#[derive(Clone)]
pub struct ProxySetting {
    pub proxy: Proxy,
    pub variable: String,
}

impl fmt::Display for ProxySetting {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} of {}", self.proxy.host(), self.proxy.port(), self.variable)
    }
}

impl fmt::Debug for Proxies {
    /// Proxy addresses may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("bypass", &self.bypass).finish_non_exhaustive()
    }
}

impl Proxies {
    /// Reads the settings. The error names the invalid variable.
    pub fn from_env(env: Env) -> Result<Self, String> {
        let bypass = env("no_proxy").or_else(|| env("NO_PROXY")).unwrap_or_default();
        let entries = bypass.split([',', ' ']).filter(|entry| !entry.is_empty());
        Ok(Self { http: read(env, "http")?, https: read(env, "https")?, bypass: entries.map(str::to_owned).collect() })
    }

    /// The proxy for a request to `uri`.
    pub fn choose(&self, uri: &Uri) -> Option<&ProxySetting> {
        let (proxy, port) = match uri.scheme_str() {
            Some("https") => (self.https.as_ref()?, 443),
            _ => (self.http.as_ref()?, 80),
        };
        let (host, port) = (uri.host()?, uri.port_u16().unwrap_or(port));
        (!self.bypass.iter().any(|entry| covers(entry, host, port))).then_some(proxy)
    }
}

/// Lower-case names take precedence, and `…_PROXY` of the scheme over `ALL_PROXY`.
fn read(env: Env, scheme: &str) -> Result<Option<ProxySetting>, String> {
    let lower = [format!("{scheme}_proxy"), "all_proxy".to_owned()];
    let mut names = lower.into_iter().flat_map(|name| [name.clone(), name.to_ascii_uppercase()]);
    let Some((variable, value)) = names.find_map(|name| env(&name).map(|value| (name, value))) else {
        return Ok(None);
    };
    let is_http = |proxy: &Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    match Proxy::new(&value).ok().filter(is_http) {
        Some(proxy) => Ok(Some(ProxySetting { proxy, variable })),
        None => Err(format!("{variable} must be the address of an HTTP proxy, such as http://proxy.example.com:3128")),
    }
}

/// Whether an entry of `NO_PROXY` matches the host: `*`, a domain with its subdomains, an address or a network, each
/// with an optional port.
fn covers(entry: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if let (Some(address), Some((network, bits))) = (address, entry.split_once('/')) {
        let network = network.parse().ok().zip(bits.parse().ok());
        return network.is_some_and(|(network, bits)| is_within(address, network, bits));
    }
    let (name, entry_port) = split_port(entry);
    let name = name.strip_prefix('*').unwrap_or(name).trim_matches('.').to_ascii_lowercase();
    if entry_port.is_some_and(|entry_port| entry_port != port) {
        return false;
    }
    match address {
        _ if entry.starts_with('*') && name.is_empty() => true,
        Some(address) => name.parse() == Ok(address),
        None => host == name || !name.is_empty() && host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.')),
    }
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    let (name, port) = entry.rsplit_once(':').unwrap_or((entry, ""));
    match port.parse() {
        Ok(port) => (name.trim_matches(['[', ']']), Some(port)),
        Err(_) => (entry.trim_matches(['[', ']']), None),
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (difference, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (u128::from(u32::from(address) ^ u32::from(network)), 32),
        (IpAddr::V6(address), IpAddr::V6(network)) => (u128::from(address) ^ u128::from(network), 128),
        _ => return false,
    };
    bits <= width && difference.checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let proxies = Proxies::from_env(&env).unwrap();
        proxies.choose(&url.parse().unwrap()).map(|setting| setting.proxy.host().to_owned())
    }

    #[test]
    fn the_requests_scheme_selects_the_proxy_variable() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "p:1"), ("ALL_PROXY", "http://a:1")];
        assert_eq!(chosen(&both, "https://x.example/").as_deref(), Some("s"));
        assert_eq!(chosen(&both, "http://x.example/").as_deref(), Some("p"));
        assert_eq!(chosen(&both[2..], "http://x.example/").as_deref(), Some("a"));
        assert_eq!(chosen(&both[..1], "http://x.example/"), None);
        let cases = [("https_proxy", "http://lower:1"), ("HTTPS_PROXY", "http://upper:1")];
        assert_eq!(chosen(&cases, "https://x.example/").as_deref(), Some("lower"));
        assert_eq!(chosen(&[], "https://x.example/"), None);
    }

    #[test]
    fn errors_for_invalid_proxies_omit_the_password() {
        for value in ["socks5://me:hunter2@p:1", "http://", "ftp://p"] {
            let env = |name: &str| (name == "ALL_PROXY").then(|| value.to_owned());
            let message = "ALL_PROXY must be the address of an HTTP proxy, such as http://proxy.example.com:3128";
            assert_eq!(Proxies::from_env(&env).unwrap_err(), message, "{value}");
        }
        let env = |name: &str| (name == "HTTPS_PROXY").then(|| "http://me:hunter2@p:1".to_owned());
        assert!(!format!("{:?}", Proxies::from_env(&env).unwrap()).contains("hunter2"));
    }

    #[test]
    fn no_proxy_accepts_names_networks_ports_and_a_wildcard() {
        let goes_direct =
            |entries: &str, url: &str| chosen(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", entries)], url).is_none();
        for (entries, url) in [
            ("*", "https://x.example/"),
            ("example.com", "https://example.com/"),
            ("example.com", "https://a.EXAMPLE.com/"),
            (".example.com", "https://a.example.com/"),
            ("*.example.com", "https://a.b.example.com/"),
            ("x, y z.example", "https://z.example/"),
            ("example.com:8443", "https://example.com:8443/"),
            ("example.com:443", "https://example.com/"),
            ("10.0.0.0/8", "https://10.1.2.3/"),
            ("127.0.0.1", "https://127.0.0.1:9/"),
            ("::1", "https://[::1]/"),
            ("[::1]:8443", "https://[::1]:8443/"),
            ("fd00::/8", "https://[fd12::1]/"),
            ("0.0.0.0/0", "https://8.8.8.8/"),
        ] {
            assert!(goes_direct(entries, url), "{entries} {url}");
        }
        for (entries, url) in [
            ("", "https://x.example/"),
            ("ample.com", "https://example.com/"),
            ("a.example.com", "https://example.com/"),
            ("example.com:8443", "https://example.com/"),
            ("10.0.0.0/8", "https://11.1.2.3/"),
            ("10.0.0.0/99", "https://10.1.2.3/"),
            ("0.0.1", "https://127.0.0.1/"),
            (".", "https://x.example/"),
            ("fd00::/8", "https://10.1.2.3/"),
        ] {
            assert!(!goes_direct(entries, url), "{entries} {url}");
        }
    }
}
