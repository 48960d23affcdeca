//! The bytes of a range as they come: what breaks off is asked for once more from there on, and never looks whole.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore};

use crate::store::error::{Result, StorageError, within};

/// How often the rest of a body is asked for, beyond what the library itself does in the first seconds.
const RESUMES: u32 = 3;
/// What to wait before that, longer each time.
const PAUSE: Duration = Duration::from_millis(100);

struct Rest {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The bytes that are still to come.
    range: Range<u64>,
    /// The state of the object that they are of.
    tag: Option<String>,
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    resumed: u32,
}

/// The bytes of `result`, exactly as many as it announces.
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

/// All of a stream that is to have `length` bytes.
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
                // A folder's file that gets shorter while it is read gives empty pieces without end: that is its end.
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

    /// Asks for the rest; where that cannot be had, the first failure is what counts.
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
            // What cannot be had now may be had at the next try.
            Err(StorageError::Failed(_) | StorageError::Slow(_) | StorageError::Throttled(_)) => {
                self.bytes = stream::empty().boxed();
                Ok(())
            }
            _ => Err(why),
        }
    }
}
