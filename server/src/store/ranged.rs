//! Streams the bytes of a range. An interrupted stream is resumed, and never looks complete.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore};

use crate::store::error::{Result, StorageError, within};

/// The maximum number of resumptions, in addition to the library's retries in the first seconds.
const RESUMES: u32 = 3;
/// The delay before the first resumption. It grows with each one.
const PAUSE: Duration = Duration::from_millis(100);

struct Rest {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The remaining bytes.
    range: Range<u64>,
    /// The entity tag of the object.
    tag: Option<String>,
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    resumed: u32,
}

/// Streams exactly as many bytes as `result` announces.
pub fn bytes(store: Arc<dyn ObjectStore>, path: Path, result: GetResult) -> impl Stream<Item = Result<Bytes>> + Send {
    let (range, tag) = (result.range.clone(), result.meta.e_tag.clone());
    let rest = Rest { store, path, range, tag, bytes: result.into_stream(), resumed: 0 };
    stream::try_unfold(rest, |mut rest| async move {
        if rest.range.is_empty() {
            return Ok(None);
        }
        let bytes = rest.next().await?;
        rest.range.start += bytes.len() as u64;
        Ok(Some((bytes, rest)))
    })
}

/// Collects a stream of `length` bytes.
pub async fn collect(bytes: impl Stream<Item = Result<Bytes>>, length: usize) -> Result<Bytes> {
    let mut bytes = std::pin::pin!(bytes);
    let mut all = Vec::with_capacity(length);
    while let Some(piece) = bytes.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all.into())
}

impl Rest {
    async fn next(&mut self) -> Result<Bytes> {
        loop {
            let why = match self.bytes.next().await {
                // A file that is truncated while it is read yields empty pieces forever: treat this as its end.
                Some(Ok(bytes)) if !bytes.is_empty() => {
                    let expected = self.range.end - self.range.start;
                    let fits = bytes.len() as u64 <= expected;
                    return fits
                        .then_some(bytes)
                        .ok_or_else(|| StorageError::unexpected("more bytes than were asked for"));
                }
                Some(Err(error)) => error.into(),
                Some(Ok(_)) | None => {
                    StorageError::unexpected(format_args!("too few bytes: {:?} is missing", self.range))
                }
            };
            self.resume(why).await?;
        }
    }

    /// Requests the rest. If this fails, returns the first error.
    async fn resume(&mut self, why: StorageError) -> Result<()> {
        if self.resumed == RESUMES || self.tag.is_none() {
            return Err(why);
        }
        self.resumed += 1;
        tokio::time::sleep(PAUSE * self.resumed).await;
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(self.range.clone())));
        let options = options.with_if_match(self.tag.clone());
        match within(async { Ok(self.store.get_opts(&self.path, options).await?) }).await {
            Ok(result) if result.range == self.range && result.meta.e_tag == self.tag => {
                self.bytes = result.into_stream();
                Ok(())
            }
            // A later attempt may succeed.
            Err(StorageError::Failed(_) | StorageError::Slow(_) | StorageError::Throttled(_)) => {
                self.bytes = stream::empty().boxed();
                Ok(())
            }
            _ => Err(why),
        }
    }
}
