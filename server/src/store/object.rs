//! Whole objects, as they come and as they go.

use std::io;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};
use object_store::MultipartUpload;
use object_store::path::Path;

use crate::store::error::{Result, StorageError};

/// Bytes as they come from the store or from the inflater.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The end of a zip file: `bytes`, up to the file's end, the first at `offset`.
#[derive(Clone)]
pub struct Tail {
    pub offset: u64,
    pub bytes: Bytes,
}

/// `Path::from` would percent-encode: the keys would differ from what an uploader writes.
pub fn path(key: &str) -> Result<Path> {
    Path::parse(key).map_err(|error| StorageError::Failed(error.into()))
}

/// An object, or that it did not change.
pub enum Fetched {
    Unchanged,
    /// With the range that its bytes are.
    File(FileMeta, Range<u64>, BoxStream<'static, std::io::Result<Bytes>>),
}

/// What is known of an object beside its bytes.
pub struct FileMeta {
    pub size: u64,
    /// The store's entity tag, in quotes.
    pub etag: Option<String>,
}

impl FileMeta {
    pub(super) fn of(meta: &object_store::ObjectMeta) -> Self {
        let etag = meta.e_tag.as_ref().map(|etag| format!("\"{}\"", etag.trim_start_matches("W/").trim_matches('"')));
        Self { size: meta.size, etag }
    }
}

/// An object on its way into the store.
pub struct Incoming {
    pub(super) upload: Box<dyn MultipartUpload>,
}

impl Incoming {
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        Ok(self.upload.put_part(bytes.into()).await?)
    }

    pub async fn finish(mut self) -> Result<()> {
        self.upload.complete().await?;
        Ok(())
    }

    /// Nothing is kept.
    pub async fn abort(mut self) -> Result<()> {
        Ok(self.upload.abort().await?)
    }
}
