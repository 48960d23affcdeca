//! Restrictions for the scripts of reports, hosts of reports, and who may upload for which repository.

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::support::{KEY, SHA, Server, assert_error, zip};

const INDEX: &[u8] = b"<!DOCTYPE html><title>Coverage report</title>";
const JSON: (&str, &str) = ("accept", "application/json");

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn every_response_has_security_headers_and_sets_no_cookie() {
    let server = Server::start().await;
    let files: &[(&str, &[u8])] =
        &[("index.html", INDEX), ("a.svg", b"<svg/>"), ("b.xml", b"<b/>"), ("c.pdf", b"%PDF"), ("list/x.txt", b"x")];
    let report = server.upload(zip(files)).await;
    let site = report.split('/').nth(2).unwrap().to_owned();
    server.set_value(&site, Some(87.5), "success", 1).await;
    let own = format!("{}{report}", server.url.strip_prefix("http://").unwrap());
    let paths = ["", "a.svg", "b.xml", "c.pdf", "list/", "list", "none.html"].map(|file| format!("{report}{file}"));
    let others = ["/", "/healthz", "/readyz", "/robots.txt", "/none", "/coverage/create-site/", "/coverage/0123"];
    let badges = ["/badge/octo/app.svg", "/badge/octo/app.json", "/badge/none/none.svg", "/badge/redirect/octo/app/"];
    let all = paths.iter().map(String::as_str).chain(others).chain(badges);
    for path in all {
        for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"] {
            let url = format!("{}{path}", server.url);
            let response = server.client.request(method.parse().unwrap(), url).send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers());
            let context = format!("{method} {path}: {status} {headers:?}");
            assert_eq!(text(headers, "x-content-type-options"), "nosniff", "{context}");
            assert_eq!(text(headers, "referrer-policy"), "no-referrer", "{context}");
            assert_eq!(text(headers, "cross-origin-opener-policy"), "same-origin", "{context}");
            assert_eq!(text(headers, "x-dns-prefetch-control"), "off", "{context}");
            assert!(text(headers, "permissions-policy").contains("camera=(), "), "{context}");
            assert!(headers.get("set-cookie").is_none(), "{context}");
            let embeddable = status == 200 && path.starts_with("/badge/");
            let resource = if embeddable { "cross-origin" } else { "same-origin" };
            assert_eq!(text(headers, "cross-origin-resource-policy"), resource, "{context}");
            assert_eq!(headers.contains_key("access-control-allow-origin"), embeddable, "{context}");
            let of_report = status == 200 && path.starts_with(&report) && !path.ends_with("list/");
            let start = if of_report { format!("default-src {own} data:") } else { "default-src 'none';".to_owned() };
            assert!(text(headers, "content-security-policy").starts_with(&start), "{context}");
        }
    }
}

#[tokio::test]
async fn same_origin_requests_of_reports_to_badges_are_rejected() {
    let own_hosts = Server::with(&[("STORAGE_URL", "memory://"), ("REPORT_HOST", "*.localhost")]).await;
    let server = Server::start().await;
    for path in ["/badge/redirect/octo/app/", "/badge/octo/app.json", "/badge/octo/app.svg"] {
        let send = |server: &Server, site, dest| {
            let request = server.get(path).header("sec-fetch-site", site).header("sec-fetch-dest", dest);
            let request = request.header(JSON.0, JSON.1).send();
            async { request.await.unwrap() }
        };
        assert_error(send(&server, "same-origin", "document").await, 403, "set REPORT_HOST").await;
        assert_error(send(&server, "same-origin", "empty").await, 403, "set REPORT_HOST").await;
        for (site, dest) in [("cross-site", "document"), ("none", "document"), ("same-origin", "image")] {
            assert_ne!(send(&server, site, dest).await.status(), 403, "{path} {site} {dest}");
        }
        assert_ne!(send(&own_hosts, "same-origin", "document").await.status(), 403, "{path}");
    }
    let worker = server.get("/coverage/0123456789ab/sw.js").header("service-worker", "script").header(JSON.0, JSON.1);
    assert_error(worker.send().await.unwrap(), 403, "cannot register service workers").await;
}

#[tokio::test]
async fn cross_site_forms_are_rejected() {
    let server = Server::start().await;
    for path in ["/coverage/create-site/", "/coverage/invalidate-cache/octo/app/"] {
        // A form cannot send custom headers, and no preflight allows a script to send one.
        let form = server.client.post(format!("{}{path}", server.url)).header("content-type", "text/plain");
        assert_error(form.body("{}").send().await.unwrap(), 401, "no API key was sent").await;
        let preflight = server.client.request(reqwest::Method::OPTIONS, format!("{}{path}", server.url));
        let preflight = preflight.header("access-control-request-headers", "token").send().await.unwrap();
        assert_eq!(preflight.status(), 405);
        assert!(!preflight.headers().keys().any(|name: &HeaderName| name.as_str().starts_with("access-control")));
    }
}

/// A server with a host for each report, and one report: its ID and the response of create-site.
async fn with_own_hosts() -> (Server, String, Value) {
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("REPORT_HOST", "*.Reports.localhost")]).await;
    let session = server.create().await;
    let files: &[(&str, &[u8])] = &[("lcov-report/index.html", INDEX), ("coverage/x.html", b"x"), ("a b.html", b"ab")];
    assert_eq!(server.put(&session, zip(files)).await.status(), 201);
    (server, session["site_id"].as_str().unwrap().to_owned(), session)
}

#[tokio::test]
async fn with_a_report_host_links_lead_to_the_host_of_the_report() {
    let (server, site, session) = with_own_hosts().await;
    let port = server.url.rsplit(':').next().unwrap();
    let own = format!("http://{site}.reports.localhost:{port}/");
    assert_eq!(session["url"], own);
    assert_eq!(session["public_url"], server.url);
    assert!(session["upload"]["url"].as_str().unwrap().starts_with(&server.url));
    server.set_value(&site, Some(87.5), "success", 1).await;
    for (path, to) in [
        ("/badge/redirect/octo/app/".to_owned(), own.clone()),
        (format!("/coverage/{site}"), own.clone()),
        (format!("/coverage/{site}?q=1"), format!("{own}?q=1")),
        (format!("/coverage/{site}/"), own.clone()),
        (format!("/coverage/{site}/a%20b.html?q=1"), format!("{own}a%20b.html?q=1")),
    ] {
        let response = server.get(&path).send().await.unwrap();
        assert_eq!((response.status().as_u16(), text(response.headers(), "location")), (307, to.as_str()), "{path}");
        assert_eq!(text(response.headers(), "cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_report_host_serves_only_its_report() {
    let (server, site, _) = with_own_hosts().await;
    let host = format!("{site}.reports.localhost:1");
    let get = |path: &str, host: &str| {
        let request = server.get(path).header("host", host).header(JSON.0, JSON.1).send();
        async { request.await.unwrap() }
    };
    let page = get("/lcov-report/", &host.to_ascii_uppercase()).await;
    assert!(text(page.headers(), "content-security-policy").starts_with("default-src 'self' data:"));
    assert_eq!(page.bytes().await.unwrap(), INDEX);
    assert_eq!(get("/a%20b.html", &host).await.text().await.unwrap(), "ab");
    assert_eq!(get("/coverage/x.html", &host).await.text().await.unwrap(), "x");
    // For a browser, `//coverage/` would be another host.
    for (path, to) in [
        ("/", "/lcov-report/"),
        ("/lcov-report", "/lcov-report/"),
        ("/lcov-report?q", "/lcov-report/?q"),
        ("//coverage", "/coverage/"),
        ("/%2Fcoverage", "/coverage/"),
    ] {
        assert_eq!(text(get(path, &host).await.headers(), "location"), to);
    }
    for path in ["/healthz", "/readyz", "/badge/octo/app.svg", "/badge/redirect/octo/app/", "/coverage/create-site/"] {
        assert_error(get(path, &host).await, 404, "this report has no file").await;
    }
    let post = server.post("/coverage/create-site/").header("host", &host).send().await.unwrap();
    assert_eq!(post.status(), 405);
    let other = get("/", &format!("{}.reports.localhost", "0".repeat(32))).await;
    assert_error(other, 404, "there is no report here: the link may be wrong").await;
    for unknown in ["www.reports.localhost", "elsewhere.example.com", &format!("x.{host}")] {
        assert_eq!(get("/healthz", unknown).await.status(), 200, "{unknown}");
    }
}

#[tokio::test]
async fn keys_are_valid_only_for_their_repositories() {
    let keys = format!("{KEY},team=octo/*|acme/app");
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("API_KEY", &keys)]).await;
    let create = |key: &'static str, repository: &str| {
        let body = json!({"repository": repository, "commit_sha": SHA}).to_string();
        let request = server.client.post(format!("{}/coverage/create-site/", server.url)).header("token", key);
        async { request.body(body).send().await.unwrap() }
    };
    let invalidate = |key: &'static str, repository: &str| {
        let url = format!("{}/coverage/invalidate-cache/{repository}/", server.url);
        let request = server.client.post(url).header("token", key).send();
        async { request.await.unwrap() }
    };
    for repository in ["Octo/Any", "acme/app"] {
        assert_eq!(create("team", repository).await.status(), 200);
        assert_eq!(invalidate("team", repository).await.status(), 200);
    }
    assert_error(create("team", "acme/other").await, 403, "the API key is not valid for acme/other").await;
    assert_error(invalidate("team", "acme/other").await, 403, "the API key is not valid for acme/other").await;
    assert_eq!(create(KEY, "acme/other").await.status(), 200);
    // The whole entry is not a key.
    assert_error(create("team=octo/*|acme/app", "octo/app").await, 403, "is not valid on this server").await;
    // A request without a repository is from the Python CLI; it fails only because there is no role.
    let by_file = server.client.post(format!("{}/coverage/create-site/", server.url)).header("token", "team");
    assert_error(by_file.send().await.unwrap(), 501, "AWS_UPLOAD_ROLE_ARN").await;
}

#[tokio::test]
async fn uploads_for_disallowed_repositories_are_rejected() {
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("ALLOWED_REPOSITORIES", "octo/*")]).await;
    server.create().await;
    let body = json!({"repository": "acme/app", "commit_sha": SHA}).to_string();
    let rejected = "acme/app is not in this server's ALLOWED_REPOSITORIES";
    assert_error(server.post("/coverage/create-site/").body(body).send().await.unwrap(), 403, rejected).await;
    let purge = server.post("/coverage/invalidate-cache/acme/app/").send().await.unwrap();
    assert_error(purge, 403, rejected).await;
}

#[tokio::test]
async fn policies_with_an_unknown_host_are_not_cached_by_shared_caches() {
    let server = Server::start().await;
    let report = server.upload(zip(&[("index.html", b"x")])).await;
    let own = server.url.strip_prefix("http://").unwrap();
    for (host, cache) in
        [(own, "public, max-age=31536000, immutable"), ("evil.example.com", "private, max-age=31536000, immutable")]
    {
        let response = server.get(&format!("{report}index.html")).header("host", host).send().await.unwrap();
        assert_eq!((response.status().as_u16(), text(response.headers(), "cache-control")), (200, cache), "{host}");
        let policy = text(response.headers(), "content-security-policy");
        assert_eq!(policy.contains("evil"), host != own, "{policy}");
    }
}

#[tokio::test]
async fn two_host_headers_are_rejected() {
    let server = Server::start().await;
    let response =
        server.get("/").header("host", "a.example.com").header("host", "b.example.com").send().await.unwrap();
    assert_eq!(response.status(), 400);
}
