//! Response bodies and common headers; errors as JSON or as a page.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
};
use hyper::{Response, StatusCode};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde::Serialize;

use crate::answers::pages;
use crate::base::memory::{self, MemoryBudget, Reservation, STREAM_BYTES};
use crate::error::Error;
use crate::store::object::ByteStream;
use crate::telemetry::trace::REQUEST_ID;

/// A response's body: whole, or as a stream.
pub enum Body {
    /// Small, or counted in the memory budget when it was read.
    Full(Bytes),
    /// Generated for this response alone.
    Generated(Bytes),
    /// An error in the stream closes the connection, so that a truncated body never looks complete.
    Stream {
        bytes: ByteStream,
        /// The number of bytes left, if it is known.
        remaining: Option<u64>,
    },
    /// A stream whose memory is counted.
    Counted { bytes: ByteStream, remaining: Option<u64> },
}

/// Bytes that a stream needs if the server compresses it, instead of [`STREAM_BYTES`]: deflate's state has 320 KiB.
const COMPRESSED_BYTES: usize = 448 << 10;
/// Bytes that a short stream needs in addition to its length.
const SHORT_BYTES: usize = 32 << 10;
/// A generated page of up to this many bytes is not counted.
const SMALL_PAGE: usize = 4 << 10;

impl Body {
    pub fn empty() -> Self {
        Self::Full(Bytes::new())
    }

    /// A page for this response alone; large ones are counted.
    fn generated(page: String) -> Self {
        if page.len() > SMALL_PAGE { Self::Generated(page.into()) } else { Self::Full(page.into()) }
    }

    /// Whether the body needs [`Body::reserve_memory`].
    pub fn needs_memory(&self) -> bool {
        matches!(self, Self::Generated(_) | Self::Stream { .. })
    }

    /// Attaches reserved memory to a stream.
    pub fn counted(self, reservation: Reservation) -> Self {
        match self {
            Self::Stream { bytes, remaining } => Self::Counted { bytes: reservation.attach_stream(bytes), remaining },
            other => other,
        }
    }

    /// Reserves the memory that sending needs. A stream waits for it; a generated page fails at once, as it is in
    /// memory already. `read_ahead`: bytes of a stream that the store's client buffers.
    pub async fn reserve_memory(self, memory: &MemoryBudget, read_ahead: usize) -> Result<Self, memory::OutOfMemory> {
        Ok(match self {
            Self::Generated(bytes) => {
                Self::Full(memory.try_reserve(bytes.len()).ok_or(memory::OutOfMemory)?.attach(bytes))
            }
            Self::Stream { bytes, remaining } => {
                let needed = remaining.map_or(COMPRESSED_BYTES, |remaining| {
                    usize::try_from(remaining).unwrap_or(usize::MAX).saturating_add(SHORT_BYTES).min(STREAM_BYTES)
                });
                let reservation = memory.reserve_for_stream(needed + read_ahead).await?;
                Self::Stream { bytes, remaining }.counted(reservation)
            }
            ready => ready,
        })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Full(bytes) | Self::Generated(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) | Self::Generated(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream { bytes, remaining } | Self::Counted { bytes, remaining } => {
                let next = std::task::ready!(bytes.as_mut().poll_next(context));
                Poll::Ready(next.map(|item| {
                    item.map(|bytes| {
                        *remaining = remaining.map(|remaining| remaining.saturating_sub(bytes.len() as u64));
                        Frame::data(bytes)
                    })
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(bytes) | Self::Generated(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) | Self::Generated(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream { remaining, .. } | Self::Counted { remaining, .. } => {
                remaining.map_or_else(SizeHint::new, SizeHint::with_exact)
            }
        }
    }
}

/// The maximum size of an error's text in bytes: it may quote a path, which may be as long as a request head.
const MAX_DETAIL: usize = 2 << 10;
/// The cache policy of responses that must not be stored.
pub const NO_STORE: &str = "no-store";

/// The result of a route.
pub type RouteResult = Result<Response<Body>, Error>;

/// Security headers of all responses. A report's link grants access to it, so browsers must not send it as referrer.
const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-dns-prefetch-control", "off"),
    (
        "permissions-policy",
        "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), clipboard-read=(), compute-pressure=(), \
         display-capture=(), encrypted-media=(), geolocation=(), gyroscope=(), hid=(), identity-credentials-get=(), \
         idle-detection=(), keyboard-map=(), local-fonts=(), local-network-access=(), magnetometer=(), microphone=(), \
         midi=(), otp-credentials=(), payment=(), picture-in-picture=(), publickey-credentials-create=(), \
         publickey-credentials-get=(), screen-wake-lock=(), serial=(), storage-access=(), usb=(), \
         window-management=(), xr-spatial-tracking=()",
    ),
];

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Builds responses. Constant headers are built once: a copy is cheaper than adding them one by one.
pub struct Responses {
    security_headers: HeaderMap,
}

impl Responses {
    /// `is_trustworthy`: browsers honour the opener policy on trustworthy origins only, and log a warning on others.
    /// `is_tls`: adds HSTS.
    pub fn new(is_trustworthy: bool, is_tls: bool) -> Self {
        let security_headers =
            SECURITY_HEADERS.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let opener = is_trustworthy.then_some((OPENER_POLICY, SAME_ORIGIN));
        let https = is_tls.then_some((STRICT_TRANSPORT_SECURITY, HSTS));
        // A placeholder for the request's ID, so that the map never grows.
        let id = (REQUEST_ID, HeaderValue::from_static(""));
        Self { security_headers: security_headers.into_iter().chain(opener).chain(https).chain([id]).collect() }
    }

    /// The headers of all responses.
    pub fn security_headers(&self) -> &HeaderMap {
        &self.security_headers
    }

    /// 200 with the security headers only.
    pub fn of(&self, body: Body) -> Response<Body> {
        with_headers(&self.security_headers, body)
    }

    /// 200 with a complete body.
    pub fn ok(
        &self,
        content_type: &'static str,
        cache_control: &'static str,
        body: impl Into<Bytes>,
    ) -> Response<Body> {
        let mut response = self.of(Body::Full(body.into()));
        set(&mut response, CONTENT_TYPE, content_type);
        set(&mut response, CACHE_CONTROL, cache_control);
        response
    }

    /// 200 with JSON that must not be cached.
    pub fn json(&self, value: &impl Serialize) -> Response<Body> {
        self.ok("application/json", NO_STORE, serde_json::to_vec(value).unwrap_or_default())
    }

    /// 200 with one of the server's own pages, which need no scripts and no external resources.
    pub fn page(&self, html: String) -> Response<Body> {
        let mut response = self.of(Body::generated(html));
        set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
        set(&mut response, CACHE_CONTROL, NO_STORE);
        set(
            &mut response,
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        );
        response
    }

    /// 307 to another address of this server. UTF-8 from the client is percent-encoded, as headers are ASCII.
    pub fn redirect(&self, location: &str) -> RouteResult {
        let location = utf8_percent_encode(location, CONTROLS).to_string();
        let location = HeaderValue::try_from(location).map_err(Error::internal)?;
        let mut response = self.of(Body::empty());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(LOCATION, location);
        set(&mut response, CACHE_CONTROL, NO_STORE);
        Ok(response)
    }

    /// An error as JSON or, if `home` is given, as a page that links there.
    pub fn error(&self, error: &Error, home: Option<&str>) -> Response<Body> {
        #[derive(Serialize)]
        struct Detail<'a> {
            detail: &'a str,
        }
        let detail = &truncated(&error.detail, MAX_DETAIL);
        let mut response = match home {
            Some(home) => self.page(pages::error(error.status, detail, home)),
            None => self.json(&Detail { detail }),
        };
        *response.status_mut() = error.status;
        if let Some(methods) = error.allow {
            set(&mut response, ALLOW, methods);
        }
        if let Some(seconds) = error.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The first bytes of a text, `max_bytes` of them, with an ellipsis if more follow.
pub fn truncated(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        text.into()
    } else {
        format!("{}…", &text[..text.floor_char_boundary(max_bytes)]).into()
    }
}

/// 200 with these headers.
pub fn with_headers(headers: &HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers.clone();
    response
}

/// Sets a header to a fixed value.
pub fn set(response: &mut Response<Body>, name: impl hyper::header::IntoHeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// Whether the client prefers an error page, by its `Accept` header: always, unless it asks for JSON only.
pub fn wants_page(accept: Option<&HeaderValue>) -> bool {
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
    !accept.contains("json") || accept.contains("text/html")
}

/// The response to HEAD: the same headers with the length of the body, but no body.
pub fn head_only(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let (Some(length), false) = (body.size_hint().exact(), parts.status == StatusCode::NOT_MODIFIED) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}
