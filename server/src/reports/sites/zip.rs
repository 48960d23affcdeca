//! Files of zip sites. Small ones are cached, large ones are streamed from the store.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use hyper::header::HeaderValue;
use tokio::time::Instant;

use crate::base::memory::Reservation;
use crate::base::poll::poll_once;
use crate::error::Error;
use crate::names::site::SiteId;
use crate::reports::archive::Entry;
use crate::reports::media::{self, SNIFFED};
use crate::reports::sites::cache::{CachedFile, FileKey, Known, Name, Site, Sites};
use crate::reports::sites::error::IndexError;
use crate::store::error::StorageError;
use crate::store::object::ByteStream;
use crate::telemetry::metrics::{self, Lookup, Served, metrics};

/// The maximum amount of data to read for a file's first bytes.
const MAX_SNIFFED_DATA: u64 = 64 << 10;

/// A file's content and its source.
pub struct FoundFile {
    pub content: FileContent,
    pub content_type: HeaderValue,
    pub served: Served,
}

/// The bytes of a file.
pub enum FileContent {
    /// Packed: see [`Entry::pack`].
    Packed(Bytes),
    /// Inflated.
    Plain(Bytes),
    /// The data of a large file from the store, and the memory for sending it.
    Data(ByteStream, Reservation),
    /// A part of an uncompressed file from the store, and the memory for sending it. The checksum covers the whole
    /// file, so a part is not verified.
    Part(ByteStream, Reservation),
}

impl FoundFile {
    fn cached(cached: &CachedFile, plain: bool, served: Served) -> Self {
        let bytes = cached.bytes.clone();
        let content = if plain { FileContent::Plain(bytes) } else { FileContent::Packed(bytes) };
        Self { content, content_type: cached.content_type.clone(), served }
    }
}

impl Sites {
    /// The index of a site; `None` if it has no zip: it was uploaded file by file, or has no report yet.
    pub async fn open(&self, site: &SiteId) -> Result<Option<Arc<Site>>, Error> {
        match poll_once(self.open.get(site)) {
            Some(Known::Zip(open)) => {
                metrics().count_lookup(metrics::CacheLabel::Index, Lookup::Hit);
                Ok(Some(open))
            }
            Some(Known::ByFile) => Ok(None),
            // Boxed to keep the future of the common path small.
            None => Box::pin(self.find(site)).await,
        }
    }

    async fn find(&self, site: &SiteId) -> Result<Option<Arc<Site>>, Error> {
        let mut was_fetched = false;
        let read = async {
            was_fetched = true;
            let index = self.read_index(&site.zip_key()).await?;
            Ok(Known::Zip(Arc::new(Site { index, policy: OnceLock::new() })))
        };
        let open = self.open.try_get_with_by_ref(site, read).await;
        metrics().count_lookup(metrics::CacheLabel::Index, Lookup::of(&open, was_fetched));
        match open {
            Ok(Known::Zip(open)) => Ok(Some(open)),
            Ok(Known::ByFile) => Ok(None),
            Err(error) if matches!(*error, IndexError::Storage(StorageError::NotFound)) => Ok(None),
            // "Denied" says nothing about the zip, but files of the site are readable: the site has no zip.
            Err(error)
                if matches!(*error, IndexError::Storage(StorageError::Denied(_)))
                    && matches!(self.is_known_by_file(site).await, Ok(true)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.public(site)),
        }
    }

    /// The content of a file, from the cache or by one read from the store. `plain`: inflated, unless the file is too
    /// large.
    pub async fn content(&self, site: &SiteId, number: u32, entry: &Entry, plain: bool) -> Result<FoundFile, Error> {
        let plain = plain && entry.deflated && entry.size <= self.largest_file;
        let key = (*site, Name::Number(number), plain);
        if let Some(cached) = poll_once(self.files.get(&key)) {
            metrics().count_lookup(metrics::CacheLabel::File, Lookup::Hit);
            return Ok(FoundFile::cached(&cached, plain, Served::Memory));
        }
        Box::pin(self.fetch(key, entry)).await
    }

    async fn fetch(&self, key: FileKey, entry: &Entry) -> Result<FoundFile, Error> {
        let (site, plain) = (key.0, key.2);
        let zip = site.zip_key();
        let found = if !self.fits_cache(entry) {
            self.stream(&zip, entry).await.map_err(Arc::new)
        } else {
            let mut was_fetched = false;
            let read = async {
                was_fetched = true;
                let reservation = self.reserve(needed(entry, plain)).await?;
                let packed = self.packed(&zip, entry).await?;
                let content_type = media::content_type(&entry.path, &entry.sniff(&entry.data_of(&packed)));
                let bytes = reservation.attach(if plain { entry.plain(&packed).await? } else { packed });
                let (is_gzip, size) = (entry.deflated && !plain, entry.size);
                Ok(Arc::new(CachedFile { bytes, is_gzip, content_type, size, etag: None, checked_at: Instant::now() }))
            };
            let cached = self.files.try_get_with(key, read).await;
            metrics().count_lookup(metrics::CacheLabel::File, Lookup::of(&cached, was_fetched));
            cached.map(|cached| {
                FoundFile::cached(&cached, plain, if was_fetched { Served::Store } else { Served::Memory })
            })
        };
        if found.is_err() {
            // The index may be outdated: the next request reads it again.
            self.open.invalidate(&site).await;
        }
        found.map_err(|error| error.public(&site))
    }

    /// Whether Range requests for a file are supported: not for large deflated files.
    pub fn has_parts(&self, entry: &Entry) -> bool {
        !entry.deflated || entry.size <= self.largest_file && self.fits_cache(entry)
    }

    fn fits_cache(&self, entry: &Entry) -> bool {
        entry.packed_len() <= self.largest_file
    }

    /// A part of a file with [`Sites::has_parts`]. Of a large file, only the part is read.
    pub async fn part(&self, site: &SiteId, number: u32, entry: &Entry, part: &Range<u64>) -> Result<FoundFile, Error> {
        if self.fits_cache(entry) || *part == (0..entry.size) {
            return self.content(site, number, entry, true).await;
        }
        let read = Box::pin(self.read_part(&site.zip_key(), entry, part)).await;
        if read.is_err() {
            self.open.invalidate(site).await;
        }
        read.map_err(|error| error.public(site))
    }

    async fn read_part(&self, zip: &str, entry: &Entry, part: &Range<u64>) -> Result<FoundFile, IndexError> {
        let reservation = self.reserve_for_stream().await?;
        // The local header and, for text, the file's first bytes after the extra field.
        let more = if media::is_text(&entry.path) { usize::from(u16::MAX) + SNIFFED } else { 0 };
        let length = ((entry.local_len() + more) as u64).min(entry.span);
        let local = self.storage.read(zip, entry.offset..entry.offset + length).await?;
        let start = entry.data_start(&local)?;
        let content_type = media::content_type(&entry.path, local.get(start..).unwrap_or_default());
        let start = entry.offset + start as u64;
        let bytes = self.storage.stream(zip, start + part.start..start + part.end, None).await?;
        let content = FileContent::Part(bytes.map(|item| item.map_err(std::io::Error::other)).boxed(), reservation);
        Ok(FoundFile { content, content_type, served: Served::Stream })
    }

    async fn packed(&self, zip: &str, entry: &Entry) -> Result<Bytes, IndexError> {
        let local = self.storage.read(zip, entry.range()).await?;
        let start = entry.data_start(&local)?;
        Ok(entry.pack(Bytes::copy_from_slice(&local[start..start + entry.compressed as usize])).await?)
    }

    /// Streams a large file. The range begins with the local header, which contains its own length.
    async fn stream(&self, zip: &str, entry: &Entry) -> Result<FoundFile, IndexError> {
        let reservation = self.reserve_for_stream().await?;
        let mut bytes = self.storage.stream(zip, entry.range(), None).await?;
        let (mut head, mut start) = (Vec::new(), entry.local_len());
        let first = loop {
            let more = bytes.next().await.ok_or_else(|| StorageError::unexpected("too few bytes"))?;
            head.extend_from_slice(&more?);
            if head.len() >= entry.local_len() {
                start = entry.data_start(&head)?;
            }
            let Some(data) = head.get(start..) else { continue };
            let first = entry.sniff(data);
            // Deflated data can be long without producing a byte.
            if first.len() == entry.sniff_len() || data.len() as u64 >= MAX_SNIFFED_DATA.min(entry.compressed) {
                break first;
            }
        };
        let content_type = media::content_type(&entry.path, &first);
        let beginning = Bytes::from(head).slice(start..);
        let data = stream::once(std::future::ready(Ok(beginning)))
            .chain(bytes.map(|item| item.map_err(std::io::Error::other)));
        let content = FileContent::Data(exactly(data, entry.compressed).boxed(), reservation);
        Ok(FoundFile { content, content_type, served: Served::Stream })
    }
}

/// Bytes needed to read a small file: its range of the zip, its data, the packed file, and the inflated file.
fn needed(entry: &Entry, plain: bool) -> usize {
    let inflated = if plain { entry.size } else { 0 };
    usize::try_from(3 * entry.packed_len() + inflated).unwrap_or(usize::MAX)
}

/// The first `length` bytes of a stream. A shorter stream ends with an error, so that it never looks complete.
fn exactly(
    bytes: impl stream::Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    length: u64,
) -> impl stream::Stream<Item = std::io::Result<Bytes>> + Send {
    stream::try_unfold((bytes, length), |(mut bytes, remaining)| async move {
        if remaining == 0 {
            return Ok(None);
        }
        let mut next = bytes.next().await.transpose()?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        next.truncate(usize::try_from(remaining).unwrap_or(usize::MAX));
        let left = remaining - next.len() as u64;
        Ok(Some((next, (bytes, left))))
    })
}
