//! The test object of the storage checks, and the descriptions of failures.

use crate::store::error::StorageError;

pub const PART: &str = "storage";
pub const PROBE: &[u8] = b"covered-server check";

/// Describes a failure, its cause and the remedy.
pub fn describe(what: &str, error: StorageError) -> String {
    let missing = matches!(error, StorageError::NotFound);
    let denied = matches!(error, StorageError::Denied(_) | StorageError::Unauthenticated(_));
    let why = format!("{:#}", anyhow::Error::from(error));
    let has = |marks: &[&str]| marks.iter().any(|mark| why.contains(mark));
    // Without keys, AWS's credentials come from the machine's metadata. Azure uses the same address with another path.
    let advice = if has(&["169.254.169.254/latest/"]) {
        "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run on AWS with a role"
    } else if missing || has(&["NoSuchBucket", "BucketNotFound", "ContainerNotFound"]) {
        "create the bucket, or correct its name"
    } else if has(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "AuthenticationFailed"]) {
        "correct the credentials: the store rejected them"
    } else if denied || has(&["AccessDenied", "Forbidden"]) {
        "grant the server's user or role this right: the README has the policy, under Storage"
    } else if has(&["error sending request", "timed out", "dns", "onnect"]) {
        "cannot reach the store: check the address, the region and the network"
    } else {
        return format!("{what}: {why}");
    };
    format!("{what}: {advice}; the store returned: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_errors_are_not_read_as_status_codes() {
        let why = "Error performing PUT http://127.0.0.1:1/x in 1.403s, after 3 retries - error sending request";
        let text = describe("cannot be written", StorageError::Failed(anyhow::anyhow!(why)));
        assert!(text.contains("cannot reach the store"), "{text}");
        let text = describe("cannot be written", StorageError::Denied(anyhow::anyhow!("401 Unauthorized")));
        assert!(text.contains("grant the server's user or role this right"), "{text}");
    }

    #[test]
    fn a_failed_aws_metadata_request_is_reported_as_missing_credentials() {
        let advice = |why: &str| describe("cannot be written", StorageError::Failed(anyhow::anyhow!(why.to_owned())));
        let s3 = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 2.04s - ";
        let expected = "cannot be written: no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run on \
                        AWS with a role; ";
        for why in ["Server returned non-2xx status code: 403 Forbidden: denied", "HTTP error: error sending request"] {
            let text = advice(&format!("{s3}{why}"));
            assert!(text.starts_with(expected), "{text}");
        }
        let azure =
            "Error performing GET http://169.254.169.254/metadata/identity/oauth2/token - error sending request";
        assert!(!advice(azure).contains("S3"), "{}", advice(azure));
    }
}
