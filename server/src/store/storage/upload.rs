//! Where a report is uploaded to, and how it gets there.

use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use object_store::signer::{HeaderMap, HeaderName, HeaderValue, Method, SignedUrlOptions};
use url::Url;

use super::{Presigner, Storage};
use crate::names::site::SiteId;
use crate::store::error::Result;
use crate::store::folder::Folder;
use crate::store::object::{Incoming, path};
use crate::store::sts::{Grant, GrantError};

/// How long an upload address holds.
pub const UPLOAD_TIME: Duration = Duration::from_secs(15 * 60);
/// Where the zip of a new site goes.
pub enum UploadTarget {
    /// To the store itself: a URL that holds for [`UPLOAD_TIME`], and the headers that were signed with it.
    Presigned { url: Url, headers: Vec<(&'static str, &'static str)> },
    /// To this server: the store cannot sign addresses.
    Server,
}

impl Storage {
    /// Where the zip of `site` is to be put.
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

    /// Temporary credentials for the files of one site; `None` where no role is configured.
    pub async fn grant(&self, site: &SiteId) -> Option<std::result::Result<Grant, GrantError>> {
        match &self.sts {
            Some(sts) => Some(sts.grant(site).await),
            None => None,
        }
    }

    /// Whether credentials can be asked for.
    pub fn grants(&self) -> bool {
        self.sts.is_some()
    }

    /// Begins an object whose bytes come one by one; it is there only once [`Incoming::finish`] was called.
    pub async fn begin(&self, key: &str) -> Result<Incoming> {
        self.check_folder(Folder::check_identity).await?;
        Ok(Incoming { upload: self.store.put_multipart(&path(key)?).await? })
    }

    /// Gives an object its final name, unless that is taken.
    pub async fn publish(&self, from: &str, to: &str) -> Result<()> {
        Ok(self.store.rename_if_not_exists(&path(from)?, &path(to)?).await?)
    }
}
