//! Writes, reads and deletes a test object as the server does with a report, and tests uploads.

use std::path::Path;

use crate::check::finding::{Finding, REQUEST_TIMEOUT};
use crate::check::probe::{PART, PROBE, describe};
use crate::check::rights;
use crate::config::Config;
use crate::names::object::STAGING;
use crate::names::site::SiteId;
use crate::store::error::StorageError;
use crate::store::presigner::UploadTarget;
use crate::store::settings::StorageConfig;
use crate::store::storage::Storage;
use crate::store::sts::{Grant, GrantError};

const UPLOAD: &str = "upload address";
const ROLE: &str = "upload role";
/// Less free space than this is reported.
const LOW_SPACE: u64 = 1 << 30;

pub async fn check(config: &Config) -> Vec<Finding> {
    let storage = match Storage::new(&config.storage, config.upload_role.as_deref()) {
        Ok(storage) => storage,
        Err(error) => return vec![Finding::fail(PART, format!("{error:#}"))],
    };
    let mut findings = Vec::new();
    if let StorageConfig::Memory = config.storage {
        findings.push(Finding::note(PART, "memory:// loses all reports when the server stops"));
    }
    let site = match SiteId::random() {
        Ok(site) => site,
        Err(error) => return vec![Finding::fail(PART, format!("{error:#}"))],
    };
    // In a folder, unfinished reports are in the staging folder.
    let is_bucket = matches!(config.storage, StorageConfig::Bucket { .. });
    let key = if is_bucket { site.file_key("probe") } else { format!("{STAGING}/{site}") };
    match write_and_read(&storage, &key).await {
        Ok(()) => findings.push(Finding::ok(PART, format!("{}: wrote and read a test object", storage.name()))),
        Err(what) => {
            findings.push(Finding::fail(PART, format!("{}: {what}", storage.name())));
            return findings;
        }
    }
    findings.extend(delete(&storage, &key).await);
    if let StorageConfig::Files(path) = &config.storage {
        findings.extend(check_folder(path));
    }
    if is_bucket {
        findings.extend(rights::check(config, &storage, &site).await);
        findings.extend(upload(&storage).await);
    }
    if config.upload_role.is_some() {
        findings.extend(role(config, &storage).await);
    }
    findings
}

async fn write_and_read(storage: &Storage, key: &str) -> Result<(), String> {
    storage
        .create(key, PROBE.to_vec())
        .await
        .map_err(|error| describe("cannot be written (on S3: s3:PutObject on sites/*)", error))?;
    match storage.create(key, PROBE.to_vec()).await {
        Err(StorageError::Exists) => {}
        Ok(()) => return Err("overwrites existing objects, so reports could be replaced: use a store that supports conditional writes (If-None-Match)".to_owned()),
        Err(error) => return Err(describe("cannot write conditionally (If-None-Match)", error)),
    }
    let unreadable = |error| describe("cannot be read (on S3: s3:GetObject on sites/*)", error);
    let stored = storage.get(key).await.map_err(unreadable)?;
    let end = storage.tail(key, 5).await.map_err(|error| describe("cannot be read in part", error))?;
    if stored.bytes != PROBE || !PROBE.ends_with(&end.bytes) || end.bytes.len() != 5 {
        return Err("returned other bytes than the server wrote".to_owned());
    }
    Ok(())
}

/// The README's policy does not include the right to delete, so a leftover test object is not a failure.
async fn delete(storage: &Storage, key: &str) -> Option<Finding> {
    let error = storage.delete(key).await.err()?;
    tracing::debug!("{:#}", anyhow::Error::from(error));
    Some(Finding::note(
        PART,
        format!("could not delete the test object {key}: harmless, the server needs no right to delete"),
    ))
}

/// Checks the folder's permissions and its free space.
fn check_folder(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
        if let Ok(mode) = mode
            && mode & 0o007 != 0
        {
            findings.push(Finding::note(
                "folder",
                format!(
                    "{} has mode {mode:o}: every user of this machine can list it, and its file names give access to \
                     the reports; run chmod 700",
                    path.display()
                ),
            ));
        }
        if let Ok(space) = rustix::fs::statvfs(path) {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let text = format!("{:.1} GiB free in {}", free as f64 / f64::from(1 << 30), path.display());
            findings.push(match free < LOW_SPACE {
                true => Finding::note("folder", format!("{text}: make room")),
                false => Finding::ok("folder", text),
            });
        }
    }
    findings
}

/// Uploads a test object with a signed address, as an uploader does.
async fn upload(storage: &Storage) -> Vec<Finding> {
    let Ok(site) = SiteId::random() else { return Vec::new() };
    let (url, headers) = match storage.upload_target(&site).await {
        Ok(UploadTarget::Presigned { url, headers }) => (url, headers),
        Ok(UploadTarget::Server) => return Vec::new(),
        Err(error) => return vec![Finding::fail(UPLOAD, describe("could not sign an upload address", error))],
    };
    let key = site.zip_key();
    let client = match reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => return vec![Finding::fail(UPLOAD, error.to_string())],
    };
    let request = headers.iter().fold(client.put(url), |request, (name, value)| request.header(*name, *value));
    match request.body(PROBE).send().await {
        Ok(response) if response.status().is_success() => {}
        Ok(response) => {
            let what = format!(
                "the store rejected a signed upload with {}: check that it supports presigned PUT requests",
                response.status()
            );
            return vec![Finding::fail(UPLOAD, what)];
        }
        // The address grants write access: do not show it.
        Err(error) => {
            let error = anyhow::Error::from(error.without_url());
            return vec![Finding::fail(UPLOAD, format!("a signed upload failed: {error:#}"))];
        }
    }
    let mut findings = vec![match storage.get(&key).await {
        Ok(stored) if stored.bytes == PROBE => Finding::ok(UPLOAD, "uploaded a test object by a signed address"),
        Ok(_) => Finding::fail(UPLOAD, "a signed upload stored other bytes than were sent"),
        Err(error) => Finding::fail(UPLOAD, describe("cannot read a signed upload", error)),
    }];
    findings.extend(delete(storage, &key).await);
    findings
}

/// Assumes the upload role for one site, and checks that its credentials can write to this site only.
async fn role(config: &Config, storage: &Storage) -> Vec<Finding> {
    let (Ok(own), Ok(other)) = (SiteId::random(), SiteId::random()) else { return Vec::new() };
    let grant = match storage.grant(&own).await {
        Some(Ok(grant)) => grant,
        Some(Err(error @ GrantError::Refused { .. })) => {
            let hint = "name the server's user or role in its trust policy, and allow that one sts:AssumeRole";
            return vec![Finding::fail(ROLE, format!("{error}: {hint}"))];
        }
        Some(Err(error)) => {
            let error = anyhow::Error::from(error);
            return vec![Finding::fail(ROLE, format!("{error:#}: check AWS_REGION and AWS_ENDPOINT_URL_STS"))];
        }
        None => return Vec::new(),
    };
    let session = match as_uploader(&config.storage, &grant) {
        Ok(session) => session,
        Err(error) => return vec![Finding::fail(ROLE, format!("{error:#}"))],
    };
    let (own_key, other_key) = (own.file_key("probe"), other.file_key("probe"));
    if let Err(error) = session.create(&own_key, PROBE.to_vec()).await {
        let what =
            describe("its credentials cannot write into their own site's folder (s3:PutObject on sites/*)", error);
        return vec![Finding::fail(ROLE, what)];
    }
    let mut findings = vec![match session.create(&other_key, PROBE.to_vec()).await {
        Err(_) => Finding::ok(ROLE, "its credentials can write to one site's folder only"),
        Ok(()) => {
            let _ = storage.delete(&other_key).await;
            let what = "its credentials can write to other sites: the store ignores session policies, so every \
                        uploader could overwrite all reports; remove AWS_UPLOAD_ROLE_ARN";
            Finding::fail(ROLE, what)
        }
    }];
    findings.extend(delete(storage, &own_key).await);
    findings
}

/// The same bucket with an uploader's credentials.
fn as_uploader(config: &StorageConfig, grant: &Grant) -> anyhow::Result<Storage> {
    let StorageConfig::Bucket { url, options } = config else { anyhow::bail!("an upload role needs S3 storage") };
    let mut options = options.clone();
    options.retain(|name, _| !name.contains("web_identity") && !name.contains("container") && name != "aws_role_arn");
    options.insert("aws_access_key_id".to_owned(), grant.access_key_id.clone());
    options.insert("aws_secret_access_key".to_owned(), grant.secret_access_key.expose().to_owned());
    options.insert("aws_session_token".to_owned(), grant.session_token.expose().to_owned());
    Storage::new(&StorageConfig::Bucket { url: url.clone(), options }, None)
}
