//! The accept loop on a given listener, the limits of a connection, and the graceful stop.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use crate::app::App;
use crate::router;

/// Time for a request's head to come in; also what an idle connection is kept open for.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Time for requests under way to end after a stop was asked for.
pub const STOP_TIME: Duration = Duration::from_secs(30);
/// What to wait for after a failed accept: it fails where file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is done; then lets running requests end, for [`STOP_TIME`] at most.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = &'static str>) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    let why = loop {
        let accepted = tokio::select! {
            why = &mut stop => break why,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers go out at once.
        let _ = stream.set_nodelay(true);
        let app = app.clone();
        let service = service_fn(move |request| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(router::handle(app, request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended early: {error}");
            }
        });
    };
    drop(listener);
    tracing::info!("{why}: no new requests are taken, those under way have {} s to end", STOP_TIME.as_secs());
    match tokio::time::timeout(STOP_TIME, graceful.shutdown()).await {
        Ok(()) => tracing::info!("stopped, every request was answered"),
        Err(_) => tracing::warn!("stopped, with requests still under way"),
    }
}

/// Asks to be told of SIGTERM and SIGINT, from now on; the future is done on the first of them.
pub fn signal() -> std::io::Result<impl Future<Output = &'static str>> {
    #[cfg(unix)]
    let (mut terminate, mut interrupt) = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    Ok(async move {
        #[cfg(unix)]
        return tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            "Ctrl-C"
        }
    })
}
