//! The errors of the store, by their meaning for the caller.

use std::future::Future;
use std::io;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use crate::names::site::SiteId;
use crate::store::folder;

/// The library's text for a denied access. The response body follows it.
const FORBIDDEN_PREFIX: &str = "Server returned non-2xx status code: 403 Forbidden: ";

/// The time limit of a small operation, including retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

pub type Result<T> = std::result::Result<T, StorageError>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("no such object")]
    NotFound,
    #[error("the object exists already, or was changed meanwhile")]
    Exists,
    #[error("the object is unchanged")]
    Unchanged,
    /// Connection lost, request rejected, or invalid response.
    #[error("the store failed")]
    Failed(#[source] anyhow::Error),
    #[error("the store is throttling requests")]
    Throttled(#[source] anyhow::Error),
    #[error("the store is too slow")]
    Slow(#[source] anyhow::Error),
    #[error("the store is full")]
    Full(#[source] anyhow::Error),
    #[error("the store denied access")]
    Denied(#[source] anyhow::Error),
    /// Wrong or expired credentials. Unlike [`StorageError::Denied`], this says nothing about the rights of the server.
    #[error("the store does not accept this server's credentials")]
    Unauthenticated(#[source] anyhow::Error),
}

impl StorageError {
    /// No response within this time.
    pub fn slow(limit: Duration) -> Self {
        Self::Slow(anyhow::anyhow!("no response within {limit:?}"))
    }

    /// An unexpected response of the store.
    pub fn unexpected(what: impl std::fmt::Display) -> Self {
        Self::Failed(anyhow::anyhow!("unexpected response of the store: {what}"))
    }

    /// Copies the error for another request that waited for the same read.
    pub fn shared(&self, about: &str) -> Self {
        let copy = |cause: &anyhow::Error| anyhow::anyhow!("{about}: {cause:#}");
        match self {
            Self::NotFound => Self::NotFound,
            Self::Exists => Self::Exists,
            Self::Unchanged => Self::Unchanged,
            Self::Failed(cause) => Self::Failed(copy(cause)),
            Self::Throttled(cause) => Self::Throttled(copy(cause)),
            Self::Slow(cause) => Self::Slow(copy(cause)),
            Self::Full(cause) => Self::Full(copy(cause)),
            Self::Denied(cause) => Self::Denied(copy(cause)),
            Self::Unauthenticated(cause) => Self::Unauthenticated(copy(cause)),
        }
    }

    /// Finds the store's error among the causes of an error.
    pub fn in_chain(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| {
            // `io::Error` does not list its inner error among its causes.
            let inner = || cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref();
            cause.downcast_ref().or_else(inner)
        })
    }
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as Vendor;
        match error {
            Vendor::NotFound { .. } => Self::NotFound,
            Vendor::AlreadyExists { .. } | Vendor::Precondition { .. } => Self::Exists,
            Vendor::NotModified { .. } => Self::Unchanged,
            other if folder::is_impossible_name(&other) => Self::NotFound,
            other => {
                let variant = classify(&other);
                variant(anyhow::anyhow!(message(&other)))
            }
        }
    }
}

/// Applies the time limit of small operations.
pub async fn within<T>(operation: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(OPERATION_TIMEOUT, operation)
        .await
        .unwrap_or_else(|_| Err(StorageError::slow(OPERATION_TIMEOUT)))
}

/// Whether a denied access may hide a missing object: S3 returns `AccessDenied` if the bucket cannot be listed. Wrong
/// credentials have other codes; a response to HEAD has no body, and so no code.
pub fn may_hide_absence(error: &object_store::Error) -> bool {
    let object_store::Error::PermissionDenied { source, .. } = error else { return false };
    let first: &dyn std::error::Error = source.as_ref();
    let mut causes = std::iter::successors(Some(first), |error| error.source()).map(ToString::to_string);
    causes.any(|cause| cause.strip_prefix(FORBIDDEN_PREFIX).is_some_and(body_may_hide_absence))
}

/// AWS usually names the denied action, such as `kms:Decrypt`. For a missing object it is listing.
fn body_may_hide_absence(body: &str) -> bool {
    let refused = body.split_once("not authorized to perform: ").map(|(_, action)| action);
    let is_about_listing = refused.is_none_or(|action| action.starts_with("s3:ListBucket"));
    body.is_empty() || (body.contains("<Code>AccessDenied</Code>") && is_about_listing)
}

/// The vendors' error codes for credentials that are wrong, expired, or used with a wrong clock.
const CREDENTIAL_CODES: &[&str] = &[
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "AuthenticationFailed",
];

fn is_about_credentials(error: &object_store::Error) -> bool {
    let text = message(error);
    CREDENTIAL_CODES.iter().any(|code| text.contains(code))
}

fn classify(error: &object_store::Error) -> fn(anyhow::Error) -> StorageError {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error {
        object_store::Error::Unauthenticated { .. } => return StorageError::Unauthenticated,
        object_store::Error::PermissionDenied { .. } if is_about_credentials(error) => {
            return StorageError::Unauthenticated;
        }
        object_store::Error::PermissionDenied { .. } => return StorageError::Denied,
        _ => {}
    }
    let first: &dyn std::error::Error = error;
    for cause in std::iter::successors(Some(first), |error| error.source()) {
        if cause.downcast_ref::<HttpError>().is_some_and(|error| error.kind() == HttpErrorKind::Timeout) {
            return StorageError::Slow;
        }
        match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(StorageFull | QuotaExceeded | FileTooLarge) => return StorageError::Full,
            Some(PermissionDenied | ReadOnlyFilesystem) => return StorageError::Denied,
            _ => {}
        }
        // The library exposes the status code only as text.
        let status = cause.to_string();
        let status = status.strip_prefix("Server returned non-2xx status code: ").unwrap_or_default();
        if status.starts_with("503") || status.starts_with("429") {
            return StorageError::Throttled;
        }
    }
    StorageError::Failed
}

/// The messages of an error and its causes on one line, without the repetitions of the vendors' errors.
fn message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    SiteId::mask(&text.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_system_errors_are_classified() {
        let error = |kind: io::ErrorKind| -> StorageError {
            object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(io::Error::from(kind)) }.into()
        };
        for full in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
            assert!(matches!(error(full), StorageError::Full(_)), "{full:?}");
        }
        for denied in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
            assert!(matches!(error(denied), StorageError::Denied(_)), "{denied:?}");
        }
        assert!(matches!(error(io::ErrorKind::NotADirectory), StorageError::NotFound));
        assert!(matches!(error(io::ErrorKind::BrokenPipe), StorageError::Failed(_)));
    }

    #[test]
    fn only_unspecific_access_denied_errors_may_mean_not_found() {
        let denied = |message| format!("<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>");
        let user = "User: arn:aws:iam::123456789012:user/covered is not authorized to perform:";
        for (body, may) in [
            (String::new(), true),
            (denied("Access Denied".to_owned()), true),
            (denied(format!("{user} s3:ListBucket on resource: &quot;arn:aws:s3:::covered&quot;")), true),
            (denied(format!("{user} s3:GetObject on resource: &quot;arn:aws:s3:::covered/x&quot;")), false),
            (denied(format!("{user} kms:Decrypt on resource: &quot;arn:aws:kms:::key/x&quot;")), false),
            ("<Error><Code>InvalidAccessKeyId</Code></Error>".to_owned(), false),
            ("<Error><Code>SignatureDoesNotMatch</Code></Error>".to_owned(), false),
            ("<Error><Code>ExpiredToken</Code></Error>".to_owned(), false),
        ] {
            let source = Box::new(io::Error::other(format!("{FORBIDDEN_PREFIX}{body}")));
            let error = object_store::Error::PermissionDenied { path: "sites/x.zip".to_owned(), source };
            assert_eq!(may_hide_absence(&error), may, "{body:?}");
        }
    }

    #[test]
    fn storage_errors_are_found_in_the_error_chain() {
        let wrapped = anyhow::Error::from(io::Error::other(StorageError::unexpected("x"))).context("a page");
        assert!(matches!(StorageError::in_chain(&wrapped), Some(StorageError::Failed(_))));
        assert!(StorageError::in_chain(&anyhow::anyhow!("x")).is_none());
    }
}
