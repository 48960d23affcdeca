//! What the checks of the storage share: the probe that they write, and how they describe a failure.

use crate::store::error::StorageError;

pub const PART: &str = "storage";
pub const PROBE: &[u8] = b"covered-server check";

/// What failed, why, and what to do about it.
pub fn describe(what: &str, error: StorageError) -> String {
    let missing = matches!(error, StorageError::NotFound);
    let why = format!("{:#}", anyhow::Error::from(error));
    let has = |marks: &[&str]| marks.iter().any(|mark| why.contains(mark));
    let advice = if missing || has(&["NoSuchBucket", "BucketNotFound", "ContainerNotFound"]) {
        "make the bucket, or mend its name"
    } else if has(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "AuthenticationFailed"]) {
        "mend the credentials: the store does not know them"
    } else if has(&["AccessDenied", "403", "Forbidden", "401"]) {
        "let the server's user or role do this: the policy is in its README, under Storage"
    } else if has(&["error sending request", "timed out", "dns", "onnect"]) {
        "nothing answers there: mend the address or the region, or open the way to it"
    } else {
        return format!("{what}: {why}");
    };
    format!("{what}: {advice}; the store said: {why}")
}
