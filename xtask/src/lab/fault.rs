//! Faults of a store, applied to real responses.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue};
use hyper::{Response, StatusCode};

use super::http::{Body, Dropped, full};

/// The fault of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, without forwarding the request.
    Status(u16),
    /// The connection is closed without a response.
    Drop,
    /// The response is delayed.
    Delay(Duration),
    /// Nothing is sent after this many bytes of the body.
    Stall(usize),
    /// The connection is closed after this many bytes of the body.
    Reset(usize),
    /// Half of the body, with a matching content length.
    Shorter,
    /// More bytes than requested.
    Longer,
    /// The header of another range.
    OtherRange,
    /// Status 200 without a range.
    Whole,
    /// An error page with status 200.
    ErrorPage,
    /// Another ETag.
    OtherTag,
    /// One flipped bit.
    Corrupt,
    /// 403 for missing objects, like S3 without the permission to list the bucket.
    Hide,
}

impl Fault {
    /// The response of faults that do not forward the request.
    pub fn response(&self) -> Option<Result<Response<Body>, Dropped>> {
        match self {
            Self::Status(code) => {
                let page = "<Error><Code>SlowDown</Code><Message>rejected by the lab</Message></Error>";
                Some(Response::builder().status(*code).body(full(page)).map_err(|_| Dropped))
            }
            Self::Drop => Some(Err(Dropped)),
            Self::ErrorPage => {
                let page = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
                Some(Ok(Response::new(full(page))))
            }
            _ => None,
        }
    }

    /// Applies the fault to a response.
    pub async fn apply(&self, response: Response<Bytes>) -> Response<Body> {
        let (mut parts, bytes) = response.into_parts();
        let length = bytes.len();
        let bytes = match self {
            Self::Hide if parts.status == StatusCode::NOT_FOUND => {
                parts.status = StatusCode::FORBIDDEN;
                let page = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
                // A response to HEAD has no body.
                if bytes.is_empty() { bytes } else { page.into() }
            }
            Self::Hide => return Response::from_parts(parts, full(bytes)),
            Self::Delay(time) => {
                tokio::time::sleep(*time).await;
                bytes
            }
            Self::Stall(after) | Self::Reset(after) => {
                // Keeps the content length: hyper closes the connection if the body ends earlier.
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                let start = stream::iter([Ok(Frame::data(bytes.slice(..length.min(*after))))]);
                let body = match self {
                    Self::Stall(_) => BodyExt::boxed(StreamBody::new(start.chain(stream::pending()))),
                    _ => BodyExt::boxed(StreamBody::new(start.chain(stream::unfold((), |()| async {
                        // Gives hyper time to send the first part.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        None
                    })))),
                };
                return Response::from_parts(parts, body);
            }
            Self::Shorter => bytes.slice(..length / 2),
            Self::Longer => [&bytes[..], b"and more"].concat().into(),
            Self::OtherRange => {
                parts.headers.insert(CONTENT_RANGE, HeaderValue::from_static("bytes 1-9/10"));
                bytes
            }
            Self::Whole => {
                parts.headers.remove(CONTENT_RANGE);
                parts.status = hyper::StatusCode::OK;
                bytes
            }
            Self::OtherTag => {
                parts.headers.insert(ETAG, HeaderValue::from_static("\"another\""));
                bytes
            }
            Self::Corrupt => {
                let mut wrong = bytes.to_vec();
                if let Some(byte) = wrong.get_mut(length / 2) {
                    *byte ^= 0x10;
                }
                wrong.into()
            }
            Self::Status(_) | Self::Drop | Self::ErrorPage => bytes,
        };
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        Response::from_parts(parts, full(bytes))
    }
}
