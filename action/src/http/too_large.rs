//! Explains which server or proxy rejected an upload for its size, and which limit to raise.

use ureq::http::{StatusCode, Uri};

use super::response::Response;
use crate::base::text::{bytes, shorten};

/// Proxies: a mark in the `server` header or in the page, the name, and what to do.
const PROXIES: &[(&str, &str, &str)] = &[
    (
        "cloudflare",
        "Cloudflare",
        "your plan limits uploads, to 100 MB on most plans: use a host name that Cloudflare does not proxy (DNS only)",
    ),
    ("openresty", "nginx", "raise `client_max_body_size` in its configuration"),
    ("nginx", "nginx", "raise `client_max_body_size` in its configuration"),
    ("caddy", "Caddy", "raise `max_size` of `request_body` in its configuration"),
    ("apache", "Apache", "raise `LimitRequestBody` in its configuration"),
    ("microsoft-iis", "IIS", "raise `maxAllowedContentLength` in its configuration"),
];

/// Explains who rejected `what`, of `size` bytes, at `url`; `None` if it was not rejected for its size.
pub fn explain(response: &Response, url: &str, what: &str, size: u64) -> Option<String> {
    let (text, reason, size) = (response.text(), response.describe(), bytes(size));
    let is_stores = text.contains("<Code>EntityTooLarge</Code>") || text.contains("<Code>MaxSizeExceeded</Code>");
    if !is_stores && response.status != StatusCode::PAYLOAD_TOO_LARGE {
        return None;
    }
    if is_stores {
        return Some(format!("{what} of {size} is larger than the store allows ({reason}): leave files out"));
    }
    if response.is_from_covered() {
        return Some(format!(
            "{what} of {size} is larger than the covered server allows ({reason}): leave files out, or raise the \
             server's MAX_REPORT_BYTES"
        ));
    }
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or("the server");
    let server = response.header("server").unwrap_or_default();
    let marks = [server, &text].map(str::to_ascii_lowercase);
    let proxy = PROXIES.iter().find(|(mark, ..)| marks.iter().any(|text| text.contains(mark)));
    let (name, advice) = match (proxy, server) {
        (Some((_, name, advice)), _) => ((*name).to_owned(), *advice),
        (None, "") => ("a proxy".to_owned(), "raise the proxy's limit for request bodies"),
        (None, server) => (format!("a proxy ({})", shorten(server, 40)), "raise its limit for request bodies"),
    };
    Some(format!("{name} in front of {host} refused {what} of {size} ({reason}): {advice}, or leave files out"))
}
