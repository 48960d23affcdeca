//! `GET /`, `/healthz`, `/readyz`.

use futures_util::StreamExt;

use crate::support::*;

#[tokio::test]
async fn the_home_page_says_how_to_upload_and_how_the_badge_is_written() {
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
async fn an_errors_page_leads_to_the_home_page_wherever_that_is() {
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
async fn probes_tell_life_from_readiness() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).send().await.unwrap().status(), 200, "{path}");
    }
    // A missing folder, such as one that is not mounted, is not created again.
    std::fs::remove_dir_all(folder.path()).unwrap();
    let response = server.get("/readyz").header("accept", "application/json").send().await.unwrap();
    assert_refused(response, 503, "the storage failed: see the server's log").await;
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn nothing_is_for_search_engines() {
    let server = Server::start().await;
    assert_eq!(server.get("/robots.txt").send().await.unwrap().text().await.unwrap(), "User-agent: *\nDisallow: /\n");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_405_with_those_it_knows() {
    let server = Server::start().await;
    for (path, allow) in [
        ("/", "GET, HEAD"),
        ("/badge/o/r.svg", "GET, HEAD"),
        ("/coverage/create-site/", "POST"),
        ("/healthz", "GET, HEAD"),
    ] {
        let response = server.client.delete(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow, "{path}");
        assert_refused(response, 405, &format!("this address accepts {allow} only")).await;
    }
    let unknown = server.client.delete(format!("{}/nothing", server.url)).send().await.unwrap();
    assert_refused(unknown, 404, "there is nothing at /nothing").await;
}

#[tokio::test]
async fn a_stop_lets_a_running_upload_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let session = server.create().await;
    let site = session["site_id"].as_str().unwrap().to_owned();
    let zip = zip(&[("index.html", &noise(3 << 20, 11))]);
    let (begun, wait) = tokio::sync::oneshot::channel();
    let (resume, resumed) = tokio::sync::oneshot::channel();
    let halves = [zip[..100].to_vec(), zip[100..].to_vec()].map(bytes::Bytes::from);
    let [first, second] = halves.map(|half| Ok::<_, std::io::Error>(hyper::body::Frame::data(half)));
    let body = futures_util::stream::unfold((0, Some((first, second, begun, resumed))), |(step, state)| async move {
        let (first, second, begun, resumed) = state?;
        if step == 0 {
            return Some((
                first,
                (1, Some((Ok(hyper::body::Frame::data(bytes::Bytes::new())), second, begun, resumed))),
            ));
        }
        begun.send(()).unwrap();
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
async fn many_who_ask_at_once_whether_it_is_ready_are_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let asked = (0..2000).map(|_| server.get("/readyz").send());
    let mut answers = futures_util::stream::iter(asked).buffer_unordered(32);
    while let Some(answer) = answers.next().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
}
