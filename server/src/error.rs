//! The error type of requests: a status code and a public text. The cause is for the log only.

use std::borrow::Cow;
use std::time::Duration;

use hyper::StatusCode;

use crate::base::memory;
use crate::store::error::StorageError;

/// `Retry-After` in seconds if the store is throttling.
const RETRY_AFTER: u64 = 2;
/// `Retry-After` in seconds if the server is overloaded.
const OVERLOADED_FOR: u64 = 5;

/// An error response. `detail` is public; `cause` is logged once, by the router, and never sent.
#[derive(Debug)]
pub struct Error {
    pub status: StatusCode,
    pub detail: Cow<'static, str>,
    pub cause: Option<anyhow::Error>,
    /// The allowed methods, for 405.
    pub allow: Option<&'static str>,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u64>,
}

impl Error {
    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), cause: None, allow: None, retry_after: None }
    }

    /// 400: invalid request.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: missing or invalid credentials.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: insufficient credentials.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: no such site, file or page.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405: method not allowed.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this address accepts {allow} only");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// 408: the request body was too slow.
    pub fn timeout(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    /// 409: the report exists already.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413: the body or the report is too large.
    pub fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 416: the range is outside of the file.
    pub fn unsatisfiable(size: u64) -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            format!("the requested range is outside of this file of {size} bytes"),
        )
    }

    /// 429: too many wrong keys from the client's address.
    pub fn too_many_guesses(seconds: u64) -> Self {
        let detail = format!(
            "too many wrong API keys from your address: the server accepts no new one for {seconds} s; \
             check the key, and other workflows that share the address"
        );
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 501: not configured on this server.
    pub fn not_implemented(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, detail)
    }

    /// 422: invalid report.
    pub fn unusable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 502: another service failed.
    pub fn bad_gateway(detail: String, cause: Option<anyhow::Error>) -> Self {
        Self { cause, ..Self::new(StatusCode::BAD_GATEWAY, detail) }
    }

    /// 502, 503, 504 or 507: the store failed.
    pub fn storage(cause: impl Into<anyhow::Error>) -> Self {
        use StorageError::{Denied, Full, Slow, Throttled, Unauthenticated};
        let cause = cause.into();
        let (status, retry_after, detail) = match StorageError::in_chain(&cause) {
            Some(Throttled(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some(RETRY_AFTER),
                "the server's storage is rate-limiting requests: try again in a few seconds",
            ),
            Some(Slow(_)) => (StatusCode::GATEWAY_TIMEOUT, None, "the server's storage took too long: try again later"),
            Some(Full(_)) => (
                StatusCode::INSUFFICIENT_STORAGE,
                None,
                "the server's storage is full, nothing was stored: ask the server's operator to make room",
            ),
            Some(Denied(_) | Unauthenticated(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                "the server has no access to its storage: ask its operator to check its permissions; see the server's log",
            ),
            _ => (
                StatusCode::BAD_GATEWAY,
                None,
                "a storage request of the server failed: try again later; see the server's log",
            ),
        };
        Self { cause: Some(cause), retry_after, ..Self::new(status, detail) }
    }

    /// 503: not ready to serve.
    pub fn unavailable(detail: &'static str, cause: impl Into<anyhow::Error>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 503: retry after so many seconds.
    pub fn not_yet(detail: String, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 503: overloaded for a short time.
    pub fn overloaded(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(OVERLOADED_FOR), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 504: the response was not ready in time.
    pub fn too_slow(limit: Duration) -> Self {
        let detail = format!(
            "the response was not ready within {} s because the storage or GitHub is slow: try again later",
            limit.as_secs_f64()
        );
        Self { retry_after: Some(OVERLOADED_FOR), ..Self::new(StatusCode::GATEWAY_TIMEOUT, detail) }
    }

    /// 500: internal error.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let detail = "internal error: see the server's log";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
    }
}

impl From<memory::OutOfMemory> for Error {
    fn from(error: memory::OutOfMemory) -> Self {
        Self::overloaded(error.to_string())
    }
}

/// 404: the site has no report, or its upload is not complete.
pub fn no_report() -> Error {
    Error::not_found(
        "there is no report here: the link may be wrong, the upload may not have finished, or the report was removed",
    )
}
