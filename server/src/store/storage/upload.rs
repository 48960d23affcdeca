//! Upload addresses, credentials and the server's own uploads.

use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use object_store::signer::{HeaderMap, HeaderName, HeaderValue, Method, SignedUrlOptions};
use url::Url;

use super::{Presigner, Storage};
use crate::names::site::SiteId;
use crate::store::error::Result;
use crate::store::folder::Folder;
use crate::store::object::{ObjectWriter, path};
use crate::store::sts::{Grant, GrantError};

/// How long an upload address is valid.
pub const UPLOAD_TIME: Duration = Duration::from_secs(15 * 60);
/// Where to upload the zip of a new site.
pub enum UploadTarget {
    /// To the store: a URL that is valid for [`UPLOAD_TIME`], and its signed headers.
    Presigned { url: Url, headers: Vec<(&'static str, &'static str)> },
    /// To this server: the store cannot sign addresses.
    Server,
}

impl Storage {
    /// Where to upload the zip of `site`.
    pub async fn upload_target(&self, site: &SiteId) -> Result<UploadTarget> {
        let Some(Presigner { signer, prefix, signed, plain }) = &self.presigner else {
            return Ok(UploadTarget::Server);
        };
        let object = Path::from_iter(prefix.parts().chain(path(&site.zip_key())?.parts()));
        let mut options = SignedUrlOptions::new();
        options.signed_headers = HeaderMap::from_iter(
            signed.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
        );
        let url = signer.signed_url_opts(Method::PUT, &object, UPLOAD_TIME, &options).await?;
        Ok(UploadTarget::Presigned { url, headers: signed.iter().chain(plain).copied().collect() })
    }

    /// Temporary credentials for the files of one site; `None` if no role is configured.
    pub async fn grant(&self, site: &SiteId) -> Option<std::result::Result<Grant, GrantError>> {
        match &self.sts {
            Some(sts) => Some(sts.grant(site).await),
            None => None,
        }
    }

    /// Whether an upload role is configured.
    pub fn grants(&self) -> bool {
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
