//! Why a report could not be read, and the response to it.

use crate::base::memory::OutOfMemory;
use crate::error::{Error, no_report};
use crate::names::site::SiteId;
use crate::reports::archive::ArchiveError;
use crate::store::error::StorageError;

/// Why a part of a site could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl IndexError {
    /// Several requests may share one failure: each gets the texts of its causes.
    pub(super) fn public(&self, site: &SiteId) -> Error {
        let about = format!("site {}…", SiteId::short(&site.to_string()));
        match self {
            Self::Archive(error) => damaged(error, anyhow::anyhow!("{about}: {error}")),
            Self::OutOfMemory(error) => (*error).into(),
            Self::Storage(StorageError::NotFound) => no_report(),
            Self::Storage(error) => Error::storage(error.shared(&about)),
        }
    }
}

/// 502: the stored report is invalid.
fn damaged(why: &ArchiveError, cause: anyhow::Error) -> Error {
    let advice = match why.limit() {
        Some(setting) => format!("the server's operator can raise {setting}"),
        None => "run the workflow that uploaded it again".to_owned(),
    };
    Error::bad_gateway(format!("cannot serve this report: {why}; {advice}"), Some(cause))
}
