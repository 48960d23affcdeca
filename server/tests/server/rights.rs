//! A bucket that cannot be listed, with a restricted policy: it reports missing objects as forbidden.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;
use xtask::lab::http::{Body, Dropped, Serving, full};
use xtask::lab::oidc::Issuer;
use xtask::lab::parts::{Part, skip_without};

use crate::support::{SHA, Server, assert_error, zip};

const OLD: &str = "0123456789ab";
const ZIP: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct State {
    objects: HashMap<String, Vec<u8>>,
    /// The prefixes of readable keys, and of writable ones.
    readable: Vec<&'static str>,
    writable: Vec<&'static str>,
    /// The error code that all requests get.
    error_code: Option<&'static str>,
    requests: usize,
}

/// A minimal S3 with a policy without `s3:ListBucket`.
struct Bucket {
    state: Arc<Mutex<State>>,
    serving: Serving,
}

impl Bucket {
    fn start(readable: &[&'static str], writable: &[&'static str]) -> Self {
        let (readable, writable) = (readable.to_vec(), writable.to_vec());
        let state = Arc::new(Mutex::new(State { readable, writable, ..State::default() }));
        let shared = state.clone();
        let serving = Serving::start(move |request| respond(shared.clone(), request));
        Self { state, serving }
    }

    /// With the policy of the Python original.
    fn of_the_original() -> Self {
        Self::start(&["sites/"], &["sites/"])
    }

    fn put(&self, key: &str, text: &str) {
        self.state.lock().unwrap().objects.insert(key.to_owned(), text.into());
    }

    /// A report in the format of the Python CLI.
    fn with_old_report(self) -> Self {
        for (path, text) in [(".keep", ""), ("index.html", "the index"), ("a.html", "a"), ("sub/index.html", "below")] {
            self.put(&format!("sites/{OLD}/{path}"), text);
        }
        self
    }

    fn set_error(&self, code: Option<&'static str>) {
        self.state.lock().unwrap().error_code = code;
    }

    /// The requests since the last call.
    fn requests(&self) -> usize {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    async fn server(&self, settings: &[(&str, &str)]) -> Server {
        let endpoint = self.serving.url();
        let own = [
            ("AWS_BUCKET", "covered"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
            ("AWS_ENDPOINT_URL", &endpoint),
        ];
        Server::with(&[&own[..], settings].concat()).await
    }
}

async fn respond(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let key = head.uri.path().strip_prefix("/covered/").unwrap().to_owned();
    let mut state = state.lock().unwrap();
    state.requests += 1;
    let reads = head.method != "PUT";
    let allowed = if reads { &state.readable } else { &state.writable };
    let is_allowed = allowed.iter().any(|beginning| key.starts_with(beginning));
    let rejected = |status: u16, code: &str| {
        let page = format!("<Error><Code>{code}</Code></Error>");
        Ok(Response::builder()
            .status(status)
            .body(full(if head.method == "HEAD" { String::new() } else { page }))
            .unwrap())
    };
    if let Some(code) = state.error_code {
        return rejected(403, code);
    }
    let found = state.objects.get(&key).cloned();
    let tag = |bytes: &[u8]| format!("\"{:08x}\"", rawzip::crc32(bytes));
    match found {
        _ if !is_allowed => rejected(403, "AccessDenied"),
        None if reads => rejected(403, "AccessDenied"),
        Some(bytes) if reads => {
            let whole = bytes.len();
            let range =
                header("range").map(|range| match range.strip_prefix("bytes=").unwrap().split_once('-').unwrap() {
                    ("", last) => whole.saturating_sub(last.parse().unwrap())..whole,
                    (first, last) => first.parse().unwrap()..whole.min(last.parse::<usize>().unwrap() + 1),
                });
            let response = Response::builder()
                .header("etag", tag(&bytes))
                .header("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT");
            let response = match range {
                None => response.header("content-length", whole).body(full(if head.method == "HEAD" {
                    Vec::new()
                } else {
                    bytes
                })),
                Some(range) => response
                    .status(206)
                    .header("content-range", format!("bytes {}-{}/{whole}", range.start, range.end - 1))
                    .body(full(bytes[range].to_vec())),
            };
            Ok(response.unwrap())
        }
        found => {
            let is_new = header("if-none-match").is_none() || found.is_none();
            let is_same = header("if-match").is_none_or(|known| found.as_deref().map(tag) == Some(known));
            if !is_new || !is_same {
                return rejected(412, "PreconditionFailed");
            }
            let response = Response::builder().header("etag", tag(&body)).body(full("")).unwrap();
            state.objects.insert(key, body.to_vec());
            Ok(response)
        }
    }
}

#[tokio::test]
async fn missing_reports_are_404_if_the_store_returns_403_for_them() {
    let bucket = Bucket::of_the_original().with_old_report();
    let server = bucket.server(&[]).await;
    let status = async |path: &str| server.get(path).send().await.unwrap().status().as_u16();
    for (path, text) in [("", "the index"), ("a.html", "a"), ("sub/", "below")] {
        let response = server.get(&format!("/coverage/{OLD}/{path}")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, text), "{path:?}");
    }
    assert_eq!(status(&format!("/coverage/{OLD}/sub")).await, 307);
    assert_eq!(status(&format!("/coverage/{OLD}/none.html")).await, 404);
    assert_eq!(status("/coverage/ffffffffffff/").await, 404);
    assert_eq!(status("/readyz").await, 200);

    let session = server.create().await;
    let path = format!("/coverage/{}/", session["site_id"].as_str().unwrap());
    assert_eq!(status(&path).await, 404, "not uploaded yet");
    let put = server.put(&session, zip(&[("index.html", b"a new one")])).await;
    assert_eq!(put.status(), 200, "{}", put.text().await.unwrap());
    assert_eq!(server.get(&path).send().await.unwrap().text().await.unwrap(), "a new one");
}

#[tokio::test]
async fn a_range_of_a_large_file_takes_one_store_request() {
    let bucket = Bucket::of_the_original().with_old_report();
    let video = "0123456789".repeat(300_000);
    bucket.put(&format!("sites/{OLD}/video.mp4"), &video);
    let server = bucket.server(&[]).await;
    server.get(&format!("/coverage/{OLD}/a.html")).send().await.unwrap();
    for (range, requests, from, to) in [
        ("bytes=1000-1009", 1, 1000, 1010),
        ("bytes=2999999-", 1, 2_999_999, video.len()),
        ("bytes=0-", 1, 0, video.len()),
        // The server requests the size first.
        ("bytes=-7", 2, video.len() - 7, video.len()),
    ] {
        bucket.requests();
        let request = server.get(&format!("/coverage/{OLD}/video.mp4")).header("range", range);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        assert!(response.text().await.unwrap() == video[from..to], "{range}");
        assert_eq!(bucket.requests(), requests, "{range}");
    }
}

#[tokio::test]
async fn a_server_with_read_only_access_serves_old_reports() {
    let bucket = Bucket::start(&["sites/"], &[]).with_old_report();
    let server = bucket.server(&[]).await;
    let status = async |path: &str| server.get(path).send().await.unwrap().status().as_u16();
    assert_eq!(status("/coverage/ffffffffffff/").await, 503, "no read has succeeded yet");
    assert_eq!(status(&format!("/coverage/{OLD}/")).await, 200);
    assert_eq!(status("/coverage/ffffffffffff/").await, 404);
}

#[tokio::test]
async fn a_store_that_denies_all_access_is_503_instead_of_404() {
    let bucket = Bucket::start(&[], &[]).with_old_report();
    let server = bucket.server(&[]).await;
    for path in [&format!("/coverage/{OLD}/"), &format!("/coverage/{ZIP}/a.html"), "/readyz"] {
        assert_eq!(server.get(path).send().await.unwrap().status(), 503, "{path}");
    }
    // Wrong credentials are detected even after valid ones.
    let bucket = Bucket::of_the_original().with_old_report();
    let server = bucket.server(&[]).await;
    assert_eq!(server.get("/coverage/ffffffffffff/").send().await.unwrap().status(), 404);
    for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"] {
        bucket.set_error(Some(code));
        let response =
            server.get(&format!("/coverage/{ZIP}/")).header("accept", "application/json").send().await.unwrap();
        assert_error(response, 503, "the server has no access to its storage").await;
        assert_eq!(server.get("/readyz").send().await.unwrap().status(), 503, "{code}");
    }
    bucket.set_error(None);
    assert_eq!(server.get("/readyz").send().await.unwrap().status(), 200);
    assert_eq!(server.get(&format!("/coverage/{OLD}/")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn values_that_cannot_be_stored_are_shown_from_memory() {
    let bucket = Bucket::of_the_original().with_old_report();
    let server = bucket.server(&[]).await;
    let badge = "/badge/octo/app.svg";
    assert_eq!(server.badge(badge).await, "coverage: ??");
    bucket.requests();
    server.set_value(OLD, Some(87.5), "success", 7).await;
    let count = bucket.requests();
    assert!(count < 5, "{count} requests to the store for one value");
    assert_eq!(server.badge(badge).await, "coverage: 87%");
    server.set_value(OLD, Some(60.0), "failure", 6).await;
    assert_eq!(server.badge(badge).await, "coverage: 87%", "an older run");
    let purged = server.post("/coverage/invalidate-cache/octo/app/").send().await.unwrap();
    assert_eq!(purged.status(), 200);
    assert_eq!(server.badge(badge).await, "coverage: 87%", "only the memory has this value");
}

#[tokio::test]
async fn values_and_bindings_are_stored_without_the_list_permission() {
    let all = &["sites/", "values/", "repositories/"];
    let bucket = Bucket::start(all, all);
    let server = bucket.server(&[]).await;
    server.set_value(OLD, Some(87.5), "success", 7).await;
    server.set_value(OLD, Some(88.5), "success", 8).await;
    let stored = bucket.state.lock().unwrap().objects["values/octo/app/_.json"].clone();
    assert!(String::from_utf8_lossy(&stored).contains("88.5"));
    assert_eq!(bucket.server(&[]).await.badge("/badge/octo/app.svg").await, "coverage: 88%");
}

#[tokio::test]
async fn keyless_uploads_name_the_missing_storage_permission() {
    if skip_without(&[Part::Openssl]) {
        return;
    }
    let issuer = Issuer::start();
    let url = issuer.url();
    let settings = [("OIDC_ISSUERS", url.as_str()), ("OIDC_AUDIENCE", "covered"), ("ALLOWED_REPOSITORIES", "octo/*")];
    issuer.set_claims(json!({"repository": "octo/app", "repository_id": "7"}));
    let bearer = format!("Bearer {}", issuer.token("covered"));
    let body = json!({"repository": "octo/app", "commit_sha": SHA}).to_string();
    let upload = async |bucket: &Bucket| {
        let server = bucket.server(&settings).await;
        let request = server.client.post(format!("{}/coverage/create-site/", server.url));
        request.header("authorization", &bearer).body(body.clone()).send().await.unwrap()
    };
    let rejected = upload(&Bucket::of_the_original()).await;
    assert_error(rejected, 503, "has no access to repositories/* in its storage").await;
    let all = &["sites/", "values/", "repositories/"];
    assert_eq!(upload(&Bucket::start(all, all)).await.status(), 200);
}

/// The run ID of the stored value of octo/app.
fn stored_run(bucket: &Bucket) -> serde_json::Value {
    let state = bucket.state.lock().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&state.objects["values/octo/app/_.json"]).unwrap();
    value["run_id"].clone()
}

#[tokio::test]
async fn unstored_values_are_written_later_and_the_newest_wins() {
    let bucket = Bucket::start(&["sites/", "values/"], &["sites/", "values/"]);
    bucket.put("values/octo/app/_.json", "");
    let (first, second) = (bucket.server(&[]).await, bucket.server(&[]).await);
    let site = "a".repeat(32);
    first.set_value(&site, Some(5.0), "success", 5).await;
    bucket.state.lock().unwrap().writable = vec!["sites/"];
    first.set_value(&site, Some(9.0), "success", 9).await;
    assert_eq!(first.badge("/badge/octo/app.svg").await, "coverage: 9%");
    assert_eq!(stored_run(&bucket), 5);
    bucket.state.lock().unwrap().writable = vec!["sites/", "values/"];
    // An older run arrives once writes are allowed again: the value that was not stored is newer.
    first.set_value(&site, Some(8.0), "success", 8).await;
    assert_eq!(first.badge("/badge/octo/app.svg").await, "coverage: 9%");
    assert_eq!(stored_run(&bucket), 9);
    // Another server stored the newest value meanwhile.
    bucket.state.lock().unwrap().writable = vec!["sites/"];
    first.set_value(&site, Some(10.0), "success", 10).await;
    bucket.state.lock().unwrap().writable = vec!["sites/", "values/"];
    second.set_value(&site, Some(12.0), "success", 12).await;
    first.set_value(&site, Some(11.0), "success", 11).await;
    for server in [&first, &second] {
        server.post("/coverage/invalidate-cache/octo/app/").send().await.unwrap();
        assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 12%");
    }
    assert_eq!(stored_run(&bucket), 12);
}

#[tokio::test]
async fn values_are_rejected_if_the_storage_credentials_are_invalid() {
    let bucket = Bucket::start(&["sites/", "values/"], &["sites/", "values/"]);
    let server = bucket.server(&[]).await;
    let value = json!({"site_id": "a".repeat(32), "percent": 9, "state": "success", "commit_sha": SHA, "run_id": 9});
    for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "RequestTimeTooSkewed"] {
        bucket.set_error(Some(code));
        let request = server.post("/coverage/invalidate-cache/octo/app/").body(value.to_string());
        let response = request.send().await.unwrap();
        assert_error(response, 503, "its operator").await;
    }
    bucket.set_error(None);
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: ??");
}
