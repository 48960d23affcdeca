//! `GET /`, `/healthz`, `/readyz`.

use futures_util::StreamExt;

use crate::support::*;

#[tokio::test]
async fn the_home_page_explains_uploads_and_badges() {
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("PUBLIC_URL", "https://covered.example.com/")]).await;
    let response = server.get("/").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let page = response.text().await.unwrap();
    for expected in [
        "uses: org/covered@v1",
        "<code>org</code> is the owner of Covered's repository on GitHub",
        "coverage-threshold: &quot;80&quot;",
        "api-url: https://covered.example.com\n",
        "https://covered.example.com/badge/OWNER/REPO.svg",
        "https://covered.example.com/badge/redirect/OWNER/REPO/",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
}

#[tokio::test]
async fn error_pages_link_to_the_home_page() {
    let settings = [
        ("STORAGE_URL", "memory://"),
        ("PUBLIC_URL", "https://covered.example.com/c"),
        ("REPORT_HOST", "*.reports.example.net"),
    ];
    let server = Server::with(&settings).await;
    let link = async |host: &str| {
        let page = server.get("/nothing").header("host", host).send().await.unwrap().text().await.unwrap();
        page.split_once("<a href=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
    };
    assert_eq!(link("covered.example.com").await, "/c/");
    assert_eq!(link(&format!("{}.reports.example.net", "a".repeat(32))).await, "https://covered.example.com/c/");
    let server = Server::start().await;
    assert!(server.get("/nothing").send().await.unwrap().text().await.unwrap().contains("<a href=\"/\">"));
}

#[tokio::test]
async fn a_missing_folder_fails_readyz_but_not_healthz() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).send().await.unwrap().status(), 200, "{path}");
    }
    // A missing folder, such as one that is not mounted, is not created again.
    std::fs::remove_dir_all(folder.path()).unwrap();
    let response = server.get("/readyz").header("accept", "application/json").send().await.unwrap();
    assert_error(response, 503, "the storage failed: see the server's log").await;
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn robots_txt_disallows_everything() {
    let server = Server::start().await;
    assert_eq!(server.get("/robots.txt").send().await.unwrap().text().await.unwrap(), "User-agent: *\nDisallow: /\n");
}

#[tokio::test]
async fn unsupported_methods_are_405_with_an_allow_header() {
    let server = Server::start().await;
    for (path, allow) in [
        ("/", "GET, HEAD"),
        ("/badge/o/r.svg", "GET, HEAD"),
        ("/coverage/create-site/", "POST"),
        ("/healthz", "GET, HEAD"),
    ] {
        let response = server.client.delete(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow, "{path}");
        assert_error(response, 405, &format!("this address accepts {allow} only")).await;
    }
    let unknown = server.client.delete(format!("{}/nothing", server.url)).send().await.unwrap();
    assert_error(unknown, 404, "there is nothing at /nothing").await;
}

#[tokio::test]
async fn shutdown_waits_for_uploads_in_progress() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let session = server.create().await;
    let site = session["site_id"].as_str().unwrap().to_owned();
    let zip = zip(&[("index.html", &noise(3 << 20, 11))]);
    let (started, wait) = tokio::sync::oneshot::channel();
    let (resume, resumed) = tokio::sync::oneshot::channel();
    let halves = [zip[..100].to_vec(), zip[100..].to_vec()].map(bytes::Bytes::from);
    let [first, second] = halves.map(|half| Ok::<_, std::io::Error>(hyper::body::Frame::data(half)));
    let body = futures_util::stream::unfold((0, Some((first, second, started, resumed))), |(step, state)| async move {
        let (first, second, started, resumed) = state?;
        if step == 0 {
            return Some((
                first,
                (1, Some((Ok(hyper::body::Frame::data(bytes::Bytes::new())), second, started, resumed))),
            ));
        }
        started.send(()).unwrap();
        resumed.await.unwrap();
        Some((second, (2, None)))
    });
    let body = reqwest::Body::wrap(http_body_util::StreamBody::new(Box::pin(body)));
    let client = server.client.clone();
    let url = session["upload"]["url"].as_str().unwrap().to_owned();
    let upload = tokio::spawn(async move { client.put(url).body(body).send().await.unwrap().status() });
    wait.await.unwrap();
    let stopping = tokio::spawn(server.stop());
    resume.send(()).unwrap();
    assert_eq!(upload.await.unwrap(), 201);
    stopping.await.unwrap();
    assert!(folder.path().join(format!("sites/{site}.zip")).exists());
}

#[tokio::test]
async fn many_concurrent_readyz_requests_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let requests = (0..2000).map(|_| server.get("/readyz").send());
    let mut responses = futures_util::stream::iter(requests).buffer_unordered(32);
    while let Some(response) = responses.next().await {
        assert_eq!(response.unwrap().status(), 200);
    }
}
