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
async fn ask(stream: &mut TcpStream, path: &str, end: &str) -> String {
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
async fn closed(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    match timeout(LONG, stream.read_to_end(&mut rest)).await.expect("the connection is still open") {
        Ok(_) => String::from_utf8(rest).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_refusal_is_not_lost_in_a_connection_that_breaks_under_the_body() {
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
        let told = ask(&mut stream, "/healthz", "\"ok\"").await;
        assert!(told.starts_with("HTTP/1.1 40"), "{path}: {told}");
    }
}

#[tokio::test]
async fn who_does_not_finish_the_first_head_is_cut_off() {
    let server = Server::with(&[MEMORY, ("HEADER_TIMEOUT", "0.3")]).await;
    assert_eq!(closed(&mut connect(&server).await).await, "", "a connection that says nothing");
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
    timeout(LONG, async { tokio::join!(slow, cut) }).await.expect("a head that comes a byte at a time has no end");
}

#[tokio::test]
async fn a_later_head_has_the_same_limit_and_waiting_for_it_another() {
    let server = Server::with(&[MEMORY, ("HEADER_TIMEOUT", "0.3")]).await;
    let mut stream = connect(&server).await;
    ask(&mut stream, "/healthz", "}").await;
    // Idle for longer than the header timeout, which is allowed.
    sleep(Duration::from_millis(800)).await;
    ask(&mut stream, "/healthz", "}").await;
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(closed(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::with(&[MEMORY, ("IDLE_TIMEOUT", "0.3")]).await;
    let mut stream = connect(&server).await;
    ask(&mut stream, "/healthz", "}").await;
    assert_eq!(closed(&mut stream).await, "");
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
async fn a_reader_who_stalls_is_cut_off_and_one_who_is_slow_is_not() {
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
    timeout(LONG, cut).await.expect("who reads a byte at a time holds the connection");
}

#[tokio::test]
async fn an_upload_that_stalls_is_refused_and_one_that_is_slow_is_taken() {
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
        let mut answer = [0; 12];
        timeout(LONG, reading.read_exact(&mut answer)).await.expect("no answer").unwrap();
        sending.abort();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{piece} bytes at a time");
    }
}

#[tokio::test]
async fn a_small_body_has_the_time_of_a_head() {
    let server = Server::with(&[MEMORY, ("HEADER_TIMEOUT", "0.3")]).await;
    let mut stream = connect(&server).await;
    let head = format!(
        "POST /coverage/create-site/ HTTP/1.1\r\nhost: x\r\ntoken: {KEY}\r\ncontent-length: 100\r\n\r\n{{\"repository\""
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("the body took more than 0.3 s"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_not_ready_in_time_is_504() {
    // A store that accepts requests and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let _silence = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
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
    assert_refused(response, 504, "the response was not ready within 0.3 s").await;
}

/// Open connections that got a response.
async fn hold(server: &Server, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = connect(server).await;
        assert!(ask(&mut stream, "/healthz", "}").await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    held
}

/// Retries until there is a response: the server must first notice that a connection ended.
async fn recovers(server: &Server) {
    let recovered = async {
        while !ask(&mut connect(server).await, "/robots.txt", "\r\n\r\n").await.starts_with("HTTP/1.1 200") {
            sleep(STEP).await;
        }
    };
    timeout(LONG, recovered).await.expect("the server turns everybody away although nobody is there");
}

#[tokio::test]
async fn beyond_the_connections_that_it_takes_the_server_says_so_and_that_it_lives() {
    let server = Server::with(&[MEMORY, ("MAX_CONNECTIONS", "3")]).await;
    let held = hold(&server, 3).await;
    let mut turned_away = connect(&server).await;
    let answer = ask(&mut turned_away, "/robots.txt", "</html>").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 5\r\n"), "{answer}");
    assert!(answer.contains("The server has too many open connections"), "{answer}");
    assert_eq!(closed(&mut turned_away).await, "", "it is closed after its answer");
    let alive = ask(&mut connect(&server).await, "/healthz", "}").await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    drop(held);
    recovers(&server).await;
}

#[tokio::test]
async fn a_flood_is_closed_and_over_when_it_ends() {
    let server = Server::with(&[MEMORY, ("MAX_CONNECTIONS", "3")]).await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(connect(&server).await);
    }
    // Beyond the spare connections: the last one is closed at once, long before any timeout.
    assert_eq!(closed(flood.last_mut().unwrap()).await, "");
    drop(flood);
    recovers(&server).await;
}

#[tokio::test]
async fn one_address_leaves_room_for_others() {
    let limit = ("MAX_CONNECTIONS_PER_ADDRESS", "2");
    let server = Server::with(&[MEMORY, limit]).await;
    let _held = hold(&server, 2).await;
    let answer = ask(&mut connect(&server).await, "/robots.txt", "</html>").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("Too many connections are open from your address"), "{answer}");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(server.address()).await.unwrap();
    assert!(ask(&mut other, "/robots.txt", "\r\n\r\n").await.starts_with("HTTP/1.1 200"));

    let behind_proxy = Server::with(&[MEMORY, limit, ("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")]).await;
    hold(&behind_proxy, 20).await;
}

#[tokio::test]
async fn beyond_the_uploads_that_it_takes_the_server_asks_to_come_back() {
    let server = Server::with(&[MEMORY, ("MAX_UPLOADS", "1")]).await;
    let (first, second) = (server.create().await, server.create().await);
    let zip = zip(&[("index.html", b"report")]);
    let path = first["upload"]["url"].as_str().unwrap().strip_prefix(&server.url).unwrap();
    let mut upload = connect(&server).await;
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", zip.len());
    upload.write_all(head.as_bytes()).await.unwrap();
    // The server waits for its body, so it is in progress.
    let mut go_on = [0; 25];
    timeout(LONG, upload.read_exact(&mut go_on)).await.unwrap().unwrap();
    let refused = server.put(&second, zip.clone()).await;
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_refused(refused, 503, "too many uploads are in progress").await;
    upload.write_all(&zip).await.unwrap();
    let mut answer = [0; 12];
    timeout(LONG, upload.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    let taken = async {
        while server.put(&second, zip.clone()).await.status() != 201 {
            sleep(STEP).await;
        }
    };
    timeout(LONG, taken).await.expect("the place of an upload that is over is not free");
}

#[tokio::test]
async fn who_guesses_keys_is_slowed_by_address() {
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
    let refused = send(KEY.to_owned(), "192.0.2.1").await;
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_refused(refused, 429, "too many wrong API keys from your address").await;
    // The key is valid, and the body is not.
    assert_eq!(send(KEY.to_owned(), "192.0.2.2").await.status(), 400);
    assert_eq!(send(long.to_owned(), "192.0.2.1").await.status(), 400);
}

#[tokio::test]
async fn who_reads_nothing_makes_way_when_others_wait_for_memory() {
    // MemoryBudget for one large file at a time.
    let server = Server::with(&[MEMORY, ("SEND_BUFFER_BYTES", "262144"), ("STALL_TIMEOUT", "300")]).await;
    let (site, size) = upload_large(&server).await;
    let request = format!("GET {site}large.bin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut stalled = with_small_buffer(server.address()).await;
    stalled.write_all(request.as_bytes()).await.unwrap();
    stalled.read_exact(&mut [0; 12]).await.unwrap();

    let page = server.get("/badge/octo/app.svg").send().await.unwrap();
    assert_eq!(page.status(), 200, "what needs no memory of its own waits for nothing");
    let next = server.get(&format!("{site}large.bin")).send().await.unwrap();
    assert_eq!(next.status(), 200, "the reader who takes nothing still has the memory");
    assert_eq!(timeout(LONG, next.bytes()).await.unwrap().unwrap().len(), size);
    let mut rest = Vec::new();
    let cut = timeout(LONG, stalled.read_to_end(&mut rest)).await.expect("it still has its connection");
    assert!(cut.is_err() || rest.len() < size, "it was sent the file");
}

#[tokio::test]
async fn an_error_does_not_repeat_a_long_address() {
    let server = Server::with(&[MEMORY]).await;
    let site = server.upload(zip(&[("index.html", b"report")])).await;
    for path in ["/", &site] {
        let response = server.get(&format!("{path}{}", "x".repeat(20_000))).send().await.unwrap();
        assert_eq!(response.status(), 404);
        let page = response.text().await.unwrap();
        assert!(page.contains("xxx…") && page.len() < 8_000, "{} bytes", page.len());
    }
}
