//! `GET /metrics` on its own address, as metrics are for the operator only.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::network;
use crate::telemetry::metrics::metrics;

/// Time to receive a request head, and for an idle connection.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// The maximum number of connections: a few scrapers.
const CONNECTIONS: usize = 16;
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Starts the metrics server and returns its address.
pub async fn start(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = network::listen("METRICS_LISTEN", listen).await?;
    let address = listener.local_addr()?;
    // The first call records the time of the start.
    let _ = metrics();
    tokio::spawn(serve(listener));
    Ok(address)
}

async fn serve(listener: TcpListener) {
    let slots = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(async move {
            let mut connection = http1::Builder::new();
            connection.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
            let served = connection.serve_connection(TokioIo::new(stream), service_fn(respond)).await;
            if let Err(error) = served {
                tracing::debug!("a scraper's connection ended early: {error}");
            }
            drop(slot);
        });
    }
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET | &Method::HEAD) => match metrics().text() {
            Ok(text) => {
                *response.body_mut() = Full::from(text);
                response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
                StatusCode::OK
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
        ("/metrics", _) => {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            StatusCode::METHOD_NOT_ALLOWED
        }
        _ => StatusCode::NOT_FOUND,
    };
    Ok(response)
}
