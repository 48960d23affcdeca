//! What can go wrong with a store's answer, done to a real one on its way.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue};
use hyper::{Response, StatusCode};

use super::http::{Body, Dropped, full};

/// What becomes of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered by this status, and not passed on.
    Status(u16),
    /// The connection is closed without an answer.
    Drop,
    /// The answer comes so much later.
    Delay(Duration),
    /// After so many bytes of the body nothing comes any more.
    Stall(usize),
    /// After so many bytes of the body the connection is closed.
    Reset(usize),
    /// Only half of the body, announced as half.
    Shorter,
    /// More bytes than were asked for.
    Longer,
    /// Another range, and it says so.
    OtherRange,
    /// 200 and no range.
    Whole,
    /// A page that says what went wrong, with 200.
    ErrorPage,
    /// The tag of another state of the object.
    OtherTag,
    /// One bit is another.
    Corrupt,
    /// What is missing is forbidden, as S3 has it for whoever may not list the bucket.
    Hide,
}

impl Fault {
    /// Whether the request must not reach the store; then this is the answer.
    pub fn instead(&self) -> Option<Result<Response<Body>, Dropped>> {
        match self {
            Self::Status(code) => {
                let page = "<Error><Code>SlowDown</Code><Message>refused by the lab</Message></Error>";
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

    /// Does it to an answer.
    pub async fn spoil(&self, answer: Response<Bytes>) -> Response<Body> {
        let (mut parts, bytes) = answer.into_parts();
        let length = bytes.len();
        let bytes = match self {
            Self::Hide if parts.status == StatusCode::NOT_FOUND => {
                parts.status = StatusCode::FORBIDDEN;
                let page = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
                // An answer to HEAD has no body.
                if bytes.is_empty() { bytes } else { page.into() }
            }
            Self::Hide => return Response::from_parts(parts, full(bytes)),
            Self::Delay(time) => {
                tokio::time::sleep(*time).await;
                bytes
            }
            Self::Stall(after) | Self::Reset(after) => {
                // The length stays announced: hyper closes the connection of a body that ends before.
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                let begun = stream::iter([Ok(Frame::data(bytes.slice(..length.min(*after))))]);
                let body = match self {
                    Self::Stall(_) => BodyExt::boxed(StreamBody::new(begun.chain(stream::pending()))),
                    _ => BodyExt::boxed(StreamBody::new(begun.chain(stream::unfold((), |()| async {
                        // What was begun is to go out before.
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
