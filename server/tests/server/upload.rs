//! `POST /coverage/create-site/` and `PUT /coverage/{site_id}.zip`.

use covered_server::identity::upload_signer::UploadSigner;
use serde_json::{Value, json};

use crate::support::*;

const SITE: &str = "0123456789abcdef0123456789abcdef";

fn new_site() -> Value {
    json!({"repository": "Octo/App", "commit_sha": SHA, "name": "backend", "size": 1234})
}

#[tokio::test]
async fn a_session_contains_the_site_and_the_upload_url() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[("MAX_REPORT_BYTES", "1000000")]).await;
    let response = server.post("/coverage/create-site/").body(new_site().to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let session: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let site = session["site_id"].as_str().unwrap();
    assert_eq!(site.len(), 32);
    assert_eq!(session["url"], format!("{}/coverage/{site}/", server.url));
    let upload = &session["upload"];
    assert_eq!((upload["method"].as_str(), upload["max_bytes"].as_u64()), (Some("PUT"), Some(1_000_000)));
    assert_eq!(upload["headers"], json!({"content-type": "application/zip"}));
    assert!(upload["url"].as_str().unwrap().starts_with(&format!("{}/coverage/{site}.zip?", server.url)));
    let expires: jiff::Timestamp = upload["expires_at"].as_str().unwrap().parse().unwrap();
    let minutes = expires.duration_since(jiff::Timestamp::now()).as_mins();
    assert!((14..=15).contains(&minutes), "{minutes}");

    let record = std::fs::read(folder.path().join(format!("sites/{site}.json"))).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(
        (&record["repository"], &record["commit_sha"], &record["name"]),
        (&json!("octo/app"), &json!(SHA), &json!("backend"))
    );
    assert_eq!((&record["size"], &record["created_by"]), (&json!(1234), &json!("api-key")));
}

#[tokio::test]
async fn the_session_uses_the_public_url_and_its_path() {
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("PUBLIC_URL", "https://example.com/covered/")]).await;
    let session = server.create().await;
    assert!(session["url"].as_str().unwrap().starts_with("https://example.com/covered/coverage/"), "{session}");
    assert!(
        session["upload"]["url"].as_str().unwrap().starts_with("https://example.com/covered/coverage/"),
        "{session}"
    );
}

#[tokio::test]
async fn create_site_requires_a_valid_key() {
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("API_KEY", "old, new")]).await;
    let post = || server.client.post(format!("{}/coverage/create-site/", server.url)).body(new_site().to_string());
    assert_error(post().send().await.unwrap(), 401, "no API key was sent").await;
    assert_error(post().header("token", "wrong").send().await.unwrap(), 403, "the API key is not valid on this server")
        .await;
    assert_error(post().header("authorization", "Basic bmV3").send().await.unwrap(), 403, "not valid on this server")
        .await;
    for (name, value) in [("token", "old"), ("token", "new"), ("authorization", "Bearer new")] {
        assert_eq!(post().header(name, value).send().await.unwrap().status(), 200, "{name}: {value}");
    }
}

#[tokio::test]
async fn invalid_requests_are_rejected_with_a_reason() {
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("MAX_REPORT_BYTES", "2000")]).await;
    let post = |body: String| server.post("/coverage/create-site/").body(body).send();
    let with = |name: &str, value: Value| {
        let mut body = new_site();
        body[name] = value;
        post(body.to_string())
    };
    assert_error(post("{".into()).await.unwrap(), 400, "the body is not the expected JSON").await;
    assert_error(post("{}".into()).await.unwrap(), 400, "missing field `repository`").await;
    assert_error(post("[".repeat(60_000)).await.unwrap(), 400, "the body is not the expected JSON").await;
    assert_error(post(" ".repeat(70_000)).await.unwrap(), 413, "the body is larger than 65536 bytes").await;
    assert_error(
        with("repository", json!("octo")).await.unwrap(),
        400,
        "\"octo\" is not a valid repository: write owner/name",
    )
    .await;
    assert_error(
        with("repository", json!("octo/..")).await.unwrap(),
        400,
        "\"..\" is not a valid repository name on GitHub",
    )
    .await;
    assert_error(with("commit_sha", json!("abc")).await.unwrap(), 400, "commit_sha must be a full commit ID").await;
    assert_error(with("name", json!("a/b")).await.unwrap(), 400, "\"a/b\" is not a valid report name").await;
    assert_error(
        with("size", json!(2001)).await.unwrap(),
        413,
        "the report of 2001 bytes is larger than this server's limit of 2000 bytes",
    )
    .await;
    assert_error(
        post(String::new()).await.unwrap(),
        501,
        "as the Python CLI does: this needs a server with an S3 bucket and AWS_UPLOAD_ROLE_ARN",
    )
    .await;
    let get = server.get("/coverage/create-site/").header("accept", "application/json").send().await.unwrap();
    assert_eq!(get.headers()["allow"], "POST");
    assert_error(get, 405, "this address accepts POST only").await;
}

#[tokio::test]
async fn a_second_upload_to_a_site_is_409() {
    let server = Server::start().await;
    let session = server.create().await;
    let report = zip(&[("index.html", b"first")]);
    assert_eq!(server.put(&session, report).await.status(), 201);
    // Larger than the socket buffers: the client must get the response instead of a broken pipe.
    let again = server.put(&session, zip(&[("index.html", &noise(20 << 20, 7))])).await;
    assert_error(again, 409, "this site already has a report").await;
    let page = server.client.get(session["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(page.text().await.unwrap(), "first");
}

#[tokio::test]
async fn one_of_several_concurrent_uploads_wins() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let session = server.create().await;
    let report = zip(&[("index.html", b"x")]);
    let all = futures_util::future::join_all((0..16).map(|_| server.put(&session, report.clone()))).await;
    let count = |status: u16| all.iter().filter(|response| response.status() == status).count();
    assert_eq!((count(201), count(409)), (1, 15));
    assert_eq!(temporary_files(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn invalid_zips_are_rejected_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let good = zip(&[("index.html", &noise(5000, 3)), ("b.html", b"b")]);
    let mut overlapping = good.clone();
    let second = overlapping.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    overlapping[second + 42..second + 46].copy_from_slice(&100u32.to_le_bytes());
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"hello".to_vec(), "invalid or truncated zip"),
        (Vec::new(), "invalid or truncated zip"),
        (good[..good.len() - 30].to_vec(), "invalid or truncated zip"),
        (zip(&[]), "it contains no file"),
        (zip(&[("../evil", b"x")]), "it names a file \"../evil\""),
        (zip(&[("/etc/passwd", b"x")]), "it names a file \"/etc/passwd\""),
        (zip(&[("a\\b", b"x")]), "it names a file \"a\\\\b\""),
        (zip(&[("a", b"x"), ("a", b"y")]), "it names \"a\" twice"),
        (zip(&[("a", b"x"), ("a/b", b"y")]), "it names \"a\" twice, or as a file and as a folder"),
        (overlapping, "overlaps another entry"),
    ];
    for (body, why) in cases {
        let session = server.create().await;
        assert_error(server.put(&session, body).await, 422, why).await;
        assert_eq!(temporary_files(&folder), Vec::<String>::new(), "{why}");
        // The site is still free: a second upload with a valid zip works.
        assert_eq!(server.put(&session, good.clone()).await.status(), 201, "{why}");
        std::fs::remove_file(folder.path().join(format!("sites/{}.zip", session["site_id"].as_str().unwrap())))
            .unwrap();
    }
}

#[tokio::test]
async fn too_large_uploads_are_rejected_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[("MAX_REPORT_BYTES", "3000000")]).await;
    let report = zip(&[("a.bin", &noise(4_000_000, 5))]);
    let session = server.create().await;
    let response = server.put(&session, report.clone()).await;
    assert_error(
        response,
        413,
        "is larger than this server's limit of 3000000 bytes: ask its operator to raise MAX_REPORT_BYTES",
    )
    .await;
    // The same without a content length.
    let chunks = report.chunks(50_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let body = reqwest::Body::wrap(http_body_util::StreamBody::new(futures_util::stream::iter(
        chunks.into_iter().map(|chunk| chunk.map(|bytes| hyper::body::Frame::data(bytes::Bytes::from(bytes)))),
    )));
    assert_error(server.put(&session, body).await, 413, "larger than this server's limit of 3000000 bytes").await;
    assert_eq!(temporary_files(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn interrupted_uploads_leave_no_file() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let session = server.create().await;
    let address = server.url.strip_prefix("http://").unwrap();
    let path = session["upload"]["url"].as_str().unwrap().strip_prefix(&server.url).unwrap();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&noise(4 << 20, 9)).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut response = String::new();
    let _ = connection.read_to_string(&mut response).await;
    drop(connection);
    // A complete upload to the same site works, and nothing of the broken one is left.
    assert_eq!(server.put(&session, zip(&[("index.html", b"x")])).await.status(), 201);
    server.stop().await;
    assert_eq!(temporary_files(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn upload_urls_are_valid_only_for_their_site() {
    let server = Server::start().await;
    let (session, other) = (server.create().await, server.create().await);
    let url = session["upload"]["url"].as_str().unwrap();
    let put = |url: String| server.client.put(url).body(zip(&[("index.html", b"x")])).send();
    let (path, query) = url.split_once('?').unwrap();
    let other_id = other["site_id"].as_str().unwrap();
    let swapped = url.replace(session["site_id"].as_str().unwrap(), other_id);
    assert_error(put(swapped).await.unwrap(), 403, "has no valid signature for this site").await;
    assert_error(put(path.to_owned()).await.unwrap(), 401, "this upload address is incomplete").await;
    let later = format!("{path}?{}", query.replace("expires=1", "expires=2"));
    assert_error(put(later).await.unwrap(), 403, "has no valid signature").await;
    let get =
        server.get(&format!("/coverage/{other_id}.zip")).header("accept", "application/json").send().await.unwrap();
    assert_error(get, 405, "this address accepts PUT only").await;
}

#[tokio::test]
async fn upload_urls_expire() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let site = SITE.parse().unwrap();
    let signer = UploadSigner::from_file(&folder.path().join("upload-key")).unwrap();
    let signature = signer.sign(&site, 1_000_000_000);
    let url = format!("{}/coverage/{site}.zip?expires=1000000000&signature={signature}", server.url);
    let response = server.client.put(url).body(zip(&[("index.html", b"x")])).send().await.unwrap();
    assert_error(response, 403, "valid for 15 minutes and has expired: request a new one from create-site").await;
}

#[cfg(unix)]
#[tokio::test]
async fn an_unmounted_folder_is_not_created_again() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, unmounted) = (parent.path().join("data"), parent.path().join("unmounted"));
    let server = Server::with(&[("STORAGE_URL", &format!("file://{}", folder.display()))]).await;
    let session = server.create().await;
    assert_eq!(server.put(&session, zip(&[("index.html", b"x")])).await.status(), 201);
    std::fs::rename(&folder, &unmounted).unwrap();
    // The folder below a mount point while nothing is mounted.
    for below in [false, true] {
        if below {
            std::fs::create_dir_all(folder.join("uploads")).unwrap();
        }
        let rejected = server.post("/coverage/create-site/").body(new_site().to_string()).send().await.unwrap();
        assert_error(rejected, 502, "a storage request of the server failed").await;
        assert_eq!(server.get("/readyz").send().await.unwrap().status(), 503);
        let report = server.get(&format!("/coverage/{}/", SITE)).header("accept", "application/json").send().await;
        assert_error(report.unwrap(), 502, "a storage request of the server failed").await;
        assert!(!folder.join("sites").exists());
    }
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&unmounted, &folder).unwrap();
    assert_eq!(server.get("/readyz").send().await.unwrap().status(), 200);
    assert_eq!(server.put(&server.create().await, zip(&[("index.html", b"x")])).await.status(), 201);
}

#[tokio::test]
async fn upload_urls_cannot_be_signed_with_an_api_key() {
    let server = Server::start().await;
    let (site, expires) = (SITE.parse().unwrap(), 4_102_444_800);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY.as_bytes());
    let signed = ring::hmac::sign(&key, format!("covered upload\n{SITE}\n{expires}").as_bytes());
    let url = |signature: String| format!("{}/coverage/{SITE}.zip?expires={expires}&signature={signature}", server.url);
    for signature in
        [covered_server::base::random::hex(signed.as_ref()), UploadSigner::random().unwrap().sign(&site, expires)]
    {
        let rejected = server.client.put(url(signature)).body(zip(&[("index.html", b"x")])).send().await.unwrap();
        assert_error(rejected, 403, "has no valid signature for this site").await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_failing_store_is_502_without_internal_details() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let session = server.create().await;
    // A file instead of a folder: every write fails, even for root.
    std::fs::remove_dir_all(folder.path().join("sites")).unwrap();
    std::fs::write(folder.path().join("sites"), b"").unwrap();
    let response = server.post("/coverage/create-site/").body(new_site().to_string()).send().await.unwrap();
    let text = response.text().await.unwrap();
    assert!(text.contains("a storage request of the server failed"), "{text}");
    assert!(!text.contains(&*folder.path().to_string_lossy()), "{text}");
    assert_error(
        server.put(&session, zip(&[("index.html", b"x")])).await,
        502,
        "a storage request of the server failed",
    )
    .await;
}

fn temporary_files(folder: &tempfile::TempDir) -> Vec<String> {
    let mut names: Vec<String> = match std::fs::read_dir(folder.path().join("uploads")) {
        Ok(files) => files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort();
    names
}
