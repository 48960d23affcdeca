//! `GET /`, `/healthz`, `/readyz`.

use std::time::Duration;

use serde_json::json;

use crate::answers::pages;
use crate::answers::response::{Answer, NEVER};
use crate::app::App;
use crate::cache::RedisState;
use crate::error::Error;

/// Time for the store to show that it answers.
const READY_TIME: Duration = Duration::from_secs(5);

/// What this server is, for a person.
pub fn home(app: &App) -> Answer {
    Ok(app.answers.page(pages::home(&app.public_url, app.is_keyless())))
}

/// Nothing here is for search engines: a link is the key to a report.
pub fn robots(app: &App) -> Answer {
    Ok(app.answers.ok("text/plain; charset=utf-8", "public, max-age=86400", "User-agent: *\nDisallow: /\n"))
}

/// The process lives.
pub fn healthz(app: &App) -> Answer {
    Ok(app.answers.json(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})))
}

/// The store answers. Redis is told of, but not waited for: without it badges answer as well.
pub async fn readyz(app: &App) -> Answer {
    match tokio::time::timeout(READY_TIME, app.storage.check()).await {
        Ok(Ok(())) => {
            let mut body = json!({"status": "ready", "storage": "ok"});
            if let Some(state) = app.values.redis() {
                body["redis"] = if state == RedisState::Up { "ok" } else { "down" }.into();
            }
            Ok(app.answers.ok("application/json", NEVER, body.to_string()))
        }
        Ok(Err(error)) => {
            Err(Error::unavailable("the storage does not answer as it should: the cause is in the server's log", error))
        }
        Err(_) => Err(Error::unavailable(
            "the storage does not answer in time",
            anyhow::anyhow!("no answer from {} within {READY_TIME:?}", app.storage.name()),
        )),
    }
}
