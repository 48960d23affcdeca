//! The accept loop, and the graceful shutdown.

pub mod admission;
mod connection;
mod timeouts;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::signal::unix::{self, SignalKind};

use crate::app::App;
use crate::base::log_throttle::LogThrottle;
use connection::Connections;

/// The time limit of a graceful shutdown.
pub const STOP_TIME: Duration = Duration::from_secs(30);
/// The delay after a failed accept, which means that there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The maximum number of unsent bytes that the kernel buffers per connection.
#[cfg(any(target_os = "linux", target_os = "macos"))]
const MAX_UNSENT: u32 = 64 << 10;

/// Serves until `stop` completes; then waits for requests in progress, up to [`STOP_TIME`].
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = &'static str>) {
    bound_unsent(&listener);
    let connections = Arc::new(Connections::new(app.clone()));
    let failures = LogThrottle::default();
    let mut stop = std::pin::pin!(stop);
    let mut certificate = std::pin::pin!(keep_certificate(&app));
    let why = loop {
        let accepted = tokio::select! {
            why = &mut stop => break why,
            () = &mut certificate => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connections.take(stream, peer),
            // The client disconnected before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if failures.is_due() {
                    tracing::warn!("could not accept a connection: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    drop(listener);
    tracing::info!("{why}: accepting no new requests, waiting up to {} s for those in progress", STOP_TIME.as_secs());
    match tokio::time::timeout(STOP_TIME, connections.stop()).await {
        Ok(()) => tracing::info!("stopped, all requests were answered"),
        Err(_) => tracing::warn!("stopped, with requests in progress"),
    }
}

/// Reloads the certificate. Without TLS it catches SIGHUP, which would end the process. Never returns.
async fn keep_certificate(app: &App) {
    match &app.tls {
        Some(tls) => tls.keep_current().await,
        None => {
            #[cfg(unix)]
            if let Ok(mut hangup) = unix::signal(SignalKind::hangup()) {
                while hangup.recv().await.is_some() {
                    tracing::info!("SIGHUP: there is no certificate to reload");
                }
            }
            std::future::pending().await
        }
    }
}

/// Limits the kernel's send buffer for the listener's connections. This bounds the memory of slow clients, and makes
/// their progress visible: otherwise the kernel buffers megabytes, and reports progress only after a third of them.
fn bound_unsent(listener: &TcpListener) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_notsent_lowat(MAX_UNSENT) {
        tracing::warn!("could not set TCP_NOTSENT_LOWAT, very slow clients may be disconnected: {error}");
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = listener;
}

/// Installs handlers for SIGTERM and SIGINT; the future completes after `count` signals.
pub fn signal(count: usize) -> std::io::Result<impl Future<Output = &'static str>> {
    #[cfg(unix)]
    let (mut terminate, mut interrupt) = {
        // Exceeding the file size limit makes the write fail, instead of ending the process.
        let _ = unix::signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        (unix::signal(SignalKind::terminate())?, unix::signal(SignalKind::interrupt())?)
    };
    Ok(async move {
        let mut last = "";
        for _ in 0..count {
            #[cfg(unix)]
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            #[cfg(not(unix))]
            let name = tokio::signal::ctrl_c().await.map_or("Ctrl-C", |()| "Ctrl-C");
            last = name;
        }
        last
    })
}
