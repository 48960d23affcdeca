//! Checks the server's optional rights in a bucket, and reports what does not work without them.

use crate::check::finding::Finding;
use crate::check::probe::{PART, PROBE, describe};
use crate::config::Config;
use crate::identity::api_keys::ApiKeySource;
use crate::names::object::{BINDINGS, VALUES, probe_key};
use crate::names::site::SiteId;
use crate::store::error::StorageError;
use crate::store::storage::Storage;

/// Checks the bucket's folders. `site`: an unused ID.
pub async fn check(config: &Config, storage: &Storage, site: &SiteId) -> Vec<Finding> {
    let mut findings = vec![absence(storage, site).await];
    let (is_needed, consequence) = match &config.github {
        Some(_) => (false, "badge values are kept in memory only, and read from GitHub after a restart"),
        None => (true, "badges are lost with a restart, as GITHUB_TOKEN is not set either"),
    };
    findings.push(folder(storage, VALUES, is_needed, consequence).await);
    let is_keyless = !config.allowed_repositories.is_empty() && !config.oidc.issuers.is_empty();
    let is_needed = is_keyless && (config.oidc.is_explicit || matches!(config.api_keys, ApiKeySource::None));
    let consequence = match is_keyless {
        true => "uploads without an API key are refused",
        false => "uploads with an API key still work",
    };
    findings.push(folder(storage, BINDINGS, is_needed, consequence).await);
    findings
}

/// Whether the bucket can be listed: without that right, S3 does not report objects as missing.
async fn absence(storage: &Storage, site: &SiteId) -> Finding {
    match storage.distinguishes_missing(&site.record_key()).await {
        Ok(true) => Finding::ok(PART, "the bucket distinguishes missing objects from forbidden ones"),
        Ok(false) => Finding::note(
            PART,
            "the bucket reports missing objects as forbidden (on S3: allow s3:ListBucket on the bucket): the \
             server treats them as missing if it can read other objects",
        ),
        Err(error) => Finding::fail(PART, describe("cannot look up a missing object", error)),
    }
}

/// Writes and reads a test object in a folder. `consequence`: what does not work after a failure.
async fn folder(storage: &Storage, folder: &str, is_needed: bool, consequence: &str) -> Finding {
    let key = probe_key(folder);
    match write_and_read(storage, &key).await {
        Ok(()) => {
            // A running server creates it again when needed. Without the right to delete, the object stays.
            let _ = storage.delete(&key).await;
            Finding::ok(PART, format!("{folder}/* can be written and read"))
        }
        Err((right, error)) => {
            let what = format!("{folder}/* cannot be used (on S3: {right} on {folder}/*), so that {consequence}");
            let finding = if is_needed { Finding::fail } else { Finding::note };
            finding(PART, describe(&what, error))
        }
    }
}

/// Returns the missing right and the store's error. An existing object was written by a server.
async fn write_and_read(storage: &Storage, key: &str) -> Result<(), (&'static str, StorageError)> {
    match storage.create(key, PROBE.to_vec()).await {
        Ok(()) | Err(StorageError::Exists) => {}
        Err(error) => return Err(("s3:PutObject", error)),
    }
    storage.get(key).await.map(|_| ()).map_err(|error| ("s3:GetObject", error))
}
