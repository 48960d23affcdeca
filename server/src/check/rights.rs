//! What the server may do in a bucket beside reading and writing reports, and what works without it.

use super::Finding;
use super::probe::{PART, PROBE, describe};
use crate::config::Config;
use crate::identity::api_keys::ApiKeySource;
use crate::names::object::{BINDINGS, VALUES, probe_key};
use crate::names::site::SiteId;
use crate::store::error::StorageError;
use crate::store::storage::Storage;

/// `site`: one that nobody has.
pub async fn check(config: &Config, storage: &Storage, site: &SiteId) -> Vec<Finding> {
    let mut findings = vec![absence(storage, site).await];
    let (is_needed, without) = match &config.github {
        Some(_) => (false, "badge values are kept in memory, and read from GitHub after a restart"),
        None => (true, "badges are lost with a restart, as GITHUB_TOKEN is not set either"),
    };
    findings.push(folder(storage, VALUES, is_needed, without).await);
    let is_keyless = !config.allowed_repositories.is_empty() && !config.oidc.issuers.is_empty();
    let is_needed = is_keyless && (config.oidc.is_explicit || matches!(config.api_keys, ApiKeySource::Nowhere));
    let without = match is_keyless {
        true => "uploads without an API key are refused",
        false => "nothing is lost as long as each upload needs an API key",
    };
    findings.push(folder(storage, BINDINGS, is_needed, without).await);
    findings
}

/// Whether the bucket can be listed: that alone lets S3 say that an object is missing.
async fn absence(storage: &Storage, site: &SiteId) -> Finding {
    match storage.can_tell_absence(&site.record_key()).await {
        Ok(true) => Finding::ok(PART, "a missing object is told from a forbidden one"),
        Ok(false) => Finding::note(
            PART,
            "a missing object is answered as a forbidden one (on S3: s3:ListBucket on the bucket is not allowed): the \
             server takes it for missing as long as it can read others",
        ),
        Err(error) => Finding::fail(PART, describe("cannot say that an object is not there", error)),
    }
}

/// Tries to write and to read in a folder. `without`: what is lost where that cannot be.
async fn folder(storage: &Storage, folder: &str, is_needed: bool, without: &str) -> Finding {
    let key = probe_key(folder);
    match write_and_read(storage, &key).await {
        Ok(()) => {
            // A running server writes it again when it needs it. Without the right to delete, one object stays.
            let _ = storage.delete(&key).await;
            Finding::ok(PART, format!("{folder}/* can be written and read"))
        }
        Err((right, error)) => {
            let what = format!("{folder}/* cannot be used (on S3: {right} on {folder}/*), so that {without}");
            let finding = if is_needed { Finding::fail } else { Finding::note };
            finding(PART, describe(&what, error))
        }
    }
}

/// The right that is missing, and what the store said. An object that is there already was written by a server.
async fn write_and_read(storage: &Storage, key: &str) -> Result<(), (&'static str, StorageError)> {
    match storage.create(key, PROBE.to_vec()).await {
        Ok(()) | Err(StorageError::Exists) => {}
        Err(error) => return Err(("s3:PutObject", error)),
    }
    storage.get(key).await.map(|_| ()).map_err(|error| ("s3:GetObject", error))
}
