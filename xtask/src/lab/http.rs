//! A small HTTP server in its own thread for stubs, and a blocking client for checks.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// The time limit of [`request`]: far more than any test needs.
const REQUEST_LIMIT: Duration = Duration::from_secs(120);

pub type Body = BoxBody<Bytes, hyper::Error>;

/// Returned by a handler to close the connection without a response.
#[derive(Debug)]
pub struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the test closes the connection without a response")
    }
}

impl std::error::Error for Dropped {}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A server on a free port of `127.0.0.1`; it stops when it is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves `handler`, in its own thread and runtime, so that sync and async tests can use it.
    pub fn start<H, F>(handler: H) -> Serving
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                tokio::select! {
                    () = accept(listener, handler) => {}
                    _ = stopped => {}
                }
            });
        });
        Serving { address, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let connection = server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service_fn(handler.clone()));
        // A client that disconnects, or a closed connection, is not an error of the stub.
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A complete response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The `location` of the response to `url`, as an absolute URL.
    pub fn location(&self, url: &str) -> Option<String> {
        let location = self.header("location")?;
        if !location.starts_with('/') {
            return Some(location.to_owned());
        }
        let host = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
        Some(format!("{}{location}", &url[..host]))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a `GET` on a new connection; does not follow redirects.
pub fn get(url: &str) -> anyhow::Result<Reply> {
    request("GET", url, &[], "")
}

/// Sends a request on a new connection; does not follow redirects.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> anyhow::Result<Reply> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(full(body))?;
    runtime().block_on(async {
        let response = async {
            let response = forward(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            anyhow::Ok(Reply { status: parts.status.as_u16(), headers: headers_of(&parts.headers), body })
        };
        tokio::time::timeout(REQUEST_LIMIT, response).await?
    })
}

/// Sends a request with an absolute URL on a new connection; keeps `Host` if it is set.
pub async fn forward(request: Request<Body>) -> anyhow::Result<Response<Incoming>> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(ToString::to_string);
    let Some(authority) = authority else {
        anyhow::bail!("{} has no host: pass an absolute URL", parts.uri);
    };
    let stream = TcpStream::connect(&authority).await?;
    let _ = stream.set_nodelay(true);
    if !parts.headers.contains_key("host") {
        parts.headers.insert("host", authority.parse()?);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse()?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(Request::from_parts(parts, body)).await?)
}

pub fn headers_of(headers: &hyper::HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}
