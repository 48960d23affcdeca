//! `GET /coverage/{site_id}/{path}`.

use crate::support::*;

const INDEX: &[u8] = b"<!DOCTYPE html><title>Coverage report</title><h1>87%</h1>";

async fn bytes(server: &Server, path: &str, gzip: bool) -> Vec<u8> {
    let request = server.get(path).header("accept-encoding", if gzip { "gzip" } else { "identity" });
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let encoded = response.headers().get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    let content_length = response.content_length().unwrap();
    let bytes = response.bytes().await.unwrap().to_vec();
    assert_eq!(content_length, bytes.len() as u64);
    if encoded { gunzip(&bytes) } else { bytes }
}

#[tokio::test]
async fn uploaded_files_are_served_byte_for_byte_with_and_without_gzip() {
    let (large, noise_large, text) = ("line\n".repeat(1 << 20), noise(3 << 20, 1), "<p>ä</p>".repeat(9000));
    let files: Vec<(&str, &[u8])> = vec![
        ("index.html", INDEX),
        (".gitignore", b"*\n"),
        ("empty.css", b""),
        ("large.html", large.as_bytes()),
        ("noise.bin", &noise_large),
        ("sub/a b#c?d%e.html", text.as_bytes()),
        ("sub/ä/日本.js", b"1"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for server in [Server::start().await, Server::on(&folder, &[]).await] {
        let report = server.upload(zip(&files)).await;
        let stored: Vec<File<'_>> = files.iter().map(|(path, bytes)| File { path, bytes, deflated: false }).collect();
        let stored = server.upload(zip_of(&stored)).await;
        for (path, expected) in &files {
            let encoded: String = path
                .split('/')
                .map(|part| {
                    url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20")
                })
                .collect::<Vec<_>>()
                .join("/");
            for report in [&report, &stored] {
                for gzip in [true, false, true] {
                    assert!(bytes(&server, &format!("{report}{encoded}"), gzip).await == *expected, "{path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn pages_have_content_type_security_policy_and_cache_headers() {
    let server = Server::start().await;
    let report = server.upload(zip(&[("index.html", INDEX), ("a.js", b"1"), ("x.unknown", b"1")])).await;
    let response = server.get(&report).header("accept-encoding", "gzip, br").send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header("content-encoding"), "gzip");
    assert_eq!(header("vary"), "accept-encoding");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-robots-tag"), "noindex");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert!(header("content-security-policy").contains("worker-src 'none'"));
    let js = server.get(&format!("{report}a.js")).send().await.unwrap();
    assert_eq!(js.headers()["content-type"], "text/javascript; charset=utf-8");
    let unknown = server.get(&format!("{report}x.unknown")).send().await.unwrap();
    assert_eq!(unknown.headers()["content-type"], "application/octet-stream");
}

#[tokio::test]
async fn a_matching_etag_returns_304() {
    let server = Server::start().await;
    let report = server.upload(zip(&[("index.html", INDEX)])).await;
    let etag = |response: &reqwest::Response| response.headers()["etag"].to_str().unwrap().to_owned();
    let gzip = etag(&server.get(&report).header("accept-encoding", "gzip").send().await.unwrap());
    let plain = etag(&server.get(&report).send().await.unwrap());
    assert_ne!(gzip, plain, "two encodings are two representations");
    for known in [gzip.clone(), format!("\"other\", {gzip}"), format!("W/{gzip}"), "*".to_owned()] {
        let request = server.get(&report).header("accept-encoding", "gzip").header("if-none-match", &known);
        let response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), etag(&response)), (304, gzip.clone()), "{known}");
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(
            (header("cache-control"), header("vary")),
            ("public, max-age=31536000, immutable", "accept-encoding")
        );
        assert_eq!(header("x-request-id").len(), 16);
        assert!(!response.headers().contains_key("content-type"), "a 304 omits the content type");
        assert_eq!(response.text().await.unwrap(), "");
    }
    let other =
        server.get(&report).header("accept-encoding", "gzip").header("if-none-match", plain).send().await.unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn head_requests_return_the_length_without_a_body() {
    let server = Server::start().await;
    let report = server.upload(zip(&[("index.html", INDEX)])).await;
    for path in [report.as_str(), "/", "/badge/octo/app.svg", "/nothing", "/healthz"] {
        let get = server.get(path).send().await.unwrap();
        let head = server.client.head(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(head.status(), get.status(), "{path}");
        assert_eq!(head.headers()["content-length"], get.headers()["content-length"], "{path}");
        assert_eq!(head.headers()["content-type"], get.headers()["content-type"], "{path}");
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn folders_redirect_to_their_index() {
    let server = Server::start().await;
    let report =
        server.upload(zip(&[("index.html", INDEX), ("sub dir/index.html", b"sub"), ("sub dir/x.html", b"x")])).await;
    for (from, to) in [
        (report.trim_end_matches('/').to_owned(), report.clone()),
        (format!("{report}sub%20dir"), format!("{report}sub%20dir/")),
    ] {
        let response = server.get(&from).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (307, to.as_str()));
    }
    assert_eq!(bytes(&server, &format!("{report}sub%20dir/"), true).await, b"sub");
}

#[tokio::test]
async fn repeated_slashes_are_merged() {
    let server = Server::start().await;
    let report = server.upload(zip(&[("index.html", INDEX), ("a/b.html", b"b"), ("a/index.html", b"a")])).await;
    for (path, file) in
        [("/", INDEX), ("/a/b.html", b"b"), ("a//b.html", b"b"), ("a%2F/%2Fb.html", b"b"), ("//a//", b"a")]
    {
        assert_eq!(bytes(&server, &format!("{report}{path}"), true).await, file, "{path}");
    }
    for path in ["/..//x", "a//../../x", "a//%00", "a//%5cb.html"] {
        let request = server.get(&format!("{report}{path}")).header("accept", "application/json");
        assert_eq!(request.send().await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test]
async fn redirects_encode_queries_in_raw_utf_8() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let request = format!("GET /coverage/{}?ä HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "0".repeat(32));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let location = format!("location: /coverage/{}/?%C3%A4\r\n", "0".repeat(32));
    assert!(answer.starts_with("HTTP/1.1 307") && answer.contains(&location), "{answer}");
}

#[tokio::test]
async fn folder_redirects_keep_the_query() {
    let server = Server::start().await;
    let report = server.upload(zip(&[("lcov-report/index.html", INDEX), ("deep/er/x.html", b"x")])).await;
    for (from, to) in [
        (format!("{}?x=1&y", report.trim_end_matches('/')), format!("{report}?x=1&y")),
        (format!("{report}?sort=%22"), format!("{report}lcov-report/?sort=%22")),
        (format!("{report}lcov-report?x"), format!("{report}lcov-report/?x")),
        (format!("{report}/deep//er?"), format!("{report}deep/er/?")),
    ] {
        let response = server.get(&from).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (307, to.as_str()));
    }
}

#[tokio::test]
async fn without_an_index_the_root_redirects_to_the_only_folder_with_one() {
    let server = Server::start().await;
    let report = server
        .upload(zip(&[
            ("coverage.xml", b"<x/>"),
            ("lcov-report/index.html", b"lcov"),
            ("lcov-report/deep/index.html", b""),
        ]))
        .await;
    let response = server.get(&report).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["location"].to_str().unwrap()),
        (307, format!("{report}lcov-report/").as_str())
    );
}

#[tokio::test]
async fn without_any_index_the_files_are_listed() {
    let server = Server::start().await;
    let files: &[(&str, &[u8])] = &[
        ("a<b.txt", &[b'x'; 2500]),
        ("one/index.html", b""),
        ("two/index.html", b""),
        ("two/javascript:alert(1).html", b""),
    ];
    let report = server.upload(zip(files)).await;
    let page = server.get(&report).send().await.unwrap().text().await.unwrap();
    for expected in ["href=\"./a%3Cb.txt\"", "a&lt;b.txt", "2.5 kB", "href=\"./one/\"", "href=\"./two/\""] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    let missing = server.get(&format!("{report}three/")).header("accept", "application/json").send().await.unwrap();
    assert_error(missing, 404, "this report has no file three/").await;
}

#[tokio::test]
async fn missing_reports_and_files_are_404_as_html_or_json() {
    let server = Server::start().await;
    let report = server.upload(zip(&[("index.html", INDEX)])).await;
    let absent = format!("/coverage/{}/", "0".repeat(32));
    for (path, text) in [
        (absent.as_str(), "there is no report here: the link may be wrong"),
        ("/coverage/NotASite/", "there is no report here: the link may be wrong"),
        (&format!("{report}none.html"), "this report has no file none.html"),
        (&format!("{report}index.html/"), "this report has no file index.html/"),
        (&format!("{report}..%2f..%2fsecret"), "this report has no file"),
        (&format!("{report}a%00b"), "this report has no file"),
        ("/nothing/here", "there is nothing at /nothing/here"),
    ] {
        let response = server.get(path).header("accept", "application/json").send().await.unwrap();
        assert_error(response, 404, text).await;
        let page = server.get(path).header("accept", "text/html,*/*").send().await.unwrap();
        assert_eq!(
            (page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()),
            (404, "text/html; charset=utf-8")
        );
        assert_eq!(page.headers()["cache-control"], "no-store");
        assert!(page.text().await.unwrap().contains("<h1>Not Found</h1>"));
    }
}

#[tokio::test]
async fn a_site_is_404_until_its_report_is_uploaded() {
    let server = Server::start().await;
    let session = server.create().await;
    let page = session["url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    assert_eq!(server.get(&page).send().await.unwrap().status(), 404);
    assert_eq!(server.put(&session, zip(&[("index.html", INDEX)])).await.status(), 201);
    assert_eq!(bytes(&server, &page, true).await, INDEX);
}

#[tokio::test]
async fn damaged_reports_are_502_and_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let text = "coverage ".repeat(50_000);
    let write = |id: &str, bytes: &[u8]| std::fs::write(folder.path().join(format!("sites/{id}.zip")), bytes).unwrap();
    server.create().await;

    write(&"a".repeat(32), b"this is no zip");
    let response = server
        .get(&format!("/coverage/{}/", "a".repeat(32)))
        .header("accept", "application/json")
        .send()
        .await
        .unwrap();
    assert_error(response, 502, "cannot serve this report").await;

    // One bit of the file's data, and one of its checksum in the directory.
    let good = zip(&[("index.html", text.as_bytes())]);
    let mut wrong = good.clone();
    wrong[100] ^= 1;
    write(&"b".repeat(32), &wrong);
    let directory = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mut wrong = good.clone();
    wrong[directory + 16] ^= 1;
    write(&"c".repeat(32), &wrong);
    for id in ["b".repeat(32), "c".repeat(32)] {
        for encoding in ["identity", "gzip"] {
            let request = server.get(&format!("/coverage/{id}/")).header("accept-encoding", encoding);
            let response = request.header("accept", "application/json").send().await.unwrap();
            assert_error(response, 502, "cannot serve this report: \"index.html\" does not match its checksum").await;
        }
    }
    // The failure is not cached.
    write(&"b".repeat(32), &good);
    assert_eq!(bytes(&server, &format!("/coverage/{}/", "b".repeat(32)), true).await, text.as_bytes());

    // The local header is missing.
    let mut wrong = good.clone();
    wrong[0] = b'X';
    write(&"d".repeat(32), &wrong);
    let response = server
        .get(&format!("/coverage/{}/", "d".repeat(32)))
        .header("accept", "application/json")
        .send()
        .await
        .unwrap();
    assert_error(response, 502, "cannot serve this report").await;
}

/// Files that are too large for the cache are streamed: errors appear at the end.
#[tokio::test]
async fn responses_of_damaged_large_files_are_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let bytes = noise(3 << 20, 8);
    for deflated in [true, false] {
        let report = server.upload(zip_of(&[File { path: "large.bin", bytes: &bytes, deflated }])).await;
        let path = folder.path().join(format!("{}.zip", report.trim_matches('/').replace("coverage", "sites")));
        let mut zip = std::fs::read(&path).unwrap();
        zip[2 << 20] ^= 1;
        std::fs::write(path, zip).unwrap();
        for encoding in ["identity", "gzip"] {
            let request = server.get(&format!("{report}large.bin")).header("accept-encoding", encoding);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(response.bytes().await.is_err(), "{encoding}, deflated: {deflated}");
        }
    }
}

#[tokio::test]
async fn zip_directories_larger_than_the_first_read_are_found() {
    let server = Server::start().await;
    let names: Vec<String> =
        (0..20_000).map(|number| format!("folder/{number:05}_a_rather_long_name_of_a_module.html")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let report = server.upload(zip(&files)).await;
    for name in [&names[0], &names[19_999]] {
        assert_eq!(bytes(&server, &format!("{report}{name}"), true).await, name.as_bytes());
    }
}

#[tokio::test]
async fn long_file_lists_are_truncated_with_a_note() {
    let server = Server::start().await;
    let names: Vec<String> = (0..1200).map(|number| format!("{number:04}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let report = server.upload(zip(&files)).await;
    let page = server.get(&report).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("0999.txt") && !page.contains("1000.txt") && page.contains("And 200 more."), "{page}");
}

#[tokio::test]
async fn stored_files_with_a_wrong_checksum_are_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let bytes = noise(5000, 21);
    let report = server.upload(zip_of(&[File { path: "a.png", bytes: &bytes, deflated: false }])).await;
    let path = folder.path().join(format!("{}.zip", report.trim_matches('/').replace("coverage", "sites")));
    let mut zip = std::fs::read(&path).unwrap();
    zip[1000] ^= 1;
    std::fs::write(path, zip).unwrap();
    let response = server.get(&format!("{report}a.png")).header("accept", "application/json").send().await.unwrap();
    assert_error(response, 502, "cannot serve this report").await;
}

#[tokio::test]
async fn a_public_url_with_a_path_works_with_and_without_the_path() {
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("PUBLIC_URL", "https://example.com/covered")]).await;
    let session = server.create().await;
    let local = |text: &str| text.replace("https://example.com", &server.url);
    let put = server.client.put(local(session["upload"]["url"].as_str().unwrap()));
    assert_eq!(put.body(zip(&[("index.html", INDEX)])).send().await.unwrap().status(), 201);
    let url = local(session["url"].as_str().unwrap());
    for url in [url.clone(), url.replace("/covered/", "/")] {
        let response = server.client.get(&url).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().as_ref()), (200, INDEX), "{url}");
    }
}
