//! `GET /`, `/healthz`, `/readyz`.

use std::time::Duration;

use serde_json::json;

use crate::answers::pages;
use crate::answers::response::{NO_STORE, RouteResult};
use crate::app::App;
use crate::cache::RedisState;
use crate::error::Error;

/// The time limit for the check of the store.
const READY_TIME: Duration = Duration::from_secs(5);

/// The home page.
pub fn home(app: &App) -> RouteResult {
    Ok(app.responses.page(pages::home(&app.public_url, app.is_keyless())))
}

/// No search engine may index reports, as their links grant access.
pub fn robots(app: &App) -> RouteResult {
    Ok(app.responses.ok("text/plain; charset=utf-8", "public, max-age=86400", "User-agent: *\nDisallow: /\n"))
}

/// Liveness: the process is running.
pub fn healthz(app: &App) -> RouteResult {
    Ok(app.responses.json(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})))
}

/// Readiness: the store responds. The state of Redis is reported too, but the server works without it.
pub async fn readyz(app: &App) -> RouteResult {
    match tokio::time::timeout(READY_TIME, app.storage.check()).await {
        Ok(Ok(())) => {
            let mut body = json!({"status": "ready", "storage": "ok"});
            if let Some(state) = app.values.redis() {
                body["redis"] = if state == RedisState::Up { "ok" } else { "down" }.into();
            }
            Ok(app.responses.ok("application/json", NO_STORE, body.to_string()))
        }
        Ok(Err(error)) => Err(Error::unavailable("the storage failed: see the server's log", error)),
        Err(_) => Err(Error::unavailable(
            "the storage did not respond in time",
            anyhow::anyhow!("no answer from {} within {READY_TIME:?}", app.storage.name()),
        )),
    }
}
