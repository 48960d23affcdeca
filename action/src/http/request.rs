//! A request, and its limits.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use ureq::http::{self, HeaderName, HeaderValue, Method, Uri};

use super::response::Response;
use crate::base::secret::Secret;
use crate::log::progress::Progress;

/// Time limit for one attempt of an ordinary request, from DNS to the end of the response.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Time limit for one attempt of an optional request.
pub const OPTIONAL_LIMIT: Duration = Duration::from_secs(3);
pub const MAX_RESPONSE: u64 = 1 << 20;
const MAX_TRIES: u32 = 6;

/// A request that [`super::Client`] sends.
pub struct Request<'a> {
    pub(super) head: http::Request<()>,
    pub(super) body: RequestBody<'a>,
    /// Time limit for one attempt.
    pub(super) limit: Duration,
    /// Bytes.
    pub(super) max_response: u64,
    pub(super) max_tries: u32,
    pub(super) is_temporary: fn(&Response) -> bool,
    pub(super) progress: Option<&'a Progress>,
    /// File for the response body, and its folder.
    pub(super) sink: Option<(&'a File, &'a Path)>,
}

pub(super) enum RequestBody<'a> {
    None,
    Json(Vec<u8>),
    File(&'a File, u64),
}

impl<'a> Request<'a> {
    pub fn new(method: &str, url: &str) -> Result<Self> {
        let mut head = http::Request::new(());
        *head.method_mut() = Method::try_from(method).with_context(|| format!("invalid HTTP method {method:?}"))?;
        *head.uri_mut() = Uri::try_from(url).context("invalid request address")?;
        Ok(Self {
            head,
            body: RequestBody::None,
            limit: REQUEST_LIMIT,
            max_response: MAX_RESPONSE,
            max_tries: MAX_TRIES,
            is_temporary: Response::is_temporary,
            progress: None,
            sink: None,
        })
    }

    /// Replaces the prefix `from` of the address with `to`.
    pub fn redirected(mut self, from: &str, to: &str) -> Result<Self> {
        let url = self.head.uri().to_string();
        let rest = url.strip_prefix(from).context("the request has another address")?;
        *self.head.uri_mut() = Uri::try_from(format!("{to}{rest}")).context("invalid request address")?;
        Ok(self)
    }

    pub fn header(self, name: &str, value: &str) -> Result<Self> {
        self.insert(name, value, false)
    }

    /// Adds a header with the value `{prefix}{secret}`, which is never shown.
    pub fn secret_header(self, name: &str, prefix: &str, secret: &Secret) -> Result<Self> {
        self.insert(name, &format!("{prefix}{}", secret.expose()), true)
    }

    fn insert(mut self, name: &str, value: &str, is_secret: bool) -> Result<Self> {
        let value = header_value(name, value, is_secret)?;
        let name = HeaderName::try_from(name).with_context(|| invalid_header(name))?;
        self.head.headers_mut().insert(name, value);
        Ok(self)
    }

    pub fn json(mut self, body: &impl serde::Serialize) -> Result<Self> {
        self.body = RequestBody::Json(serde_json::to_vec(body)?);
        self.header("content-type", "application/json")
    }

    /// Sends a file of `size` bytes, without a time limit of its own. Asks the server first (`100-continue`): a
    /// rejection would be lost if the connection breaks during the upload.
    pub fn file(mut self, file: &'a File, size: u64) -> Result<Self> {
        self.body = RequestBody::File(file, size);
        self.limit = Duration::MAX;
        self.header("expect", "100-continue")
    }

    /// Sends a small file at once: asking first costs more than a lost rejection.
    pub fn small_file(mut self, file: &'a File, size: u64) -> Self {
        self.body = RequestBody::File(file, size);
        self.limit = Duration::MAX;
        self
    }

    /// The head with one more secret header.
    pub(super) fn head_with(&self, name: &'static str, prefix: &str, secret: &Secret) -> Result<http::Request<()>> {
        let mut head = self.head.clone();
        head.headers_mut().insert(name, header_value(name, &format!("{prefix}{}", secret.expose()), true)?);
        Ok(head)
    }

    /// Writes the response body, at most `max` bytes, into `file` in `folder`, without a time limit of its own.
    pub fn save(self, file: &'a File, folder: &'a Path, max: u64) -> Self {
        Self { sink: Some((file, folder)), limit: Duration::MAX, max_response: max, ..self }
    }

    /// Counts the bytes sent or received.
    pub fn progress(self, progress: &'a Progress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Makes the request optional: one attempt with a short time limit.
    pub fn optional(self) -> Self {
        Self { limit: OPTIONAL_LIMIT, max_tries: 1, ..self }
    }

    pub fn max_response(self, max_response: u64) -> Self {
        Self { max_response, ..self }
    }

    pub fn max_tries(self, max_tries: u32) -> Self {
        Self { max_tries, ..self }
    }

    /// Sets which responses are worth a retry.
    pub fn retry_if(self, is_temporary: fn(&Response) -> bool) -> Self {
        Self { is_temporary, ..self }
    }

    /// The body from its start, and its length; `None` without a body.
    pub(super) fn open_body(&self) -> io::Result<Option<(Box<dyn Read + '_>, u64)>> {
        Ok(match &self.body {
            RequestBody::None => None,
            RequestBody::Json(text) => Some((Box::new(text.as_slice()), text.len() as u64)),
            RequestBody::File(file, size) => {
                let mut file: &File = file;
                file.rewind()?;
                match self.progress {
                    Some(progress) => Some((Box::new(progress.read(file)), *size)),
                    None => Some((Box::new(file), *size)),
                }
            }
        })
    }
}

fn header_value(name: &str, value: &str, is_secret: bool) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(value).with_context(|| invalid_header(name))?;
    value.set_sensitive(is_secret);
    Ok(value)
}

fn invalid_header(name: &str) -> String {
    format!("the header {name:?} cannot be sent")
}
