//! What a client is told when something cannot be done: a status and a public text; the cause is for the log alone.

use std::borrow::Cow;

use hyper::StatusCode;

/// A refusal or a failure. `detail` is public; `cause` is logged once, at the edge, and never sent.
#[derive(Debug)]
pub struct Error {
    pub status: StatusCode,
    pub detail: Cow<'static, str>,
    pub cause: Option<anyhow::Error>,
    /// The methods that a path knows, for 405.
    pub allow: Option<&'static str>,
}

impl Error {
    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), cause: None, allow: None }
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

    /// 501: this server is not set up for it.
    pub fn not_implemented(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, detail)
    }

    /// 502: the report in the store cannot be used.
    pub fn damaged(cause: impl Into<anyhow::Error>) -> Self {
        let detail = "the stored report is damaged: run the workflow that uploaded it once more";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::BAD_GATEWAY, detail) }
    }

    /// 502: another service refused or failed.
    pub fn bad_gateway(detail: String, cause: Option<anyhow::Error>) -> Self {
        Self { cause, ..Self::new(StatusCode::BAD_GATEWAY, detail) }
    }

    /// 502: the store failed.
    pub fn storage(cause: impl Into<anyhow::Error>) -> Self {
        let detail = "the server's storage did not do its part: try again in a while; the cause is in the server's log";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::BAD_GATEWAY, detail) }
    }

    /// 503: not ready to serve.
    pub fn unavailable(detail: &'static str, cause: impl Into<anyhow::Error>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 500: the server itself failed.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let detail = "something went wrong in the server: the cause is in its log";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
    }
}
