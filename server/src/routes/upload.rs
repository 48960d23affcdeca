//! `POST /coverage/create-site/` and, where the store cannot sign addresses, `PUT /coverage/{site_id}.zip`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answers::response::{Body, RouteResult};
use crate::app::App;
use crate::base::random::{hex, random};
use crate::error::Error;
use crate::identity::api_keys::Uploader;
use crate::identity::token::WorkflowRun;
use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::names::site::SiteId;
use crate::reports::archive::ArchiveError;
use crate::reports::sites::IndexError;
use crate::routes::query::parameter;
use crate::routes::stall_timeout_body::StallTimeoutBody;
use crate::routes::{authenticate, authorize_upload};
use crate::store::error::StorageError;
use crate::store::presigner::{UPLOAD_TIME, UploadTarget};
use crate::store::sts::GrantError;
use crate::telemetry::metrics::{UploadEvent, UploadKind, metrics};
use crate::telemetry::trace;

/// The maximum number of attempts to find an unused ID.
const MAX_ID_ATTEMPTS: usize = 5;
/// The size of the parts written to the store.
const PART_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
pub(crate) struct NewSite {
    pub(crate) repository: String,
    commit_sha: String,
    pub(crate) name: Option<String>,
    /// The announced size of the zip.
    size: Option<u64>,
}

/// `sites/{site_id}.json`.
#[derive(Serialize)]
struct Record<'a> {
    repository: String,
    commit_sha: &'a str,
    name: Option<String>,
    size: Option<u64>,
    created_at: Timestamp,
    /// How the uploader authenticated.
    created_by: &'static str,
    /// The workflow run of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a WorkflowRun>,
}

#[derive(Serialize)]
struct Session<'a> {
    site_id: String,
    /// The URL of the report.
    url: String,
    /// The public address, for the URLs of badges.
    public_url: &'a str,
    upload: Upload,
}

#[derive(Serialize)]
struct Upload {
    method: &'static str,
    url: String,
    headers: serde_json::Map<String, serde_json::Value>,
    expires_at: Timestamp,
    max_bytes: u64,
}

/// Creates a site, and returns where to upload its report.
pub async fn create(app: &App, client: IpAddr, headers: &HeaderMap, body: Incoming) -> RouteResult {
    let (uploader, new) = authenticate::<NewSite>(app, client, headers, body).await?;
    let Some(new) = new else {
        // Without a repository, any API key is enough; a token is valid for one repository only.
        return match uploader {
            Uploader::Keys(_) => create_by_file(app).await,
            Uploader::Run(_) => Err(Error::forbidden(
                "an upload with an OIDC token needs a JSON body that names the repository: use the covered action",
            )),
        };
    };
    let repository: Repository = new.repository.parse().map_err(Error::bad_request)?;
    authorize_upload(app, &uploader, &repository).await?;
    let name: Option<ReportName> = match new.name.as_deref() {
        None | Some("") => None,
        Some(name) => Some(name.parse().map_err(Error::bad_request)?),
    };
    if let Some(size) = new.size.filter(|size| *size > app.max_report_bytes) {
        return Err(too_large(Some(size), app.max_report_bytes));
    }
    let run = match &uploader {
        Uploader::Run(run) => Some(run.as_ref()),
        Uploader::Keys(_) => None,
    };
    let now = Timestamp::now();
    let record = Record {
        repository: repository.to_string(),
        commit_sha: commit_sha(&new.commit_sha)?,
        name: name.map(|name| name.to_string()),
        size: new.size,
        created_at: now,
        created_by: if run.is_some() { "oidc" } else { "api-key" },
        run,
    };
    let record_bytes = serde_json::to_vec(&record).map_err(Error::internal)?;
    let site = create_with_unused_id(app, SiteId::record_key, &record_bytes).await?;
    app.values.invalidate_absent(&repository).await;
    metrics().count_upload(UploadKind::Zip, UploadEvent::Opened);
    tracing::info!(site = SiteId::short(&site.to_string()), %repository, commit = record.commit_sha, "created a site");
    session(app, &site, now).await
}

/// Validates a commit ID: 40 hex characters, or 64 with SHA-256.
pub fn commit_sha(text: &str) -> Result<&str, Error> {
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex && matches!(text.len(), 40 | 64) {
        Ok(text)
    } else {
        Err(Error::bad_request("commit_sha must be a full commit ID of 40 hexadecimal characters"))
    }
}

/// Creates a site with an unused ID, by creating its first object.
async fn create_with_unused_id(app: &App, key: fn(&SiteId) -> String, object: &[u8]) -> Result<SiteId, Error> {
    for _ in 0..MAX_ID_ATTEMPTS {
        let site = SiteId::random().map_err(Error::internal)?;
        match app.storage.create(&key(&site), object.to_vec()).await {
            Ok(()) => return Ok(site),
            Err(StorageError::Exists) => {}
            Err(error) => return Err(Error::storage(error)),
        }
    }
    Err(Error::storage(anyhow::anyhow!(
        "{MAX_ID_ATTEMPTS} random site IDs were all taken: check that the store can create objects"
    )))
}

/// Creates a site for the Python CLI, and returns credentials that can write the files of this site only.
async fn create_by_file(app: &App) -> RouteResult {
    if !app.storage.has_upload_role() {
        return Err(Error::not_implemented(
            "a request without a JSON body asks for temporary S3 credentials, as the Python CLI does: this needs \
             a server with an S3 bucket and AWS_UPLOAD_ROLE_ARN; the covered action without `files` does not",
        ));
    }
    let site = create_with_unused_id(app, SiteId::reservation_key, b"").await?;
    tracing::info!(site = SiteId::short(&site.to_string()), "created a site for single files");
    let grant = match app.storage.grant(&site).await {
        Some(Ok(grant)) => grant,
        Some(Err(error @ GrantError::Refused { .. })) => {
            let hint =
                "the role's trust policy must name the server's user or role, which needs the right sts:AssumeRole";
            return Err(Error::bad_gateway(format!("{error}: {hint}"), None));
        }
        Some(Err(error)) => {
            let detail = format!("{error}: try again later; see the server's log");
            return Err(Error::bad_gateway(detail, Some(error.into())));
        }
        None => return Err(Error::internal(anyhow::anyhow!("the role is gone"))),
    };
    metrics().count_upload(UploadKind::Files, UploadEvent::Opened);
    Ok(app.responses.json(&json!({
        "site_id": site.to_string(),
        "bucket": grant.bucket,
        "region": grant.region,
        "access_key_id": grant.access_key_id,
        "secret_access_key": grant.secret_access_key.expose(),
        "session_token": grant.session_token.expose(),
    })))
}

async fn session(app: &App, site: &SiteId, now: Timestamp) -> RouteResult {
    let expires_at = now + SignedDuration::try_from(UPLOAD_TIME).map_err(Error::internal)?;
    let (url, headers) = match app.storage.upload_target(site).await.map_err(Error::storage)? {
        UploadTarget::Presigned { url, headers } => (url.to_string(), headers),
        UploadTarget::Server => {
            let expires = expires_at.as_second();
            let signature = app.upload_signer.sign(site, expires);
            let url = format!("{}/coverage/{site}.zip?expires={expires}&signature={signature}", app.public_url);
            (url, vec![("content-type", "application/zip")])
        }
    };
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let upload =
        Upload { method: "PUT", url, headers, expires_at: round_down(expires_at), max_bytes: app.max_report_bytes };
    Ok(app.responses.json(&Session {
        site_id: site.to_string(),
        url: app.reports.url(site),
        public_url: &app.public_url,
        upload,
    }))
}

fn round_down(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn too_large(size: Option<u64>, limit: u64) -> Error {
    let size = size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
    Error::too_large(format!(
        "the report{size} is larger than this server's limit of {limit} bytes: ask its operator to raise MAX_REPORT_BYTES"
    ))
}

/// Receives the zip of a site: streams it into the store, verifies it and publishes it.
pub async fn put(app: &Arc<App>, site: &str, query: Option<&str>, body: Incoming) -> RouteResult {
    let site: SiteId = site.parse().map_err(|()| Error::not_found("there is no such site"))?;
    check_signature(app, &site, query)?;
    let shared = app.clone();
    // In a separate task, which cleans up if the client disconnects.
    let task = async move {
        let app = shared;
        let mut body = StallTimeoutBody::new(body, &app.limits);
        let received = match app.uploads.try_acquire() {
            Ok(_permit) => receive(&app, &site, &mut body).await,
            Err(_) => Err(Error::overloaded("too many uploads are in progress: try again in a few seconds")),
        };
        if received.is_err() {
            body.drain(app.max_report_bytes).await;
        }
        received
    };
    trace::spawn(task).await.map_err(Error::internal)??;
    let mut response = app.responses.of(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

fn check_signature(app: &App, site: &SiteId, query: Option<&str>) -> Result<(), Error> {
    let expires = parameter(query, "expires").and_then(|text| text.parse::<i64>().ok());
    let (Some(expires), Some(signature)) = (expires, parameter(query, "signature")) else {
        return Err(Error::unauthorized("this upload address is incomplete: use the one from create-site unchanged"));
    };
    if !app.upload_signer.verify(site, expires, &signature) {
        return Err(Error::forbidden(
            "this upload address has no valid signature for this site: use the one from create-site unchanged",
        ));
    }
    if expires < Timestamp::now().as_second() {
        return Err(Error::forbidden(format!(
            "this upload address was valid for {} minutes and has expired: request a new one from create-site",
            UPLOAD_TIME.as_secs() / 60
        )));
    }
    Ok(())
}

async fn receive(app: &App, site: &SiteId, body: &mut StallTimeoutBody) -> Result<(), Error> {
    let limit = app.max_report_bytes;
    if let Some(size) = body.size().filter(|size| *size > limit) {
        return Err(too_large(Some(size), limit));
    }
    let conflict =
        || Error::conflict("this site already has a report: request a new site from create-site for each report");
    if app.storage.exists(&site.zip_key()).await.map_err(Error::storage)? {
        return Err(conflict());
    }
    let staging = site.staging_key(&hex(&random::<8>().map_err(Error::internal)?));
    stage(app, &staging, body, limit).await?;
    let published = match app.sites.read_index(&staging).await {
        Ok(_) => app.storage.publish(&staging, &site.zip_key()).await.map_err(|error| match error {
            StorageError::Exists => conflict(),
            other => Error::storage(other),
        }),
        Err(IndexError::Archive(why)) => Err(unusable(&why)),
        Err(IndexError::Storage(error)) => Err(Error::storage(error)),
        Err(IndexError::OutOfMemory(error)) => Err(error.into()),
    };
    if published.is_err()
        && let Err(error) = app.storage.delete(&staging).await
    {
        tracing::warn!(%staging, "could not remove a rejected upload: {:#}", anyhow::Error::from(error));
    }
    published
}

fn unusable(why: &ArchiveError) -> Error {
    let raise = why.limit().map(|setting| format!(": its operator can raise {setting}"));
    let raise = raise.map(|raise| format!(", which exceeds this server's limit{raise}")).unwrap_or_default();
    Error::unusable(format!("invalid report: {why}{raise}"))
}

/// Writes the body into the store; removes it on failure.
async fn stage(app: &App, staging: &str, body: &mut StallTimeoutBody, limit: u64) -> Result<(), Error> {
    let mut writer = app.storage.begin(staging).await.map_err(Error::storage)?;
    let copied = async {
        let (mut part, mut size) = (BytesMut::with_capacity(PART_BYTES), 0);
        while let Some(bytes) = body.next().await? {
            size += bytes.len() as u64;
            if size > limit {
                return Err(too_large(None, limit));
            }
            part.extend_from_slice(&bytes);
            if part.len() >= PART_BYTES {
                writer.write(part.split().freeze()).await.map_err(Error::storage)?;
            }
        }
        if !part.is_empty() {
            writer.write(part.freeze()).await.map_err(Error::storage)?;
        }
        Ok(())
    };
    match copied.await {
        Ok(()) => writer.finish().await.map_err(Error::storage),
        Err(error) => {
            if let Err(error) = writer.abort().await {
                tracing::warn!(%staging, "could not remove an unfinished upload: {:#}", anyhow::Error::from(error));
            }
            Err(error)
        }
    }
}
