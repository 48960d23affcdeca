//! Reports that were uploaded file by file, by the Python CLI.

use tempfile::TempDir;

use crate::support::*;

const SITE: &str = "0123456789ab";

/// A store of the Python original, with one of its IDs of 12 characters.
fn bucket(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join("sites").join(SITE).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

#[tokio::test]
async fn every_file_is_served_byte_for_byte_with_and_without_gzip() {
    let (page, binary) = ("<p>coverage ä</p>\n".repeat(20_000), noise(300_000, 3));
    let files: &[(&str, &[u8])] = &[
        (".keep", b""),
        ("index.html", page.as_bytes()),
        ("style.css", b"p {}"),
        ("a b/noise.png", &binary),
        (".gitignore", b"*"),
        ("empty.js", b""),
    ];
    let folder = bucket(files);
    let server = Server::on(&folder, &[]).await;
    for (path, expected) in &files[1..] {
        let url = format!("/coverage/{SITE}/{}", path.replace(' ', "%20"));
        for gzip in [true, false] {
            let request = server.get(&url).header("accept-encoding", if gzip { "gzip" } else { "identity" });
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(response.headers()["cache-control"], "public, max-age=60");
            assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("worker-src 'none'"));
            let encoded = response.headers().contains_key("content-encoding");
            assert_eq!(encoded, gzip && *path == "index.html", "{path}: only long texts are compressed");
            let bytes = response.bytes().await.unwrap();
            assert!(bytes.len() < 100_000 || !encoded, "{path}: {} bytes", bytes.len());
            assert!(if encoded { gunzip(&bytes) } else { bytes.to_vec() } == *expected, "{path}");
        }
    }
    let root = server.get(&format!("/coverage/{SITE}/")).send().await.unwrap();
    assert_eq!(root.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(root.bytes().await.unwrap(), page.as_bytes());
}

#[tokio::test]
async fn the_reservation_is_never_served() {
    let folder = bucket(&[(".keep", b""), ("index.html", b"x")]);
    let server = Server::on(&folder, &[]).await;
    for path in [".keep", "%2ekeep"] {
        let request = server.get(&format!("/coverage/{SITE}/{path}")).header("accept", "application/json");
        assert_error(request.send().await.unwrap(), 404, "this report has no file .keep").await;
    }
}

#[tokio::test]
async fn folders_redirect_to_their_index_and_missing_files_are_404() {
    let folder = bucket(&[("index.html", b"x"), ("sub/index.html", b"sub")]);
    let server = Server::on(&folder, &[]).await;
    for (query, expected) in [("", ""), ("?x=1", "?x=1")] {
        let response = server.get(&format!("/coverage/{SITE}//sub{query}")).send().await.unwrap();
        let location = response.headers()["location"].to_str().unwrap();
        assert_eq!((response.status().as_u16(), location), (307, format!("/coverage/{SITE}/sub/{expected}").as_str()));
    }
    for path in ["sub/", "/sub//", "/sub//index.html"] {
        let sub = server.get(&format!("/coverage/{SITE}/{path}")).send().await.unwrap();
        assert_eq!(sub.text().await.unwrap(), "sub", "{path}");
    }
    for (path, text) in [("none.html", "no file none.html"), ("none/", "no file none/index.html")] {
        let request = server.get(&format!("/coverage/{SITE}/{path}")).header("accept", "application/json");
        assert_error(request.send().await.unwrap(), 404, text).await;
    }
    let absent = server.get("/coverage/ba9876543210/").header("accept", "application/json").send().await.unwrap();
    assert_error(absent, 404, "there is no report here: the link may be wrong").await;
}

#[tokio::test]
async fn a_matching_etag_returns_304() {
    let page = "coverage ".repeat(1000);
    let folder = bucket(&[("index.html", page.as_bytes())]);
    let server = Server::on(&folder, &[]).await;
    let url = format!("/coverage/{SITE}/");
    for encoding in ["gzip", "identity"] {
        let first = server.get(&url).header("accept-encoding", encoding).send().await.unwrap();
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        let known = format!("\"other\", {etag}");
        let request = server.get(&url).header("accept-encoding", encoding).header("if-none-match", known);
        let again = request.send().await.unwrap();
        assert_eq!(again.status(), 304, "{encoding}: {etag}");
        assert_eq!(again.text().await.unwrap(), "");
    }
    let head = server.client.head(format!("{}{url}", server.url)).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "9000"));
}

#[tokio::test]
async fn invalid_file_names_are_404() {
    let folder = bucket(&[("index.html", b"x"), (".keep", b"")]);
    let server = Server::on(&folder, &[]).await;
    let long = "x".repeat(300);
    for path in ["index.html/x", ".keep/", "x%231", &long] {
        let request = server.get(&format!("/coverage/{SITE}/{path}")).header("accept", "application/json");
        assert_error(request.send().await.unwrap(), 404, "this report has no file").await;
    }
}

#[tokio::test]
async fn missing_sites_and_missing_files_have_different_errors() {
    let other = "cccccccccccccccccccccccccccccccc";
    for (file, site, detail) in [
        (".keep", SITE, "this report has no file nothing"),
        ("index.html", SITE, "this report has no file nothing"),
        ("index.html", other, "there is no report here: the link may be wrong"),
    ] {
        let folder = bucket(&[(file, b"x")]);
        let server = Server::on(&folder, &[]).await;
        let request = server.get(&format!("/coverage/{site}/nothing")).header("accept", "application/json");
        assert_error(request.send().await.unwrap(), 404, detail).await;
    }
}

#[tokio::test]
async fn a_file_truncated_during_the_response_aborts_it() {
    let folder = bucket(&[("large.bin", &noise(40 << 20, 5))]);
    let server = Server::on(&folder, &[]).await;
    let mut response = server.get(&format!("/coverage/{SITE}/large.bin")).send().await.unwrap();
    // The client has started to read, and socket buffers hold far less than the file.
    assert!(response.chunk().await.unwrap().is_some());
    let path = folder.path().join(format!("sites/{SITE}/large.bin"));
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1000).unwrap();
    let rest = async {
        while response.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), rest).await;
    assert!(ended.expect("the response never ends").is_err(), "a truncated response must be an error");
}
