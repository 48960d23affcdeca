//! URLs in settings.

use url::{Host, Url};

/// Parses an http or https URL without query, fragment and credentials. Removes trailing slashes.
pub fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim_end_matches('/'))
        .map_err(|why| format!("{text:?} is not a valid URL ({why}): it must begin with https:// or http://"))?;
    match url.scheme() {
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => {
            Err(format!("{text:?} must not have a query or a fragment"))
        }
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            Err("must not contain a user name or a password".to_owned())
        }
        "http" | "https" => Ok(url),
        _ => Err(format!("{text:?} must begin with https:// or http://")),
    }
}

/// Whether the host is `localhost` or a loopback address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
