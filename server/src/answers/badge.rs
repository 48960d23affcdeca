//! The headers of badges.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::answers::response::{NO_STORE, Responses};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The constant headers of badge responses.
pub struct BadgeHeaders {
    any: HeaderMap,
    /// For GitHub's image proxy (camo), which otherwise caches images for a long time.
    camo: HeaderMap,
}

impl BadgeHeaders {
    pub fn new(responses: &Responses) -> Self {
        let mut any = responses.security_headers().clone();
        let own = [
            (header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml; charset=utf-8")),
            // An SVG opened as a page must not run scripts.
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:"),
            ),
            // Any page may embed the badge.
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            (RESOURCE_POLICY, HeaderValue::from_static("cross-origin")),
            // Browsers and proxies cache it for seconds.
            (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=10")),
        ];
        for (name, value) in own {
            any.insert(name, value);
        }
        let mut camo = any.clone();
        camo.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        camo.insert(CDN_CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
        Self { any, camo }
    }

    pub fn of(&self, client: &HeaderMap) -> &HeaderMap {
        let is_camo = client.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"github-camo"));
        if is_camo { &self.camo } else { &self.any }
    }
}
