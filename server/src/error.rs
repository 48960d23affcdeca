//! What a client is told when something cannot be done: a status and a public text; the cause is for the log alone.

use std::borrow::Cow;
use std::time::Duration;

use hyper::StatusCode;

use crate::base::memory;
use crate::store::error::StorageError;

/// Seconds after which a store that was asked for too much may be asked again.
const RETRY_AFTER: u64 = 2;
/// Seconds after which an overloaded server may be asked again.
const OVERLOADED_FOR: u64 = 5;

/// A refusal or a failure. `detail` is public; `cause` is logged once, at the edge, and never sent.
#[derive(Debug)]
pub struct Error {
    pub status: StatusCode,
    pub detail: Cow<'static, str>,
    pub cause: Option<anyhow::Error>,
    /// The methods that a path knows, for 405.
    pub allow: Option<&'static str>,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<u64>,
}

impl Error {
    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), cause: None, allow: None, retry_after: None }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: no credentials.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: credentials that do not do.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: nothing is there.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405: the path is known, the method is not.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this address takes {allow} only");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// 408: the request's body came too slowly.
    pub fn timeout(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    /// 409: it is there already.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413: more than is taken.
    pub fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 416: the part that is asked for is not there.
    pub fn unsatisfiable(size: u64) -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            format!("this file has {size} bytes, and none in the range that was requested"),
        )
    }

    /// 429: too many wrong keys came from the client's address.
    pub fn too_many_guesses(seconds: u64) -> Self {
        let detail = format!(
            "too many wrong API keys came from your address: no new one is tried there for {seconds} s; \
             check the key that is sent, or the workflows that share the address"
        );
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 501: this server is not set up for it.
    pub fn not_implemented(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, detail)
    }

    /// 422: the report that was sent cannot be taken.
    pub fn unusable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 502: another service refused or failed.
    pub fn bad_gateway(detail: String, cause: Option<anyhow::Error>) -> Self {
        Self { cause, ..Self::new(StatusCode::BAD_GATEWAY, detail) }
    }

    /// 502, or what fits: the store failed.
    pub fn storage(cause: impl Into<anyhow::Error>) -> Self {
        use StorageError::{Denied, Full, Slow, Throttled, Unauthenticated};
        let cause = cause.into();
        let (status, retry_after, detail) = match StorageError::in_chain(&cause) {
            Some(Throttled(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some(RETRY_AFTER),
                "the server's storage is asked for more than it gives: try again in a few seconds",
            ),
            Some(Slow(_)) => {
                (StatusCode::GATEWAY_TIMEOUT, None, "the server's storage took too long: try again in a while")
            }
            Some(Full(_)) => (
                StatusCode::INSUFFICIENT_STORAGE,
                None,
                "the server's storage is full, and nothing was kept: its operator has to make memory",
            ),
            Some(Denied(_) | Unauthenticated(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                "the server may not use its storage: its operator has to look at its rights there; the cause is in the server's log",
            ),
            _ => (
                StatusCode::BAD_GATEWAY,
                None,
                "the server's storage did not do its part: try again in a while; the cause is in the server's log",
            ),
        };
        Self { cause: Some(cause), retry_after, ..Self::new(status, detail) }
    }

    /// 503: not ready to serve.
    pub fn unavailable(detail: &'static str, cause: impl Into<anyhow::Error>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 503: it cannot be told before so many seconds.
    pub fn not_yet(detail: String, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 503: too much at once; it is over soon.
    pub fn overloaded(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(OVERLOADED_FOR), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 504: the answer was not ready in time.
    pub fn too_slow(limit: Duration) -> Self {
        let detail = format!(
            "the answer was not ready within {} s: the storage or GitHub is slow; try again in a while",
            limit.as_secs_f64()
        );
        Self { retry_after: Some(OVERLOADED_FOR), ..Self::new(StatusCode::GATEWAY_TIMEOUT, detail) }
    }

    /// 500: the server itself failed.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let detail = "something went wrong in the server: the cause is in its log";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
    }
}

impl From<memory::Full> for Error {
    fn from(full: memory::Full) -> Self {
        Self::overloaded(full.to_string())
    }
}

/// 404: a site that has no report, or not yet.
pub fn no_report() -> Error {
    Error::not_found("there is no such report here: it may still be on its way up, or was removed")
}
