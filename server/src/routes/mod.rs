//! The routes: each is a function from a request to an [`crate::answers::response::RouteResult`].

pub mod badge;
pub mod files;
pub mod ops;
pub mod purge;
pub(crate) mod query;
pub mod range;
pub mod report;
pub(crate) mod request_log;
pub mod router;
mod stall_timeout_body;
pub mod upload;

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Incoming};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::Error;
use crate::identity::api_keys::Uploader;
use crate::identity::bindings;
use crate::names::repository::Repository;
use crate::routes::stall_timeout_body::StallTimeoutBody;
use crate::telemetry::metrics::{KeylessResult, metrics};

/// The maximum size of a JSON body.
const MAX_JSON: usize = 64 << 10;

/// Authenticates the uploader and reads the JSON body.
async fn authenticate<'a, T: DeserializeOwned>(
    app: &'a App,
    client: IpAddr,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<(Uploader<'a>, Option<T>), Error> {
    match app.authenticate(client, headers).await {
        Ok(uploader) => Ok((uploader, json_body(body, app.limits.header).await?)),
        Err(error) => {
            let mut body = StallTimeoutBody::new(body, &app.limits);
            let _ = tokio::time::timeout(app.limits.header, body.drain(MAX_JSON as u64)).await;
            Err(error)
        }
    }
}

/// Checks that the server allows the repository and that the uploader's key or token is valid for it. The first token of
/// a repository binds its name.
async fn authorize_upload(app: &App, uploader: &Uploader<'_>, repository: &Repository) -> Result<(), Error> {
    let not_allowed = |name: &dyn std::fmt::Display| {
        Error::forbidden(format!(
            "{name} is not in this server's ALLOWED_REPOSITORIES: ask the server's operator to add it"
        ))
    };
    let Uploader::Run(run) = uploader else {
        let allowed = app.allowed.allows_name(repository).await.map_err(bindings::unreadable)?;
        return if allowed { uploader.authorize(repository) } else { Err(not_allowed(repository)) };
    };
    let authorized = async {
        uploader.authorize(repository)?;
        if !app.allowed.allows_run(run) {
            let ids = format_args!("{repository} (id:{}, owner-id:{})", run.repository_id, run.owner_id);
            return Err(not_allowed(&ids));
        }
        app.allowed.bindings.bind(run).await
    }
    .await;
    metrics().count_keyless_request(
        authorized.as_ref().map_or_else(|error| KeylessResult::of(error.status), |()| KeylessResult::Ok),
    );
    authorized
}

/// Reads a JSON body; `None` if the body is empty. `limit`: the time limit.
async fn json_body<T, B>(body: B, limit: Duration) -> Result<Option<T>, Error>
where
    T: DeserializeOwned,
    B: HttpBody,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = tokio::time::timeout(limit, Limited::new(body, MAX_JSON).collect());
    let bytes = match collected.await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Error::too_large(format!("the body is larger than {MAX_JSON} bytes")));
        }
        Ok(Err(_)) => return Err(Error::bad_request("the connection closed before the end of the body")),
        Err(_) => {
            return Err(Error::timeout(format!("the body took more than {} s", limit.as_secs_f64())));
        }
    };
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::bad_request(format!("the body is not the expected JSON: {error}")))
}
