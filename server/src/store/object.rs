//! Objects, parts of objects, and streams of their bytes.

use std::io;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};
use object_store::MultipartUpload;
use object_store::path::Path;

use crate::store::error::{Result, StorageError};

/// A stream of bytes.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The end of an object: `bytes` from `offset` to its end.
#[derive(Clone)]
pub struct Tail {
    pub offset: u64,
    pub bytes: Bytes,
}

/// Parses a key. `Path::from` would percent-encode it, so keys would differ from those that uploaders write.
pub fn path(key: &str) -> Result<Path> {
    Path::parse(key).map_err(|error| StorageError::Failed(error.into()))
}

/// A whole object, or the information that it is unchanged.
pub enum FetchedFile {
    Unchanged,
    /// The metadata, the range of the bytes, and the bytes.
    File(FileMeta, Range<u64>, BoxStream<'static, std::io::Result<Bytes>>),
}

/// The metadata of an object.
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

/// An object that is being written.
pub struct ObjectWriter {
    pub(super) upload: Box<dyn MultipartUpload>,
}

impl ObjectWriter {
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        Ok(self.upload.put_part(bytes.into()).await?)
    }

    pub async fn finish(mut self) -> Result<()> {
        self.upload.complete().await?;
        Ok(())
    }

    /// Discards the object.
    pub async fn abort(mut self) -> Result<()> {
        Ok(self.upload.abort().await?)
    }
}
