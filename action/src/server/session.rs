//! Step 3: creates a site on the server.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, anyhow, bail, ensure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use ureq::http::{StatusCode, Uri};

use crate::base::text::{bytes, shorten};
use crate::http::{Client, Host, Request};
use crate::inputs::Target;
use crate::original::credentials::S3Credentials;

#[derive(Serialize)]
struct CreateSite<'a> {
    repository: String,
    commit_sha: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    size: u64,
}

#[derive(Debug)]
pub struct Session {
    pub site_id: String,
    /// Address of the report, with a trailing slash.
    pub url: String,
    pub destination: Destination,
}

/// How to upload the report.
#[derive(Debug)]
pub enum Destination {
    /// As one zip.
    Zip(Upload),
    /// Each file separately: requested by `--files`, or a backend of the Python original.
    Files(S3Credentials),
}

/// The response of a covered server or of the Python original's backend.
#[derive(Deserialize)]
struct CreatedSite {
    site_id: String,
    url: Option<String>,
    upload: Option<Upload>,
    #[serde(flatten)]
    credentials: Option<S3Credentials>,
}

/// How to upload the zip. The address may be a credential, so it is never shown.
#[derive(Deserialize)]
pub struct Upload {
    pub method: String,
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    max_bytes: Option<u64>,
}

/// Creates a site for a zip of `size` bytes; without a size, for single files as in the Python original.
pub fn create(client: &Client, target: &Target, name: Option<&str>, size: Option<u64>) -> Result<Session> {
    let api = &target.api_url;
    let request = Request::new("POST", &format!("{api}/coverage/create-site/"))?;
    let body =
        |size| CreateSite { repository: target.repository.to_string(), commit_sha: &target.commit_sha, name, size };
    let request = match size {
        Some(size) => request.json(&body(size))?,
        // Some proxies reject a POST without a length.
        None => request.header("content-length", "0")?,
    };
    let response = client.send_authenticated(&request, &target.identity)?;
    let reason = response.describe();
    match response.status {
        StatusCode::OK => {}
        _ if response.is_temporary() => {
            return Err(response.rejection(format!("the covered server at {api} created no site ({reason})")));
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if response.is_json() => {
            bail!("{}", target.identity.rejection(response.status, &reason, &target.repository))
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if has_report_path(api) => {
            bail!("there is no covered server at {api} ({reason}): api-url is the server's URL, without /coverage")
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            bail!("there is no covered server at {api} ({reason}): check api-url")
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            bail!("the server at {api} is not a covered server ({reason}): check api-url and any proxy in front of it")
        }
        status if status.is_redirection() => {
            bail!("the covered server is not at {api} ({reason}): set api-url to its address")
        }
        _ if response.is_json() => bail!("the covered server at {api} created no site ({reason})"),
        _ => bail!("the server at {api} is not a covered server ({reason}): check api-url"),
    }
    let Ok(json) = response.json::<serde_json::Value>() else {
        bail!("{api} did not return a covered server's JSON ({reason}): check api-url");
    };
    let created: CreatedSite = serde_json::from_value(json)
        .map_err(|error| anyhow!("{api} returned an incomplete response: {}", shorten(&error.to_string(), 200)))?;
    created.validated(api, size.unwrap_or_default())
}

impl CreatedSite {
    /// Validates the response: requests, links and outputs use it.
    fn validated(self, api: &str, size: u64) -> Result<Session> {
        let is_hex = self.site_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        ensure!(
            is_hex && matches!(self.site_id.len(), 12 | 32),
            "the server returned an invalid site ID: {:?}",
            shorten(&self.site_id, 40)
        );
        // The original's response has no address, and its reports have the same path.
        let mut url = self.url.unwrap_or_else(|| format!("{api}/coverage/{}/", self.site_id));
        ensure!(is_http(&url), "the server returned an invalid report address: {:?}", shorten(&url, 100));
        if !url.ends_with('/') {
            url.push('/');
        }
        let destination = match (self.upload, self.credentials) {
            (Some(upload), _) => Destination::Zip(upload.validated(api, size)?),
            (None, Some(credentials)) => Destination::Files(credentials.validated()?),
            (None, None) => bail!("{api} answered with neither an upload address nor credentials: update the server"),
        };
        Ok(Session { site_id: self.site_id, url, destination })
    }
}

/// Headers that a store may require: these, and vendor headers such as `x-ms-blob-type`.
const ALLOWED_HEADERS: [&str; 2] = ["content-type", "if-none-match"];
const VENDOR_PREFIXES: [&str; 3] = ["x-amz-", "x-goog-", "x-ms-"];

impl Upload {
    /// Validates the upload: a malicious server must not make the runner send requests into its own network.
    fn validated(self, api: &str, size: u64) -> Result<Self> {
        ensure!(is_http(&self.url), "the server returned an upload address that is not http(s)");
        let (uri, api): (Uri, Uri) = (self.url.parse()?, api.parse()?);
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        ensure!(!has_user, "the server returned an upload address with a user name");
        let host = Host::of(&uri);
        let is_weaker = uri.scheme_str() == Some("http") && api.scheme_str() == Some("https");
        ensure!(
            !is_weaker || host == Host::Loopback,
            "the server returned an http upload address for an https request: set its store or its PUBLIC_URL to an \
             https address"
        );
        ensure!(
            host != Host::LinkLocal || Host::of(&api) == Host::LinkLocal,
            "the server returned a link-local upload address, which points to the runner's network and not to a store"
        );
        ensure!(
            self.method == "PUT",
            "the server requires the upload method {:?} instead of PUT: update the action",
            shorten(&self.method, 20)
        );
        let is_plain = |name: &str| {
            let name = name.to_ascii_lowercase();
            ALLOWED_HEADERS.contains(&name.as_str()) || VENDOR_PREFIXES.iter().any(|vendor| name.starts_with(vendor))
        };
        if let Some(other) = self.headers.keys().find(|name| !is_plain(name)) {
            bail!("the server requires the upload header {:?}, which no store needs", shorten(other, 40));
        }
        let max = self.max_bytes.unwrap_or(u64::MAX);
        ensure!(
            size <= max,
            "the packed report has {}, but the server accepts at most {}: leave files out, or raise its \
             MAX_REPORT_BYTES",
            bytes(size),
            bytes(max)
        );
        Ok(self)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Session {
    /// The server's public address, which may differ from the uploader's.
    pub fn public_url<'a>(&'a self, target: &'a Target) -> &'a str {
        self.url.strip_suffix(&format!("/coverage/{}/", self.site_id)).unwrap_or(&target.api_url)
    }

    /// The address of the page `index`. The server shows a folder's `index.html`, or else a list.
    pub fn page_url(&self, index: Option<&str>) -> String {
        const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
        let Some(page) = index.filter(|page| *page != "index.html") else { return self.url.clone() };
        let path: Vec<String> = page.split('/').map(|part| utf8_percent_encode(part, PLAIN).to_string()).collect();
        let path = path.join("/");
        format!(
            "{}{}",
            self.url,
            path.strip_suffix("index.html").filter(|folder| folder.ends_with('/')).unwrap_or(&path)
        )
    }
}

/// Whether the path is the server's own, as in the address of a report.
fn has_report_path(api: &str) -> bool {
    let uri: Result<Uri, _> = api.parse();
    uri.is_ok_and(|uri| uri.path().split('/').any(|part| part == "coverage"))
}

fn is_http(text: &str) -> bool {
    let uri: Result<Uri, _> = text.parse();
    uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "https://covered.example.com";
    const STORE: &str = "https://s3.example.com/bucket/a.zip?X-Amz-Signature=secret";

    fn validated(api: &str, url: &str, method: &str, headers: &[&str]) -> Result<(), String> {
        let headers = headers.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let upload = Upload { method: method.to_owned(), url: url.to_owned(), headers, max_bytes: None };
        upload.validated(api, 1).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn page_urls_link_to_the_index() {
        let credentials =
            r#"{"bucket":"b","region":"r","access_key_id":"a","secret_access_key":"s","session_token":"t"}"#;
        let destination = Destination::Files(serde_json::from_str(credentials).unwrap());
        let session =
            Session { site_id: "1".to_owned(), url: "https://c.example.com/coverage/1/".to_owned(), destination };
        let url = |index| session.page_url(index);
        assert_eq!(url(Some("index.html")), "https://c.example.com/coverage/1/");
        assert_eq!(url(Some("lcov-report/index.html")), "https://c.example.com/coverage/1/lcov-report/");
        assert_eq!(url(Some("a b?é/index.html")), "https://c.example.com/coverage/1/a%20b%3F%C3%A9/");
        assert_eq!(url(Some("tarpaulin-report.html")), "https://c.example.com/coverage/1/tarpaulin-report.html");
        assert_eq!(url(Some("my index.html")), "https://c.example.com/coverage/1/my%20index.html");
        assert_eq!(url(None), "https://c.example.com/coverage/1/");
    }

    #[test]
    fn upload_headers_of_every_store_are_accepted() {
        for headers in [
            ["content-type", "if-none-match"],
            ["content-type", "x-goog-if-generation-match"],
            ["x-ms-blob-type", "If-None-Match"],
            ["x-amz-server-side-encryption", "Content-Type"],
        ] {
            assert_eq!(validated(API, STORE, "PUT", &headers), Ok(()));
        }
        assert_eq!(validated("http://10.0.0.7", "http://minio:9000/a.zip", "PUT", &[]), Ok(()));
        assert_eq!(validated(API, "https://store.7up/a.zip", "PUT", &[]), Ok(()));
        assert_eq!(validated(API, "http://127.0.0.1:9000/a.zip", "PUT", &[]), Ok(()));
        assert_eq!(validated(API, "http://[::1]:9000/a.zip", "PUT", &[]), Ok(()));
        assert_eq!(validated("http://169.254.7.7", "http://169.254.7.8/a.zip", "PUT", &[]), Ok(()));
    }

    #[test]
    fn invalid_uploads_are_rejected() {
        let refused = |url: &str, method: &str, header: &str, why: &str| {
            for api in [API, "http://covered.example.com"] {
                let error = validated(api, url, method, &[header]).unwrap_err();
                assert!(error.contains(why), "{url}: {error}");
                assert!(!error.contains("secret"), "{error}");
            }
        };
        for header in ["host", "authorization", "cookie", "metadata-flavor", "x-aws-ec2-metadata-token-ttl-seconds"] {
            refused(STORE, "PUT", header, &format!("the upload header {header:?}"));
        }
        for method in ["POST", "DELETE", "put", "GET"] {
            refused(STORE, method, "content-type", &format!("the upload method {method:?}"));
        }
        refused("https://user:secret@s3.example.com/a.zip", "PUT", "content-type", "with a user name");
        for host in [
            "169.254.169.254",
            "[fe80::1]",
            "[::ffff:169.254.169.254]",
            "2852039166",
            "0xa9.254.43518",
            "169.254.169.254.",
        ] {
            refused(&format!("https://{host}/a.zip"), "PUT", "content-type", "link-local");
        }
        let error = validated(API, "http://s3.example.com/a.zip", "PUT", &[]).unwrap_err();
        assert!(error.contains("an http upload address for an https request"), "{error}");
    }
}
