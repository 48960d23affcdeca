//! Time limits and maximum numbers: each test sets a low limit and reaches it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::*;

const MEMORY: (&str, &str) = ("STORAGE_URL", "memory://");
/// The step of slow clients.
const STEP: Duration = Duration::from_millis(50);
/// Far more than any limit here: a connection that is open after this time was not limited.
const LONG: Duration = Duration::from_secs(60);

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.unwrap()
}

/// Sends a request, and reads until the response contains `end`.
async fn get(stream: &mut TcpStream, path: &str, end: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(end) {
        let read = timeout(LONG, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {text:?}");
        text += &String::from_utf8_lossy(&buffer[..read]);
    }
    text
}

/// Waits until the peer closes the connection; returns what it sent before.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    match timeout(LONG, stream.read_to_end(&mut rest)).await.expect("the connection is still open") {
        Ok(_) => String::from_utf8(rest).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn errors_sent_before_the_body_reach_the_client() {
    let server = Server::with(&[MEMORY]).await;
    let mut stream = connect(&server).await;
    for (path, key) in [
        ("/coverage/create-site/", "wrong"),
        ("/coverage/invalidate-cache/octo/app/", "wrong"),
        ("/coverage/invalidate-cache/oc%20to/app/", KEY),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntoken: {key}\r\ncontent-length: 40\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        sleep(4 * STEP).await;
        stream.write_all(&[b' '; 40]).await.unwrap();
        let response = get(&mut stream, "/healthz", "\"ok\"").await;
        assert!(response.starts_with("HTTP/1.1 40"), "{path}: {response}");
    }
}

#[tokio::test]
async fn an_incomplete_request_head_times_out() {
    let server = Server::with(&[MEMORY, ("HEADER_TIMEOUT", "0.3")]).await;
    assert_eq!(until_closed(&mut connect(&server).await).await, "", "a connection without a request");
    let (mut reading, mut writing) = connect(&server).await.into_split();
    let slow = async {
        while writing.write_all(b"a").await.is_ok() {
            sleep(STEP).await;
        }
    };
    let cut = async {
        // Either an end or a reset.
        let _ = reading.read(&mut [0; 1]).await;
    };
    timeout(LONG, async { tokio::join!(slow, cut) }).await.expect("a head sent byte by byte does not time out");
}

#[tokio::test]
async fn later_request_heads_time_out_but_idle_connections_stay_open() {
    let server = Server::with(&[MEMORY, ("HEADER_TIMEOUT", "0.3")]).await;
    let mut stream = connect(&server).await;
    get(&mut stream, "/healthz", "}").await;
    // Idle for longer than the header timeout, which is allowed.
    sleep(Duration::from_millis(800)).await;
    get(&mut stream, "/healthz", "}").await;
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Server::with(&[MEMORY, ("IDLE_TIMEOUT", "0.3")]).await;
    let mut stream = connect(&server).await;
    get(&mut stream, "/healthz", "}").await;
    assert_eq!(until_closed(&mut stream).await, "");
}

/// A report with a file that exceeds all socket buffers.
async fn upload_large(server: &Server) -> (String, usize) {
    let noise = noise(24 << 20, 5);
    (server.upload(zip_of(&[File { path: "large.bin", bytes: &noise, deflated: false }])).await, noise.len())
}

async fn with_small_buffer(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn stalled_readers_are_disconnected_and_slow_ones_served() {
    let server = Server::with(&[MEMORY, ("STALL_TIMEOUT", "1")]).await;
    let (site, size) = upload_large(&server).await;
    let request = format!("GET {site}large.bin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");

    let mut slow = with_small_buffer(server.address()).await;
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut stalled = with_small_buffer(server.address()).await;
    stalled.write_all(request.as_bytes()).await.unwrap();

    let mut buffer = vec![0; 8192];
    let mut received = 0;
    for _ in 0..60 {
        received += slow.read(&mut buffer).await.expect("a slow reader is served");
        sleep(STEP).await;
    }
    let mut rest = Vec::new();
    timeout(LONG, slow.read_to_end(&mut rest)).await.unwrap().expect("a slow reader is served to the end");
    assert!(received + rest.len() > size, "{received} + {} of {size}", rest.len());

    let cut = async {
        // Data from before the reset can be read, but nothing can be written.
        while stalled.write_all(b"x").await.is_ok() {
            let _ = stalled.read(&mut buffer[..1]).await;
            sleep(STEP).await;
        }
    };
    timeout(LONG, cut).await.expect("a reader of single bytes keeps the connection open");
}

#[tokio::test]
async fn stalled_uploads_are_rejected_and_slow_ones_accepted() {
    let server = Server::with(&[MEMORY, ("STALL_TIMEOUT", "0.6")]).await;
    let zip = zip(&[("index.html", &noise(40_000, 3))]);
    for (piece, status) in [(2048, "201"), (1, "408")] {
        let session = server.create().await;
        let path = session["upload"]["url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
        let (mut reading, mut writing) = connect(&server).await.into_split();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", zip.len());
        writing.write_all(head.as_bytes()).await.unwrap();
        let zip = zip.clone();
        let sending = tokio::spawn(async move {
            for piece in zip.chunks(piece) {
                if writing.write_all(piece).await.is_err() {
                    return;
                }
                sleep(STEP).await;
            }
            // Until there is a response.
            sleep(LONG).await;
        });
        let mut response = [0; 12];
        timeout(LONG, reading.read_exact(&mut response)).await.expect("no response").unwrap();
        sending.abort();
        assert_eq!(String::from_utf8_lossy(&response), format!("HTTP/1.1 {status}"), "{piece} bytes at a time");
    }
}

#[tokio::test]
async fn small_bodies_have_the_header_timeout() {
    let server = Server::with(&[MEMORY, ("HEADER_TIMEOUT", "0.3")]).await;
    let mut stream = connect(&server).await;
    let head = format!(
        "POST /coverage/create-site/ HTTP/1.1\r\nhost: x\r\ntoken: {KEY}\r\ncontent-length: 100\r\n\r\n{{\"repository\""
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let response = until_closed(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 408") && response.contains("the body took more than 0.3 s"), "{response}");
}

#[tokio::test]
async fn a_response_that_is_not_ready_in_time_is_504() {
    // A store that accepts requests and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let _accepting = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            connections.push(stream);
        }
    });
    let server = Server::with(&[
        ("STORAGE_URL", "s3://bucket"),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("REQUEST_TIMEOUT", "0.3"),
    ])
    .await;
    let path = format!("/coverage/{}/", "0".repeat(32));
    let response = server.get(&path).header("accept", "application/json").send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "5");
    assert_error(response, 504, "the response was not ready within 0.3 s").await;
}

/// Open connections that got a response.
async fn open_connections(server: &Server, count: usize) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut stream = connect(server).await;
        assert!(get(&mut stream, "/healthz", "}").await.starts_with("HTTP/1.1 200"));
        connections.push(stream);
    }
    connections
}

/// Retries until there is a response: the server must first notice that a connection ended.
async fn until_recovered(server: &Server) {
    let recovered = async {
        while !get(&mut connect(server).await, "/robots.txt", "\r\n\r\n").await.starts_with("HTTP/1.1 200") {
            sleep(STEP).await;
        }
    };
    timeout(LONG, recovered).await.expect("the server still rejects connections after all others are closed");
}

#[tokio::test]
async fn connections_above_the_limit_get_503_and_healthz_still_works() {
    let server = Server::with(&[MEMORY, ("MAX_CONNECTIONS", "3")]).await;
    let connections = open_connections(&server, 3).await;
    let mut rejected = connect(&server).await;
    let response = get(&mut rejected, "/robots.txt", "</html>").await;
    assert!(response.starts_with("HTTP/1.1 503") && response.contains("retry-after: 5\r\n"), "{response}");
    assert!(response.contains("The server has too many open connections"), "{response}");
    assert_eq!(until_closed(&mut rejected).await, "", "closed after the response");
    let alive = get(&mut connect(&server).await, "/healthz", "}").await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    drop(connections);
    until_recovered(&server).await;
}

#[tokio::test]
async fn the_server_recovers_from_a_flood_of_connections() {
    let server = Server::with(&[MEMORY, ("MAX_CONNECTIONS", "3")]).await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(connect(&server).await);
    }
    // Beyond the spare connections: the last one is closed at once, long before any timeout.
    assert_eq!(until_closed(flood.last_mut().unwrap()).await, "");
    drop(flood);
    until_recovered(&server).await;
}

#[tokio::test]
async fn connections_are_limited_per_address() {
    let limit = ("MAX_CONNECTIONS_PER_ADDRESS", "2");
    let server = Server::with(&[MEMORY, limit]).await;
    let _connections = open_connections(&server, 2).await;
    let response = get(&mut connect(&server).await, "/robots.txt", "</html>").await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert!(response.contains("Too many connections are open from your address"), "{response}");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(server.address()).await.unwrap();
    assert!(get(&mut other, "/robots.txt", "\r\n\r\n").await.starts_with("HTTP/1.1 200"));

    let behind_proxy = Server::with(&[MEMORY, limit, ("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")]).await;
    open_connections(&behind_proxy, 20).await;
}

#[tokio::test]
async fn uploads_above_the_limit_get_503() {
    let server = Server::with(&[MEMORY, ("MAX_UPLOADS", "1")]).await;
    let (first, second) = (server.create().await, server.create().await);
    let zip = zip(&[("index.html", b"report")]);
    let path = first["upload"]["url"].as_str().unwrap().strip_prefix(&server.url).unwrap();
    let mut upload = connect(&server).await;
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", zip.len());
    upload.write_all(head.as_bytes()).await.unwrap();
    // The server waits for its body, so it is in progress.
    let mut interim = [0; 25];
    timeout(LONG, upload.read_exact(&mut interim)).await.unwrap().unwrap();
    let rejected = server.put(&second, zip.clone()).await;
    assert_eq!(rejected.headers()["retry-after"], "5");
    assert_error(rejected, 503, "too many uploads are in progress").await;
    upload.write_all(&zip).await.unwrap();
    let mut response = [0; 12];
    timeout(LONG, upload.read_exact(&mut response)).await.unwrap().unwrap();
    assert_eq!(&response, b"HTTP/1.1 201");
    let accepted = async {
        while server.put(&second, zip.clone()).await.status() != 201 {
            sleep(STEP).await;
        }
    };
    timeout(LONG, accepted).await.expect("the slot of a finished upload was not released");
}

#[tokio::test]
async fn guessing_api_keys_is_rate_limited_per_address() {
    let long = "0123456789abcdef0123456789abcdef";
    let keys = format!("{KEY},{long}");
    let server = Server::with(&[MEMORY, ("TRUSTED_PROXIES", "127.0.0.1"), ("API_KEY", &keys)]).await;
    let send = |key: String, client: &str| {
        let url = format!("{}/coverage/create-site/", server.url);
        let request = server.client.post(url).bearer_auth(key).header("x-forwarded-for", client).body("{}");
        async { request.send().await.unwrap() }
    };
    for guess in 0..10 {
        assert_eq!(send(format!("guess-{guess}"), "192.0.2.1").await.status(), 403);
    }
    let rejected = send(KEY.to_owned(), "192.0.2.1").await;
    let seconds: u64 = rejected.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_error(rejected, 429, "too many wrong API keys from your address").await;
    // The key is valid, and the body is not.
    assert_eq!(send(KEY.to_owned(), "192.0.2.2").await.status(), 400);
    assert_eq!(send(long.to_owned(), "192.0.2.1").await.status(), 400);
}

#[tokio::test]
async fn stalled_readers_are_disconnected_when_others_wait_for_memory() {
    // Memory for one large file at a time.
    let server = Server::with(&[MEMORY, ("SEND_BUFFER_BYTES", "262144"), ("STALL_TIMEOUT", "300")]).await;
    let (site, size) = upload_large(&server).await;
    let request = format!("GET {site}large.bin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut stalled = with_small_buffer(server.address()).await;
    stalled.write_all(request.as_bytes()).await.unwrap();
    stalled.read_exact(&mut [0; 12]).await.unwrap();

    let page = server.get("/badge/octo/app.svg").send().await.unwrap();
    assert_eq!(page.status(), 200, "a badge needs no memory of the budget");
    let next = server.get(&format!("{site}large.bin")).send().await.unwrap();
    assert_eq!(next.status(), 200, "the stalled reader still holds the memory");
    assert_eq!(timeout(LONG, next.bytes()).await.unwrap().unwrap().len(), size);
    let mut rest = Vec::new();
    let cut = timeout(LONG, stalled.read_to_end(&mut rest)).await.expect("the connection is still open");
    assert!(cut.is_err() || rest.len() < size, "the stalled reader received the whole file");
}

#[tokio::test]
async fn errors_truncate_long_paths() {
    let server = Server::with(&[MEMORY]).await;
    let site = server.upload(zip(&[("index.html", b"report")])).await;
    for path in ["/", &site] {
        let response = server.get(&format!("{path}{}", "x".repeat(20_000))).send().await.unwrap();
        assert_eq!(response.status(), 404);
        let page = response.text().await.unwrap();
        assert!(page.contains("xxx…") && page.len() < 8_000, "{} bytes", page.len());
    }
}
