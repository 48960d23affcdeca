//! The log of requests: one line per response, and its error.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use hyper::Method;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::answers::response::{self, Body};
use crate::error::Error;
use crate::names::site::SiteId;
use crate::telemetry::metrics::{self, metrics};
use crate::telemetry::trace::RequestContext;

/// The maximum number of bytes of a path in logs and messages.
const MAX_PATH: usize = 1 << 10;

/// A path for logs and messages, with shortened site IDs: a full ID grants access to its report.
pub fn redacted(path: &str) -> String {
    let masked = SiteId::mask(path);
    if masked.len() > MAX_PATH { response::truncated(&masked, MAX_PATH).into_owned() } else { masked }
}

/// The path for a request's log line. A long one is truncated, as it is kept while the response is sent.
pub fn path_for_log(path: &str) -> String {
    if path.len() > MAX_PATH { redacted(path) } else { path.to_owned() }
}

/// The log line of a request, written when its response was sent.
pub struct LogLine {
    pub request_context: RequestContext,
    pub label: metrics::RouteLabel,
    pub client: IpAddr,
    pub method: Method,
    pub path: String,
    pub status: u16,
    /// The number of bytes of the body that were sent.
    pub bytes: u64,
    pub started: Instant,
}

/// A body that writes the request's log line when it is dropped.
pub struct LoggedBody {
    body: Body,
    /// Boxed, as a response is moved several times.
    line: Box<LogLine>,
}

impl LoggedBody {
    pub fn new(body: Body, line: Box<LogLine>) -> Self {
        Self { body, line }
    }
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { body, line } = &mut *self;
        let frame = std::task::ready!(line.request_context.within(|| Pin::new(body).poll_frame(context)));
        match &frame {
            Some(Ok(frame)) => self.line.bytes += frame.data_ref().map_or(0, |bytes| bytes.len() as u64),
            Some(Err(error)) => {
                self.line.request_context.within(|| {
                    tracing::error!(
                        path = redacted(&self.line.path),
                        "closed the connection in the middle of the body: {error}"
                    );
                });
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        let LogLine { request_context, label, client, method, path, status, bytes, started } = &*self.line;
        let time = started.elapsed();
        metrics().count_request(*label, *status, time);
        let milliseconds = time.as_secs_f64() * 1e3;
        request_context.within(|| {
            tracing::info!(%client, %method, path = redacted(path), status, bytes, ms = (milliseconds * 1e3).round() / 1e3, "request");
        });
    }
}

/// Logs errors with a cause and rejected credentials. The client receives the request ID of an error with a cause.
pub fn log_error(
    mut error: Error,
    client: IpAddr,
    method: &Method,
    path: &str,
    request_context: &RequestContext,
) -> Error {
    let status = error.status.as_u16();
    if let Some(cause) = &error.cause {
        tracing::error!(%method, path = redacted(path), status, "{cause:#}");
        error.detail = format!("{} (request {})", error.detail, request_context.id()).into();
    } else if matches!(status, 401 | 403 | 429) {
        tracing::warn!(%client, %method, path = redacted(path), status, "rejected: {}", error.detail);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_paths_mask_site_ids() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(redacted(&format!("/coverage/{id}/a/b.html")), "/coverage/01234567…/a/b.html");
        assert_eq!(redacted(&format!("/coverage/{id}.zip")), "/coverage/01234567….zip");
        assert_eq!(redacted(&format!("/coverage/{id}")), "/coverage/01234567…");
        assert_eq!(redacted(&format!("/coverage//{id}%2Fx")), "/coverage//01234567…%2Fx");
        assert_eq!(redacted("/coverage/create-site/"), "/coverage/create-site/");
        assert_eq!(redacted("/badge/o/r.svg"), "/badge/o/r.svg");
    }
}
