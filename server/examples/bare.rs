//! "Bare hyper", the upper limit in `cargo xtask bench`: a single-threaded hyper server that returns one response to
//! all requests.
//!
//! usage: bare FILE [NAME:VALUE ...]   serves the file with these headers; prints its address

use std::convert::Infallible;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().context("name the file to serve")?;
    let body = Bytes::from(std::fs::read(&file).with_context(|| file.clone())?);
    let mut headers = HeaderMap::new();
    for header in arguments {
        let (name, value) = header.split_once(':').context("headers are NAME:VALUE")?;
        headers.insert(HeaderName::try_from(name)?, value.parse()?);
    }
    // For an empty file, the response is 304.
    let status = if body.is_empty() { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("bare hyper listens on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let (body, headers) = (body.clone(), headers.clone());
        let service = service_fn(move |_| {
            let mut response = Response::new(Full::new(body.clone()));
            *response.status_mut() = status;
            *response.headers_mut() = headers.clone();
            async { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
