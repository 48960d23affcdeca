//! Writes, reads and deletes a probe as the server would write a report; tries what uploaders are given.

use std::path::Path;

use super::probe::{PART, PROBE, describe};
use super::{Finding, rights};
use crate::config::Config;
use crate::names::object::STAGING;
use crate::names::site::SiteId;
use crate::store::error::StorageError;
use crate::store::settings::StorageConfig;
use crate::store::storage::{Storage, UploadTarget};
use crate::store::sts::{Grant, GrantError};

const UPLOAD: &str = "upload address";
const ROLE: &str = "upload role";
/// Free space below which a folder is soon full.
const LITTLE_SPACE: u64 = 1 << 30;

pub async fn check(config: &Config) -> Vec<Finding> {
    let storage = match Storage::new(&config.storage, config.upload_role.as_deref()) {
        Ok(storage) => storage,
        Err(error) => return vec![Finding::fail(PART, format!("{error:#}"))],
    };
    let mut findings = Vec::new();
    if let StorageConfig::Memory = config.storage {
        findings.push(Finding::note(PART, "memory:// forgets every report when the server stops"));
    }
    let site = match SiteId::random() {
        Ok(site) => site,
        Err(error) => return vec![Finding::fail(PART, format!("{error:#}"))],
    };
    // In a folder, what is not a report yet waits elsewhere.
    let is_bucket = matches!(config.storage, StorageConfig::Bucket { .. });
    let key = if is_bucket { site.file_key("probe") } else { format!("{STAGING}/{site}") };
    match write_and_read(&storage, &key).await {
        Ok(()) => findings.push(Finding::ok(PART, format!("{}: a probe was written and read", storage.name()))),
        Err(what) => {
            findings.push(Finding::fail(PART, format!("{}: {what}", storage.name())));
            return findings;
        }
    }
    findings.extend(delete(&storage, &key).await);
    if let StorageConfig::Files(path) = &config.storage {
        findings.extend(folder_of(path));
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
        Ok(()) => return Err("it writes over what is there, so that a report could be replaced: it has to know conditional writes (If-None-Match)".to_owned()),
        Err(error) => return Err(describe("cannot write only what is not there", error)),
    }
    let unreadable = |error| describe("cannot be read (on S3: s3:GetObject on sites/*)", error);
    let stored = storage.get(key).await.map_err(unreadable)?;
    let end = storage.tail(key, 5).await.map_err(|error| describe("cannot be read in part", error))?;
    if stored.bytes != PROBE || !PROBE.ends_with(&end.bytes) || end.bytes.len() != 5 {
        return Err("gives other bytes than were written".to_owned());
    }
    Ok(())
}

/// The policy that the README asks for has no right to delete: a probe that stays is no fault.
async fn delete(storage: &Storage, key: &str) -> Option<Finding> {
    let error = storage.delete(key).await.err()?;
    tracing::debug!("{:#}", anyhow::Error::from(error));
    Some(Finding::note(PART, format!("{key} could not be deleted, which the server needs for nothing else: harmless")))
}

/// Who can look into the folder, and what fits into it.
fn folder_of(path: &Path) -> Vec<Finding> {
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
                    "{} has mode {mode:o}: every user of this machine can look into it, and names there are the keys to \
                     the reports; chmod 700 closes it",
                    path.display()
                ),
            ));
        }
        if let Ok(space) = rustix::fs::statvfs(path) {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let text = format!("{:.1} GiB are free in {}", free as f64 / f64::from(1 << 30), path.display());
            findings.push(match free < LITTLE_SPACE {
                true => Finding::note("folder", format!("{text}: it will soon be full")),
                false => Finding::ok("folder", text),
            });
        }
    }
    findings
}

/// Puts a probe where an uploader would put a report, by the address that it would get.
async fn upload(storage: &Storage) -> Vec<Finding> {
    let Ok(site) = SiteId::random() else { return Vec::new() };
    let (url, headers) = match storage.upload_target(&site).await {
        Ok(UploadTarget::Presigned { url, headers }) => (url, headers),
        Ok(UploadTarget::Server) => return Vec::new(),
        Err(error) => return vec![Finding::fail(UPLOAD, describe("no address could be signed", error))],
    };
    let key = site.zip_key();
    let client = match reqwest::Client::builder().timeout(super::ANSWER_TIME).build() {
        Ok(client) => client,
        Err(error) => return vec![Finding::fail(UPLOAD, error.to_string())],
    };
    let request = headers.iter().fold(client.put(url), |request, (name, value)| request.header(*name, *value));
    match request.body(PROBE).send().await {
        Ok(answer) if answer.status().is_success() => {}
        Ok(answer) => {
            let what =
                format!("a signed address is refused with {}: does the store take presigned PUTs?", answer.status());
            return vec![Finding::fail(UPLOAD, what)];
        }
        // The address is a right to write: it is not shown.
        Err(error) => {
            let error = anyhow::Error::from(error.without_url());
            return vec![Finding::fail(UPLOAD, format!("a signed address does not answer: {error:#}"))];
        }
    }
    let mut findings = vec![match storage.get(&key).await {
        Ok(stored) if stored.bytes == PROBE => Finding::ok(UPLOAD, "a probe was put by a signed address"),
        Ok(_) => Finding::fail(UPLOAD, "what was put by a signed address came out as something else"),
        Err(error) => Finding::fail(UPLOAD, describe("what was put by a signed address cannot be read", error)),
    }];
    findings.extend(delete(storage, &key).await);
    findings
}

/// Assumes the role for one site, and tries that its credentials write there and nowhere else.
async fn role(config: &Config, storage: &Storage) -> Vec<Finding> {
    let (Ok(own), Ok(other)) = (SiteId::random(), SiteId::random()) else { return Vec::new() };
    let grant = match storage.grant(&own).await {
        Some(Ok(grant)) => grant,
        Some(Err(error @ GrantError::Refused { .. })) => {
            let hint = "let its trust policy name the server's user or role, and let that one do sts:AssumeRole";
            return vec![Finding::fail(ROLE, format!("{error}: {hint}"))];
        }
        Some(Err(error)) => {
            let error = anyhow::Error::from(error);
            return vec![Finding::fail(ROLE, format!("{error:#}: is AWS_REGION right, or AWS_ENDPOINT_URL_STS?"))];
        }
        None => return Vec::new(),
    };
    let session = match as_uploader(&config.storage, &grant) {
        Ok(session) => session,
        Err(error) => return vec![Finding::fail(ROLE, format!("{error:#}"))],
    };
    let (inside, beside) = (own.file_key("probe"), other.file_key("probe"));
    if let Err(error) = session.create(&inside, PROBE.to_vec()).await {
        let what =
            describe("its credentials cannot write into their own site's folder (s3:PutObject on sites/*)", error);
        return vec![Finding::fail(ROLE, what)];
    }
    let mut findings = vec![match session.create(&beside, PROBE.to_vec()).await {
        Err(_) => Finding::ok(ROLE, "its credentials write into one site's folder, and not beside it"),
        Ok(()) => {
            let _ = storage.delete(&beside).await;
            let what = "its credentials write beside their site too: the store keeps to no session policy, so that every \
                        uploader could write over the others' reports; leave AWS_UPLOAD_ROLE_ARN out";
            Finding::fail(ROLE, what)
        }
    }];
    findings.extend(delete(storage, &inside).await);
    findings
}

/// The same bucket with an uploader's credentials.
fn as_uploader(config: &StorageConfig, grant: &Grant) -> anyhow::Result<Storage> {
    let StorageConfig::Bucket { url, options } = config else { anyhow::bail!("a role is for S3 alone") };
    let mut options = options.clone();
    options.retain(|name, _| !name.contains("web_identity") && !name.contains("container") && name != "aws_role_arn");
    options.insert("aws_access_key_id".to_owned(), grant.access_key_id.clone());
    options.insert("aws_secret_access_key".to_owned(), grant.secret_access_key.expose().to_owned());
    options.insert("aws_session_token".to_owned(), grant.session_token.expose().to_owned());
    Storage::new(&StorageConfig::Bucket { url: url.clone(), options }, None)
}
