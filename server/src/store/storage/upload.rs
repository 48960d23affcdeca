//! Upload addresses, credentials and the server's own uploads.

use object_store::ObjectStoreExt;

use super::Storage;
use crate::names::site::SiteId;
use crate::store::error::Result;
use crate::store::folder::Folder;
use crate::store::object::{ObjectWriter, path};
use crate::store::presigner::UploadTarget;
use crate::store::sts::{Grant, GrantError};

impl Storage {
    /// Where to upload the zip of `site`.
    pub async fn upload_target(&self, site: &SiteId) -> Result<UploadTarget> {
        match &self.presigner {
            Some(presigner) => presigner.sign(site).await,
            None => Ok(UploadTarget::Server),
        }
    }

    /// Temporary credentials for the files of one site; `None` if no role is configured.
    pub async fn grant(&self, site: &SiteId) -> Option<std::result::Result<Grant, GrantError>> {
        match &self.sts {
            Some(sts) => Some(sts.grant(site).await),
            None => None,
        }
    }

    /// Whether an upload role is configured.
    pub fn has_upload_role(&self) -> bool {
        self.sts.is_some()
    }

    /// Starts an object that is written in parts; it exists after [`ObjectWriter::finish`].
    pub async fn begin(&self, key: &str) -> Result<ObjectWriter> {
        self.check_folder(Folder::check_identity).await?;
        Ok(ObjectWriter { upload: self.store.put_multipart(&path(key)?).await? })
    }

    /// Renames an object, unless the target exists.
    pub async fn publish(&self, from: &str, to: &str) -> Result<()> {
        Ok(self.store.rename_if_not_exists(&path(from)?, &path(to)?).await?)
    }
}
