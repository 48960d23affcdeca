//! What the checks of the storage share: the probe that they write, and how they describe a failure.

use crate::store::error::StorageError;

pub const PART: &str = "storage";
pub const PROBE: &[u8] = b"covered-server check";

/// Describes a failure, its cause and the remedy.
pub fn describe(what: &str, error: StorageError) -> String {
    let missing = matches!(error, StorageError::NotFound);
    let why = format!("{:#}", anyhow::Error::from(error));
    let has = |marks: &[&str]| marks.iter().any(|mark| why.contains(mark));
    let advice = if missing || has(&["NoSuchBucket", "BucketNotFound", "ContainerNotFound"]) {
        "create the bucket, or correct its name"
    } else if has(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "AuthenticationFailed"]) {
        "correct the credentials: the store rejected them"
    } else if has(&["AccessDenied", "403", "Forbidden", "401"]) {
        "grant the server's user or role this right: the README has the policy, under Storage"
    } else if has(&["error sending request", "timed out", "dns", "onnect"]) {
        "cannot reach the store: check the address, the region and the network"
    } else {
        return format!("{what}: {why}");
    };
    format!("{what}: {advice}; the store returned: {why}")
}
