//! Step 4 for single files: uploads each into the S3 bucket.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Result, bail};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

use super::credentials::S3Credentials;
use super::sigv4::{self, SignedRequest, Signer};
use crate::base::digest::sha256_of_file;
use crate::http::too_large;
use crate::http::{Client, Request, Response};
use crate::log::progress::Progress;
use crate::report::{Content, Entry};

/// Characters that S3's signature does not encode in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The destination of the files, with the credentials.
pub struct Bucket<'a> {
    credentials: &'a S3Credentials,
    /// The bucket's address, with a trailing slash.
    base: String,
    /// `sites/{site_id}/`.
    prefix: String,
}

impl<'a> Bucket<'a> {
    /// `endpoint`: another S3 service than AWS.
    pub fn new(credentials: &'a S3Credentials, site_id: &str, endpoint: Option<&str>) -> Self {
        let S3Credentials { bucket, region, .. } = credentials;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let base = match endpoint {
            Some(endpoint) => format!("{endpoint}/{bucket}/"),
            // A wildcard certificate covers no further dot, and a host name has no underscore.
            None if bucket.contains(['.', '_']) => format!("https://s3.{region}.{domain}/{bucket}/"),
            None => format!("https://{bucket}.s3.{region}.{domain}/"),
        };
        Self { credentials, base, prefix: format!("sites/{site_id}/") }
    }

    fn put(&self, client: &Client, entry: &Entry) -> Result<()> {
        let file = match &entry.content {
            Content::File(path) => File::open(path)?,
            Content::Generated(bytes) => {
                let mut file = tempfile::tempfile()?;
                file.write_all(bytes)?;
                file
            }
            Content::Zip(_) => bail!(
                "a backend of the Python original cannot receive a report from an artifact: download the artifact in \
                 an earlier step"
            ),
        };
        let body = sha256_of_file(&file)?;
        let key = format!("{}{}", self.prefix, entry.name);
        let url = format!("{}{}", self.base, utf8_percent_encode(&key, PATH));
        let uri: Uri = url.parse()?;
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let date = sigv4::date(Timestamp::now());
        let S3Credentials { access_key_id, secret_access_key, session_token, region, .. } = self.credentials;
        let headers = [
            ("content-type", content_type(&entry.name)),
            ("host", host),
            ("x-amz-content-sha256", body.as_str()),
            ("x-amz-date", date.as_str()),
            ("x-amz-security-token", session_token.expose()),
        ];
        let signer = Signer { access_key_id, secret_access_key, region, service: "s3" };
        let signed = SignedRequest { method: "PUT", path: uri.path(), query: "", headers: &headers, body: &body };
        let authorization = sigv4::authorization(&signed, &signer, &date);
        let request = Request::new("PUT", &url)?
            .header("content-type", content_type(&entry.name))?
            .header("x-amz-content-sha256", &body)?
            .header("x-amz-date", &date)?
            .secret_header("x-amz-security-token", "", session_token)?
            .header("authorization", &authorization)?;
        // Asking the server first is only worth it for a large file.
        let request = match entry.size {
            0..=LARGE => request.small_file(&file, entry.size),
            _ => request.file(&file, entry.size)?,
        };
        let response = client.send(&request)?;
        match too_large::explain(&response, &url, "the file", entry.size) {
            Some(wrong) => bail!(wrong),
            None => self.check(response),
        }
    }

    fn check(&self, response: Response) -> Result<()> {
        let (text, reason, S3Credentials { bucket, region, .. }) =
            (response.text(), response.describe(), self.credentials);
        let says = |codes: &[&str]| codes.iter().any(|code| text.contains(&format!("<Code>{code}</Code>")));
        match response.status {
            status if status.is_success() => Ok(()),
            _ if says(&["ExpiredToken", "TokenRefreshRequired", "InvalidToken"]) => {
                bail!("S3 rejected the temporary credentials, or they have expired ({reason}): run the job again")
            }
            status if status.is_redirection() || says(&["AuthorizationHeaderMalformed", "PermanentRedirect"]) => {
                bail!("the bucket {bucket} is not in {region} ({reason}): correct AWS_REGION on the covered server")
            }
            status if status.as_u16() == 403 => {
                bail!(
                    "S3 refused a file ({reason}): the role AWS_UPLOAD_ROLE_ARN of the covered server must allow \
                     s3:PutObject on {bucket}/sites/*"
                )
            }
            status if status.as_u16() == 404 => {
                bail!("there is no bucket {bucket} ({reason}): correct AWS_BUCKET on the covered server")
            }
            _ => Err(response.rejection(format!("S3 did not accept a file ({reason})"))),
        }
    }
}

/// Larger files, in bytes, are announced before they are sent.
const LARGE: u64 = 1 << 20;

/// Uploads all files, `concurrency` in parallel; the first error ends it.
pub fn send(client: &Client, bucket: &Bucket, files: &[Entry], concurrency: usize, progress: &Progress) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || {
        while let Some(entry) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Err(error) = bucket.put(client, entry) else {
                progress.add(entry.size);
                continue;
            };
            next.store(files.len(), Ordering::Relaxed);
            let error = error.context(format!("cannot upload `{}`", entry.name));
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    };
    thread::scope(|scope| {
        for _ in 0..concurrency.min(files.len()) {
            scope.spawn(work);
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// The content type for readers of the bucket.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "xml" => "text/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
