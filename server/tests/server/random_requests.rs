//! Valid, invalid and mutated requests: no panic, no 500, no hanging request.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

/// The number of requests; the variable `REQUESTS` overrides it.
const REQUESTS: u64 = 3000;
/// The number of concurrent connections.
const CONNECTIONS: u64 = 48;
/// Time for a response; then the client closes its side, as its request may be incomplete.
const RESPONSE_TIME: Duration = Duration::from_millis(200);

const METHODS: &[&str] = &["GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"];
/// In [`FOLDERS`], the path of an existing report.
const REPORT: &str = "REPORT";
const FOLDERS: &[&str] = &[
    REPORT,
    REPORT,
    "/",
    "/coverage/",
    "/coverage/0123456789ab/",
    "/badge/octo/",
    "/badge/redirect/octo/app/",
    "/coverage/create-site/",
    "/coverage/invalidate-cache/octo/app/",
    "/readyz",
    "//",
];
const NAMES: &[&str] = &[
    "",
    "index.html",
    "index.html",
    "index.html",
    "sub/",
    "sub",
    "a%20b.html",
    "large.bin",
    "app.svg",
    "app.json",
    "..%2f..%2fx",
    "%00",
    "%ff",
    "x.zip?expires=1&signature=00",
    "..",
    ".keep",
    "ä",
    "robots.txt",
];
const QUERIES: &[&str] = &[
    "",
    "?ä=日本",
    "",
    "?label=%22%3E%3Cx&style=social",
    "?name=b&branch=a%7eb",
    "?branch=..",
    "?%",
    "?style=plastic&label=%ef%bf%be",
];
const HEADERS: &[&str] = &[
    "accept-encoding: gzip, br",
    "accept-encoding: gzip;q=0, *;q=0.1",
    "if-none-match: \"0-0\", W/*",
    "if-none-match: *",
    "range: bytes=0-5",
    "range: bytes=-99999999999999999999",
    "if-range: \"0-0\"",
    "accept: application/json",
    "token: test-key",
    "expect: 100-continue",
    "transfer-encoding: chunked",
    "x-forwarded-for: 1.2.3.4, [::1",
    "user-agent: github-camo (x)",
    "traceparent: 00-xx",
    "cookie: a=b",
];
const BODIES: &[&str] = &[
    "",
    "",
    "{}",
    "{\"repository\":\"octo/app\",\"commit_sha\":\"\u{e9}\"}",
    "[[[[",
    "5\r\nhello\r\n0\r\n\r\n",
    "PK\u{5}\u{6}",
];

/// A deterministic random number generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len())]
    }

    /// A random request; `report` is the path of an existing report.
    fn request(&mut self, report: &str) -> Vec<u8> {
        let (method, folder) = (self.pick(METHODS), self.pick(FOLDERS));
        let folder = if folder == REPORT { report } else { folder };
        let (name, query) = (self.pick(NAMES), self.pick(QUERIES));
        let mut text = format!("{method} {folder}{name}{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        for _ in 0..self.below(4) {
            text += &format!("{}\r\n", self.pick(HEADERS));
        }
        let body = self.pick(BODIES);
        if self.below(8) > 0 {
            text += &format!("content-length: {}\r\n", body.len());
        }
        let mut bytes = format!("{text}\r\n{body}").into_bytes();
        self.mutate(&mut bytes);
        bytes
    }

    /// Changes, duplicates or removes bytes of half of the requests.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(6).saturating_sub(2) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes.insert(at, self.below(256) as u8),
                _ => drop(bytes.drain(at..(at + 1 + self.below(4)).min(bytes.len()))),
            }
        }
    }
}

/// The status code of the response, if there is one.
async fn send(address: std::net::SocketAddr, request: &[u8]) -> Option<u16> {
    let mut connection = TcpStream::connect(address).await.unwrap();
    // After an early error, the connection may be closed.
    let _ = connection.write_all(request).await;
    let mut response = Vec::new();
    if tokio::time::timeout(RESPONSE_TIME, connection.read_to_end(&mut response)).await.is_err() {
        let _ = connection.shutdown().await;
        let read = tokio::time::timeout(Duration::from_secs(60), connection.read_to_end(&mut response)).await;
        assert!(read.is_ok(), "no response to {:?}", String::from_utf8_lossy(request));
    }
    String::from_utf8_lossy(&response).strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_cause_no_500_and_no_hang() {
    let server = Server::start().await;
    let large = noise(2 << 20, 4);
    let report = server.upload(zip(&[("index.html", b"x"), ("sub/a b.html", b"y"), ("large.bin", &large)])).await;
    let requests = std::env::var("REQUESTS").map_or(REQUESTS, |text| text.parse().unwrap());
    let (address, report) = (server.address(), &report);
    let connections = (0..CONNECTIONS).map(|number| async move {
        let (mut random, mut statuses) = (Random(number * 7919 + 1), BTreeMap::new());
        for _ in 0..requests / CONNECTIONS {
            let request = random.request(report);
            let status = send(address, &request).await;
            *statuses.entry(status).or_insert(0_u64) += 1;
            assert!(status != Some(500), "500 for {:?}", String::from_utf8_lossy(&request));
        }
        statuses
    });
    let statuses = futures_util::future::join_all(connections).await;
    let mut all = BTreeMap::new();
    statuses.into_iter().flatten().for_each(|(status, count)| *all.entry(status).or_insert(0) += count);
    println!("{all:?}");
    // The requests reached the routes: there are responses of every kind.
    for status in [200, 304, 307, 400, 401, 404, 405] {
        assert!(all.contains_key(&Some(status)), "no {status} in {all:?}");
    }
    assert_eq!(server.get(report).send().await.unwrap().bytes().await.unwrap().as_ref(), b"x");
}
