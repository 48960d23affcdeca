//! One connection: a place for it, TLS, the protocol, and its requests.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::admission::{Admission, Place};
use super::watch::{Ended, Pulse, Socket, watch};
use crate::app::App;
use crate::config::NetworkLimits;
use crate::router::{self, Caller};

/// Bytes of a request's head: addresses and cookies of a reasonable size.
const MAX_HEAD: usize = 32 << 10;
/// Bytes of an answer that wait on a connection for the peer to read.
const MAX_WAITING: usize = 64 << 10;
/// Time that a connection without a place has for anything.
const TURNED_AWAY_TIME: Duration = Duration::from_secs(5);

/// What all connections share.
pub struct Connections {
    app: Arc<App>,
    admission: Arc<Admission>,
    http1: http1::Builder,
    limits: NetworkLimits,
    limits_without_place: NetworkLimits,
    stop: watch::Sender<()>,
}

impl Connections {
    pub fn new(app: Arc<App>) -> Self {
        let mut http1 = http1::Builder::new();
        // The time limits are the watch's.
        http1.header_read_timeout(None).max_header_size(MAX_HEAD).max_buf_size(MAX_WAITING);
        let limits = app.limits.clone();
        let limits_without_place = NetworkLimits {
            header: limits.header.min(TURNED_AWAY_TIME),
            stall: limits.stall.min(TURNED_AWAY_TIME),
            // One request, and that was it.
            idle: Duration::ZERO,
            ..limits.clone()
        };
        let admission = Arc::new(Admission::new(limits.connections, limits.connections_per_address));
        Self { app, admission, http1, limits, limits_without_place, stop: watch::Sender::new(()) }
    }

    /// Serves a connection in a task of its own.
    pub fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let peer = peer.ip();
        let counted = (!self.app.proxies.trusts(peer)).then_some(peer);
        let Some(place) = self.admission.admit(counted) else {
            return;
        };
        // Small answers go out at once.
        let _ = stream.set_nodelay(true);
        let (connections, stop) = (self.clone(), self.stop.subscribe());
        tokio::spawn(async move {
            if let Err(error) = connections.serve(stream, peer, place, stop).await {
                tracing::debug!(%peer, "a connection ended early: {error}");
            }
        });
    }

    /// Asks all connections to end, and waits until they did.
    pub async fn stop(&self) {
        let _ = self.stop.send(());
        self.stop.closed().await;
    }

    async fn serve(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        place: Place,
        stop: watch::Receiver<()>,
    ) -> Result<(), Ended> {
        let pulse = Arc::new(Pulse::default());
        let socket = Socket::new(stream, pulse.clone());
        self.http1(socket, pulse, peer, &place, stop).await
    }

    async fn http1(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        pulse: Arc<Pulse>,
        peer: IpAddr,
        place: &Place,
        stop: watch::Receiver<()>,
    ) -> Result<(), Ended> {
        let limits = if place.refusal.is_some() { &self.limits_without_place } else { &self.limits };
        let caller = Caller { peer, refusal: place.refusal };
        let (app, requests) = (self.app.clone(), pulse.clone());
        let service = service_fn(move |request| {
            let (app, request_begun) = (app.clone(), requests.request());
            async move {
                let answer = router::handle(app, caller, request).await;
                Ok::<_, Infallible>(answer.map(|body| request_begun.answered(body)))
            }
        });
        watch(self.http1.serve_connection(TokioIo::new(io), service), &pulse, limits, stop).await
    }
}
