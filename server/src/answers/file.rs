//! Responses with a report's file: headers and cache policy.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::answers::pages;
use crate::answers::response::{self, Body, Responses, RouteResult};
use crate::error::Error;
use crate::reports::address::ReportLocation;
use crate::telemetry::trace::REQUEST_ID;

/// The constant headers of responses with a report's file.
pub struct FileHeaders {
    /// Without compression.
    plain: HeaderMap,
    gzip: HeaderMap,
    /// For 304, which omits the security headers that were sent with the file.
    not_modified: HeaderMap,
}

impl FileHeaders {
    pub fn new(responses: &Responses) -> Self {
        let mut plain = responses.security_headers().clone();
        let robots = HeaderName::from_static("x-robots-tag");
        plain.insert(robots, HeaderValue::from_static("noindex"));
        plain.insert(header::CACHE_CONTROL, PUBLIC_IMMUTABLE);
        // Placeholders for each file's own values, so that the map never grows.
        for own in [header::CONTENT_TYPE, header::CONTENT_SECURITY_POLICY, header::ETAG] {
            plain.insert(own, HeaderValue::from_static(""));
        }
        let mut gzip = plain.clone();
        plain.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        gzip.insert(header::CONTENT_ENCODING, GZIP);
        gzip.insert(header::VARY, ACCEPT_ENCODING);
        let mut not_modified = HeaderMap::new();
        for name in [header::STRICT_TRANSPORT_SECURITY, REQUEST_ID] {
            not_modified.extend(plain.get(&name).map(|value| (name, value.clone())));
        }
        not_modified.extend([(header::CACHE_CONTROL, PUBLIC_IMMUTABLE), (header::VARY, ACCEPT_ENCODING)]);
        not_modified.insert(header::ETAG, HeaderValue::from_static(""));
        Self { plain, gzip, not_modified }
    }

    /// 200 with a file's bytes.
    pub fn ok(
        &self,
        location: &ReportLocation<'_>,
        file: File,
        content_type: HeaderValue,
        policy: HeaderValue,
        body: Body,
    ) -> Response<Body> {
        let mut response = response::with_headers(if file.is_gzip { &self.gzip } else { &self.plain }, body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        set_file_headers(headers, file.cache_control(location), file.etag);
        if file.is_by_encoding && !file.is_gzip {
            headers.insert(header::VARY, ACCEPT_ENCODING);
        }
        if file.is_packed {
            headers.insert(header::CONTENT_ENCODING, GZIP);
        }
        if !file.has_parts {
            headers.remove(header::ACCEPT_RANGES);
        }
        response
    }

    /// 304: the client's copy is current. RFC 9110, 15.4.5, lists its headers.
    pub fn not_modified(&self, location: &ReportLocation<'_>, file: File) -> Response<Body> {
        let mut response = response::with_headers(&self.not_modified, Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        set_file_headers(headers, file.cache_control(location), file.etag);
        if !file.is_by_encoding {
            headers.remove(header::VARY);
        }
        response
    }
}

/// Replaces the placeholders of `FileHeaders`.
fn set_file_headers(headers: &mut HeaderMap, cache_control: HeaderValue, etag: Option<HeaderValue>) {
    if cache_control != PUBLIC_IMMUTABLE {
        headers.insert(header::CACHE_CONTROL, cache_control);
    }
    match etag {
        Some(etag) => headers.insert(header::ETAG, etag),
        None => headers.remove(header::ETAG),
    };
}

/// The properties of a report's file that determine its headers.
pub struct File {
    pub etag: Option<HeaderValue>,
    pub cache_policy: CachePolicy,
    /// The encoding depends on Accept-Encoding.
    pub is_by_encoding: bool,
    pub is_gzip: bool,
    /// The file itself is gzip, so all clients get it with that encoding.
    pub is_packed: bool,
    /// Whether Range requests are supported.
    pub has_parts: bool,
}

impl File {
    fn cache_control(&self, location: &ReportLocation<'_>) -> HeaderValue {
        match (self.cache_policy, location.is_shared()) {
            (CachePolicy::Immutable, true) => PUBLIC_IMMUTABLE,
            (CachePolicy::Immutable, false) => HeaderValue::from_static("private, max-age=31536000, immutable"),
            (CachePolicy::Minute, true) => HeaderValue::from_static("public, max-age=60"),
            (CachePolicy::Minute, false) => HeaderValue::from_static("private, max-age=60"),
        }
    }
}

/// How long browsers may cache a file, and shared caches if the response is the same for all clients.
#[derive(Clone, Copy)]
pub enum CachePolicy {
    /// For a year: a zip site never changes.
    Immutable,
    /// For a minute: a file-by-file upload may still be in progress.
    Minute,
}

pub const PUBLIC_IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

const GZIP: HeaderValue = HeaderValue::from_static("gzip");

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Redirects to a folder's address with a trailing slash, which relative links need. The path is encoded again: a path
/// copied from the client, such as `//host/`, would lead to another host.
pub fn to_folder(
    responses: &Responses,
    location: &ReportLocation<'_>,
    folder: &str,
    query: Option<&str>,
) -> RouteResult {
    let address = format!("{}{}/", location.root(), pages::encoded_path(folder));
    responses.redirect(&with_query(address, query))
}

pub fn with_query(address: String, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{address}?{query}"),
        None => address,
    }
}

pub fn no_file(path: &str) -> Error {
    Error::not_found(format!("this report has no file {path}"))
}
