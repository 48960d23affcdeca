//! Clients that request large responses and read nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// The receive buffer of a client: the minimum.
const RECEIVE_BUFFER: u32 = 4096;
/// The time limit for HTTP/2 responses.
const RESPONSE_LIMIT: Duration = Duration::from_secs(30);

/// Stalled clients; they close their connections when they are dropped.
#[derive(Debug)]
pub struct Readers {
    _runtime: Runtime,
    _sockets: Vec<TcpStream>,
    responses: Vec<Response<Incoming>>,
}

impl Readers {
    /// Opens `count` HTTP/1.1 connections; each requests the next of `paths`.
    pub fn http1(server: SocketAddr, paths: &[String], count: usize) -> Result<Readers> {
        let runtime = runtime()?;
        let sockets = runtime.block_on(async {
            let mut sockets = Vec::new();
            for path in paths.iter().cycle().take(count) {
                let mut socket = connect(server).await?;
                let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: identity\r\n\r\n");
                socket.write_all(head.as_bytes()).await?;
                sockets.push(socket);
            }
            anyhow::Ok(sockets)
        })?;
        Ok(Readers { _runtime: runtime, _sockets: sockets, responses: Vec::new() })
    }

    /// Opens HTTP/2 `connections` with `streams` requests each for the next of `paths`, and a window that allows no byte of
    /// a body. Waits until all got a response or an error, up to [`RESPONSE_LIMIT`].
    pub fn http2(
        server: SocketAddr,
        certificate: CertificateDer<'static>,
        paths: &[String],
        connections: usize,
        streams: usize,
    ) -> Result<Readers> {
        let runtime = runtime()?;
        let tls = TlsConnector::from(Arc::new(tls_config(certificate)?));
        let mut paths = paths.iter().cycle();
        let responses = runtime.block_on(async {
            let mut pending = JoinSet::new();
            for _ in 0..connections {
                let stream = tls.connect(ServerName::try_from("localhost")?, connect(server).await?).await?;
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(0);
                let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                for path in paths.by_ref().take(streams) {
                    let request =
                        Request::get(format!("https://localhost{path}")).header("accept-encoding", "identity");
                    let (mut sender, request) = (sender.clone(), request.body(Empty::<Bytes>::new())?);
                    pending.spawn(async move {
                        sender.ready().await?;
                        sender.send_request(request).await
                    });
                }
            }
            let mut responses = Vec::new();
            let all = async {
                while let Some(response) = pending.join_next().await {
                    responses.extend(response.ok().and_then(Result::ok));
                }
            };
            let _ = tokio::time::timeout(RESPONSE_LIMIT, all).await;
            pending.detach_all();
            anyhow::Ok(responses)
        })?;
        Ok(Readers { _runtime: runtime, _sockets: Vec::new(), responses })
    }

    /// The number of HTTP/2 responses by status code.
    pub fn statuses(&self) -> BTreeMap<u16, usize> {
        let mut counts = BTreeMap::new();
        for response in &self.responses {
            *counts.entry(response.status().as_u16()).or_default() += 1;
        }
        counts
    }
}

/// Raises the limit of open files to the maximum.
fn runtime() -> Result<Runtime> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    Ok(Runtime::new()?)
}

fn tls_config(certificate: CertificateDer<'static>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn connect(server: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    Ok(socket.connect(server).await?)
}
