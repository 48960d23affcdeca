//! `Range` and `If-Range` for files in zip sites and file-by-file sites.

use reqwest::Response;

use crate::support::*;

/// Requests a range, like a browser that accepts gzip.
async fn get_range(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = server.get(path).header("accept-encoding", "gzip");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// A compressible page, one that declares its charset, a small image, and a video that is too large for the cache.
fn files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let page: String = (0..3000).map(|line| format!("<p>line {line}</p>\n")).collect();
    let declares = format!("<meta charset=gbk>{page}");
    vec![
        ("index.html", page.into(), "text/html; charset=utf-8"),
        ("gbk.html", declares.into(), "text/html; charset=GBK"),
        ("shot.png", noise(5000, 1), "image/png"),
        ("video.mp4", noise(3 << 20, 2), "video/mp4"),
        // A text that is too large for the cache, so that a range needs another read for the content type.
        ("large.txt", [&b"\xef\xbb\xbf"[..], &noise(2 << 20, 3)].concat(), "text/plain; charset=utf-8"),
    ]
}

#[tokio::test]
async fn range_requests_return_the_requested_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let files = files();
    let contents: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes, _)| (*path, bytes.as_slice())).collect();
    let [deflated, stored, single] = in_each_format(&server, &folder, &contents).await;
    for site in [&deflated, &stored, &single] {
        for (path, bytes, content_type) in &files {
            let (url, size) = (format!("{site}{path}"), bytes.len());
            if site == &deflated && size > 1 << 20 {
                let whole = get_range(&server, &url, &[("range", "bytes=0-9"), ("accept-encoding", "identity")]).await;
                assert_eq!((whole.status().as_u16(), header(&whole, "accept-ranges")), (200, None), "{url}");
                continue;
            }
            for (range, from, to) in [
                ("bytes=0-9".to_owned(), 0, 10),
                ("bytes=100-".to_owned(), 100, size),
                ("bytes=-7".to_owned(), size - 7, size),
                (format!("bytes={}-{}", size - 3, size * 2), size - 3, size),
                ("bytes=0-".to_owned(), 0, size),
            ] {
                let response = get_range(&server, &url, &[("range", &range)]).await;
                let what = format!("{range} of {url}");
                assert_eq!(response.status(), 206, "{what}");
                let expected = format!("bytes {from}-{}/{size}", to - 1);
                assert_eq!(header(&response, "content-range"), Some(expected.as_str()), "{what}");
                assert_eq!(header(&response, "content-type"), Some(*content_type), "{what}");
                assert_eq!(header(&response, "content-encoding"), None, "{what}");
                assert_eq!(response.content_length(), Some((to - from) as u64), "{what}");
                assert!(response.bytes().await.unwrap() == bytes[from..to], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn unsatisfiable_ranges_are_416_and_invalid_ones_return_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let page = "<p>line</p>\n".repeat(1000);
    let files: &[(&str, &[u8])] = &[("index.html", page.as_bytes()), ("empty.css", b"")];
    for site in in_each_format(&server, &folder, files).await {
        let url = format!("{site}index.html");
        let response = get_range(&server, &url, &[("range", "bytes=12000-"), ("accept", "application/json")]).await;
        assert_eq!(header(&response, "content-range"), Some("bytes */12000"), "{url}");
        assert_error(response, 416, "this file of 12000 bytes").await;
        for range in ["bytes=0-1,5-6", "bytes=9-1", "lines=0-1", "bytes=x"] {
            let response = get_range(&server, &url, &[("range", range)]).await;
            assert_eq!(
                (response.status().as_u16(), header(&response, "content-range")),
                (200, None),
                "{range} of {url}"
            );
        }
        let empty = get_range(&server, &format!("{site}empty.css"), &[("range", "bytes=0-")]).await;
        assert_eq!(empty.status(), 200, "{site}");
        let head =
            server.client.head(format!("{}{url}", server.url)).header("range", "bytes=0-1").send().await.unwrap();
        assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, Some("12000")), "{url}");
        assert_eq!(header(&head, "accept-ranges"), Some("bytes"), "{url}");
    }
}

#[tokio::test]
async fn if_range_returns_the_whole_file_unless_the_etag_matches() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let (page, video) = ("<p>line</p>\n".repeat(1000), noise(2 << 20, 6));
    let files: &[(&str, &[u8])] = &[("index.html", page.as_bytes()), ("video.mp4", &video)];
    let [_, stored, single] = in_each_format(&server, &folder, files).await;
    for url in
        [&stored, &single].iter().flat_map(|site| ["index.html", "video.mp4"].map(|path| format!("{site}{path}")))
    {
        let first = get_range(&server, &url, &[("range", "bytes=0-9")]).await;
        let etag = header(&first, "etag").unwrap();
        assert!(!etag.starts_with("W/"), "{url}");
        for (known, status) in
            [(etag, 206), ("\"other\"", 200), (&format!("W/{etag}"), 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)]
        {
            let response = get_range(&server, &url, &[("range", "bytes=10-19"), ("if-range", known)]).await;
            assert_eq!(response.status(), status, "{known} of {url}");
        }
        let unchanged = get_range(&server, &url, &[("range", "bytes=0-9"), ("if-none-match", etag)]).await;
        assert_eq!(unchanged.status(), 304, "{url}: If-None-Match takes precedence over Range");
    }
}
