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
use tokio::sync::oneshot;

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
    limit_unsent_bytes(&listener);
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
            Ok((stream, peer)) => connections.spawn(stream, peer),
            // The client disconnected before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if failures.try_acquire() {
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

/// Reloads the certificate; never returns. Without TLS, handles SIGHUP from this call on, as it would end the process.
fn keep_certificate(app: &App) -> impl Future<Output = ()> {
    #[cfg(unix)]
    let hangup = app.tls.is_none().then(|| unix::signal(SignalKind::hangup()));
    async move {
        if let Some(tls) = &app.tls {
            tls.keep_current().await;
        }
        #[cfg(unix)]
        if let Some(Ok(mut hangup)) = hangup {
            while hangup.recv().await.is_some() {
                tracing::info!("SIGHUP: there is no certificate to reload");
            }
        }
        std::future::pending().await
    }
}

/// Limits the kernel's send buffer for the listener's connections. This bounds the memory of slow clients, and makes
/// their progress visible: otherwise the kernel buffers megabytes, and reports progress only after a third of them.
fn limit_unsent_bytes(listener: &TcpListener) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_notsent_lowat(MAX_UNSENT) {
        tracing::warn!("could not set TCP_NOTSENT_LOWAT, very slow clients may be disconnected: {error}");
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = listener;
}

/// Handles SIGTERM and SIGINT from now on. Returns a future for the first signal, and one for the second.
pub fn stop_signals() -> io::Result<(impl Future<Output = &'static str>, impl Future<Output = &'static str>)> {
    let mut signals = Signals::new()?;
    // One listener for both futures: with two listeners, a signal could be merged with one that the other has not
    // received yet.
    let (pass_on, passed_on) = oneshot::channel();
    let first = async move {
        let name = signals.next().await;
        let _ = pass_on.send(signals);
        name
    };
    let second = async {
        match passed_on.await {
            Ok(mut signals) => signals.next().await,
            Err(_) => std::future::pending().await,
        }
    };
    Ok((first, second))
}

struct Signals {
    #[cfg(unix)]
    terminate: unix::Signal,
    #[cfg(unix)]
    interrupt: unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        // Exceeding the file size limit makes the write fail, instead of ending the process.
        let _ = unix::signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> &'static str {
        tokio::signal::ctrl_c().await.map_or("Ctrl-C", |()| "Ctrl-C")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn an_immediate_second_signal_is_not_lost() {
        let (first, second) = stop_signals().unwrap();
        let mut seen = unix::signal(SignalKind::terminate()).unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        assert_eq!(first.await, "SIGTERM");
        seen.recv().await;
        kill_process(getpid(), Signal::TERM).unwrap();
        // The signal was delivered before `second` is polled.
        seen.recv().await;
        let second = tokio::time::timeout(Duration::from_secs(60), second).await;
        assert_eq!(second.expect("the second signal was lost"), "SIGTERM");
    }
}
