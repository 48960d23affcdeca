//! Signs upload addresses of a bucket.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::signer::{HeaderMap, HeaderName, HeaderValue, Method, SignedUrlOptions, Signer};
use url::Url;

use crate::names::site::SiteId;
use crate::store::error::Result;
use crate::store::object::path;

/// How long an upload address is valid.
pub const UPLOAD_TIME: Duration = Duration::from_secs(15 * 60);

type Headers = &'static [(&'static str, &'static str)];

/// Where to upload the zip of a new site.
pub enum UploadTarget {
    /// To the store: a URL that is valid for [`UPLOAD_TIME`], and the headers to send.
    Presigned { url: Url, headers: Vec<(&'static str, &'static str)> },
    /// To this server: the store cannot sign addresses.
    Server,
}

/// Signs addresses with the server's credentials. The headers prevent an upload from overwriting an object.
pub struct Presigner {
    signer: Arc<dyn Signer>,
    prefix: Path,
    signed: Headers,
    /// Headers that the vendor needs without a signature.
    unsigned: Headers,
}

impl Presigner {
    /// `scheme`: that of the storage's URL. `prefix`: the path of the objects in the bucket.
    pub fn new(scheme: &str, signer: Arc<dyn Signer>, prefix: Path) -> Self {
        let (signed, unsigned): (Headers, Headers) = match scheme {
            "s3" => (&[("content-type", "application/zip"), ("if-none-match", "*")], &[]),
            "gs" => (&[("content-type", "application/zip"), ("x-goog-if-generation-match", "0")], &[]),
            // Azure's shared access signatures cover no headers.
            _ => (&[], &[("content-type", "application/zip"), ("x-ms-blob-type", "BlockBlob"), ("if-none-match", "*")]),
        };
        Self { signer, prefix, signed, unsigned }
    }

    /// The signed address for the zip of `site`.
    pub async fn sign(&self, site: &SiteId) -> Result<UploadTarget> {
        let object = Path::from_iter(self.prefix.parts().chain(path(&site.zip_key())?.parts()));
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut options = SignedUrlOptions::new();
        options.signed_headers = HeaderMap::from_iter(self.signed.iter().map(header));
        let url = self.signer.signed_url_opts(Method::PUT, &object, UPLOAD_TIME, &options).await?;
        Ok(UploadTarget::Presigned { url, headers: self.signed.iter().chain(self.unsigned).copied().collect() })
    }
}
