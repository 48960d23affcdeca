//! Serves a connection: admission, TLS, HTTP version, requests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, Either};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch as channel;
use tokio_rustls::server::TlsStream;

use crate::app::App;
use crate::network::limits::NetworkLimits;
use crate::network::tls::Tls;
use crate::routes::request_log::LoggedBody;
use crate::routes::router::{self, Caller};
use crate::serve::admission::{Admission, ConnectionPermit};
use crate::serve::timeouts::{ConnectionActivity, ConnectionError, Phase, SendingBody, Socket, with_timeouts};
use crate::telemetry::metrics::metrics;

/// The maximum size of a request head in bytes.
const MAX_HEAD: usize = 32 << 10;
/// The maximum number of bytes that wait to be written, per connection and per stream; also the size of the read
/// buffer.
const MAX_WAITING: usize = 32 << 10;
/// The maximum number of concurrent requests on an HTTP/2 connection: enough for a report's page.
const MAX_STREAMS: u32 = 100;
/// The number of concurrent requests that a connection always may have. Further ones need memory of the budget for
/// requests, so that a few connections cannot use it up.
const GUARANTEED_STREAMS: usize = 8;
/// HTTP/2 flow control: bytes that a client may send before the server reads them, per stream and per connection. About
/// the protocol's default; hyper's default is 1 MiB.
const FLOW_CONTROL_WINDOW: u32 = 64 << 10;
/// The maximum numbers of streams that a peer resets before they are handled, and that end with a protocol error of the
/// peer. Further ones close the connection: they cost the server work, and the peer nothing.
const MAX_RESET: usize = 20;
const MAX_ERRORS: usize = 100;
const HTTPS_ONLY_RESPONSE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
    {\"detail\":\"this port uses HTTPS: begin the address with https://\"}";
/// The time limits of connections above the limit.
const REJECTED_TIMEOUT: Duration = Duration::from_secs(5);

/// Signals that the server stops.
type Stop = channel::Receiver<()>;

/// A plain or a TLS stream.
trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// The state shared by all connections.
pub struct Connections {
    app: Arc<App>,
    admission: Arc<Admission>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    limits: NetworkLimits,
    limits_without_permit: NetworkLimits,
    stop: channel::Sender<()>,
}

impl Connections {
    pub fn new(app: Arc<App>) -> Self {
        let mut http1 = http1::Builder::new();
        // The time limits are in `timeouts`.
        http1.header_read_timeout(None).max_header_size(MAX_HEAD).max_buf_size(MAX_WAITING);
        // hyper limits reset floods by default; `timeouts` detects lost peers.
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2.max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEAD as u32).max_send_buf_size(MAX_WAITING);
        http2.initial_stream_window_size(FLOW_CONTROL_WINDOW).initial_connection_window_size(FLOW_CONTROL_WINDOW);
        http2.max_pending_accept_reset_streams(MAX_RESET).max_local_error_reset_streams(MAX_ERRORS);
        let limits = app.limits.clone();
        let limits_without_permit = NetworkLimits {
            header: limits.header.min(REJECTED_TIMEOUT),
            stall: limits.stall.min(REJECTED_TIMEOUT),
            // Close after one request.
            idle: Duration::ZERO,
            ..limits.clone()
        };
        let admission = Arc::new(Admission::new(limits.connections, limits.connections_per_address));
        Self { app, admission, http1, http2, limits, limits_without_permit, stop: channel::Sender::new(()) }
    }

    /// Spawns a task that serves the connection.
    pub fn spawn(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let peer = peer.ip();
        let counted = (!self.app.proxies.trusts(peer)).then_some(peer);
        let Some(permit) = self.admission.admit(counted) else {
            return;
        };
        // Send small responses at once.
        let _ = stream.set_nodelay(true);
        let (connections, stop) = (self.clone(), self.stop.subscribe());
        tokio::spawn(async move {
            let _open = metrics().count_connection();
            if let Err(error) = connections.serve(stream, peer, permit, stop).await {
                tracing::debug!(%peer, "a connection ended early: {error}");
            }
        });
    }

    /// Shuts all connections down gracefully.
    pub async fn stop(&self) {
        let _ = self.stop.send(());
        self.stop.closed().await;
    }

    async fn serve(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        permit: ConnectionPermit,
        mut stop: Stop,
    ) -> Result<(), ConnectionError> {
        let activity = Arc::new(ConnectionActivity::default());
        let Some(tls) = &self.app.tls else {
            return self.http1(Socket::new(stream, activity.clone()), activity, peer, &permit, stop).await;
        };
        // Boxed to save memory of connections without TLS.
        let accepted = Box::pin(tls_handshake(tls, stream, &activity));
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(self.limits(&permit).header, accepted) => accepted,
            // There is no request yet.
            _ = stop.changed() => return Ok(()),
        };
        let mut io = accepted.unwrap_or(Err(ConnectionError::TooSlow(Phase::Head)))?;
        // Limit the encrypted bytes that wait to be written.
        io.get_mut().1.set_buffer_limit(Some(MAX_WAITING));
        if io.get_ref().1.alpn_protocol() == Some(b"h2") {
            Box::pin(self.http2(io, activity, peer, &permit, stop)).await
        } else {
            Box::pin(self.http1(io, activity, peer, &permit, stop)).await
        }
    }

    async fn http1(
        &self,
        io: impl Io,
        activity: Arc<ConnectionActivity>,
        peer: IpAddr,
        permit: &ConnectionPermit,
        stop: Stop,
    ) -> Result<(), ConnectionError> {
        let service = service(self.app.clone(), activity.clone(), Caller { peer, rejection: permit.rejection }, false);
        let connection = self.http1.serve_connection(TokioIo::new(io), service);
        with_timeouts(connection, &activity, self.limits(permit), &self.app.memory, stop).await
    }

    async fn http2(
        &self,
        io: impl Io,
        activity: Arc<ConnectionActivity>,
        peer: IpAddr,
        permit: &ConnectionPermit,
        stop: Stop,
    ) -> Result<(), ConnectionError> {
        activity.set_multiplexed();
        let service = service(self.app.clone(), activity.clone(), Caller { peer, rejection: permit.rejection }, true);
        let connection = self.http2.serve_connection(TokioIo::new(io), service);
        with_timeouts(connection, &activity, self.limits(permit), &self.app.memory, stop).await
    }

    fn limits(&self, permit: &ConnectionPermit) -> &NetworkLimits {
        if permit.rejection.is_some() { &self.limits_without_permit } else { &self.limits }
    }
}

/// Passes requests to the router, and records them in the connection's activity.
fn service(
    app: Arc<App>,
    activity: Arc<ConnectionActivity>,
    caller: Caller,
    is_multiplexed: bool,
) -> impl Service<
    Request<Incoming>,
    Response = Response<SendingBody<LoggedBody>>,
    Error = h2::Error,
    Future = impl Future<Output = Result<Response<SendingBody<LoggedBody>>, h2::Error>> + Send + 'static,
> {
    service_fn(move |request| {
        let is_counted = is_multiplexed && activity.active_requests() >= GUARANTEED_STREAMS;
        let reservation = is_counted.then(|| app.memory.try_reserve_for_request());
        if let Some(None) = reservation {
            return Either::Left(future::ready(Err(h2::Reason::REFUSED_STREAM.into())));
        }
        let active_request = activity.begin_request(reservation.flatten());
        let response = router::handle(&app, caller, request);
        Either::Right(response.map(|response| Ok(response.map(|body| active_request.begin_sending(body)))))
    })
}

/// Performs the TLS handshake. A client that uses plain HTTP receives an explanation.
async fn tls_handshake(
    tls: &Tls,
    mut stream: TcpStream,
    activity: &Arc<ConnectionActivity>,
) -> Result<TlsStream<Socket>, ConnectionError> {
    let broken = |error: io::Error| ConnectionError::Broken(error.into());
    let mut first = [0];
    stream.peek(&mut first).await.map_err(broken)?;
    // HTTP begins with the first letter of a method, a TLS handshake with 22.
    if first[0].is_ascii_uppercase() {
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(HTTPS_ONLY_RESPONSE.as_bytes()).await.map_err(broken)?;
        let _ = stream.shutdown().await;
        return Err(ConnectionError::Broken("plain HTTP on the HTTPS port".into()));
    }
    tls.acceptor().accept(Socket::new(stream, activity.clone())).await.map_err(broken)
}
