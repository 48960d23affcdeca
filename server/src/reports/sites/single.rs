//! Files of file-by-file sites. Small ones are cached, and revalidated in the store.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};
use hyper::header::HeaderValue;
use tokio::time::Instant;

use crate::base::poll::poll_once;
use crate::error::Error;
use crate::names::object::RESERVATION;
use crate::names::site::SiteId;
use crate::reports::media::{self, SNIFFED};
use crate::reports::sites::cache::{CachedFile, FileKey, Known, Name, Sites};
use crate::reports::sites::error::IndexError;
use crate::store::error::StorageError;
use crate::store::object::{ByteStream, FetchedFile, FileMeta};
use crate::telemetry::metrics::{self, Lookup, metrics};

/// How long a cached file is served without revalidation in the store.
const FRESH: Duration = Duration::from_secs(60);
/// Smaller files are not worth compressing.
const MIN_COMPRESSED: u64 = 1000;

/// A file of a file-by-file site.
pub enum SingleFile {
    Small(Arc<CachedFile>),
    /// Too large for the cache.
    Large {
        meta: FileMeta,
        content_type: HeaderValue,
        /// The range of `bytes`: the whole file, the requested part, or the start.
        range: Range<u64>,
        bytes: ByteStream,
    },
}

/// Why a file is not cached.
#[derive(Debug, thiserror::Error)]
enum NotCached {
    #[error("it is too large")]
    Large,
    #[error(transparent)]
    Failed(#[from] IndexError),
}

impl Sites {
    /// Whether a site is uploaded file by file: completely, or not yet.
    pub async fn is_known_by_file(&self, site: &SiteId) -> Result<bool, StorageError> {
        match self.open.get(site).await {
            Some(Known::Zip(_)) => return Ok(false),
            Some(Known::ByFile) => return Ok(true),
            None => {}
        }
        let exists = async |file| self.storage.exists(&site.file_key(file)).await;
        match exists(RESERVATION).await {
            // A denied access to the reservation says nothing about the report.
            Ok(false) | Err(StorageError::Denied(_)) => exists("index.html").await,
            result => result,
        }
    }

    /// Remembers that a site was uploaded file by file.
    pub async fn remember_by_file(&self, site: &SiteId) {
        if !self.open.contains_key(site) {
            self.open.insert(*site, Known::ByFile).await;
        }
    }

    /// A file of a file-by-file site; `None` if it does not exist. Concurrent requests for a small file share one
    /// look-up. `part`: the requested bytes of a large file, which may extend beyond its end.
    pub async fn single(
        &self,
        site: &SiteId,
        path: &str,
        part: Option<Range<u64>>,
    ) -> Result<Option<SingleFile>, Error> {
        let key = (*site, Name::Path(path.into()), false);
        match poll_once(self.files.get(&key)) {
            Some(cached) if cached.checked_at.elapsed() < FRESH => {
                metrics().count_lookup(metrics::CacheLabel::File, Lookup::Hit);
                Ok(Some(SingleFile::Small(cached)))
            }
            old => Box::pin(self.look_up(key, path, old, part)).await,
        }
    }

    async fn look_up(
        &self,
        key: FileKey,
        path: &str,
        old: Option<Arc<CachedFile>>,
        part: Option<Range<u64>>,
    ) -> Result<Option<SingleFile>, Error> {
        let site = key.0;
        let object = site.file_key(path);
        if old.is_some() {
            self.files.invalidate(&key).await;
        }
        let (mut was_fetched, mut large) = (false, None);
        let read = async {
            was_fetched = true;
            match self.fetch_single(&object, path, old.as_deref(), part.clone()).await? {
                SingleFile::Small(cached) => Ok(cached),
                found => {
                    large = Some(found);
                    Err(NotCached::Large)
                }
            }
        };
        let found = self.files.try_get_with(key, read).await;
        metrics().count_lookup(metrics::CacheLabel::File, Lookup::of(&found, was_fetched));
        let failed = |error: &IndexError| match error {
            IndexError::Storage(StorageError::NotFound) => Ok(None),
            error => Err(error.public(&site)),
        };
        match found {
            Ok(cached) => Ok(Some(SingleFile::Small(cached))),
            Err(not_cached) => match (&*not_cached, large) {
                (_, Some(large)) => Ok(Some(large)),
                // A concurrent request got the stream, so this one needs its own.
                (NotCached::Large, None) => {
                    self.fetch_single(&object, path, None, part).await.map(Some).or_else(|error| failed(&error))
                }
                (NotCached::Failed(error), None) => failed(error),
            },
        }
    }

    /// Reads the file from the store. `old`: the cached version, which the store does not send again.
    async fn fetch_single(
        &self,
        object: &str,
        path: &str,
        old: Option<&CachedFile>,
        part: Option<Range<u64>>,
    ) -> Result<SingleFile, IndexError> {
        let known = old.and_then(|old| old.etag.as_deref());
        // A text declares its charset at the start.
        let part = part.map(|part| if media::is_text(path) { 0..SNIFFED as u64 } else { part });
        let is_part = part.is_some();
        let fetched = match self.storage.file(object, known, part).await {
            // The part is beyond the end of the file.
            Err(StorageError::Failed(_)) if is_part => self.storage.file(object, known, None).await?,
            // A small file is cached completely.
            Ok(FetchedFile::File(meta, range, _)) if meta.size <= self.largest_file && range != (0..meta.size) => {
                self.storage.file(object, known, None).await?
            }
            fetched => fetched?,
        };
        let cached = match (fetched, old) {
            (FetchedFile::Unchanged, Some(old)) => old.revalidated(),
            (FetchedFile::Unchanged, None) => {
                return Err(StorageError::unexpected("no file, as if one were known").into());
            }
            // Folders do not support conditional requests.
            (FetchedFile::File(meta, ..), Some(old)) if meta.etag.is_some() && meta.etag == old.etag => {
                old.revalidated()
            }
            (FetchedFile::File(meta, range, bytes), _) if meta.size > self.largest_file => {
                let (content_type, bytes) = with_content_type(path, bytes).await?;
                return Ok(SingleFile::Large { meta, content_type, range, bytes });
            }
            (FetchedFile::File(meta, _, bytes), _) => {
                // Twice: the file and its compressed form.
                let reservation = self.reserve(2 * meta.size as usize).await?;
                let cached = read(path, meta, bytes).await?;
                CachedFile { bytes: reservation.attach(cached.bytes), ..cached }
            }
        };
        Ok(SingleFile::Small(Arc::new(cached)))
    }

    /// The uncompressed bytes of a cached file.
    pub async fn plain(&self, site: &SiteId, path: &str, cached: &CachedFile) -> Result<Bytes, Error> {
        if !cached.is_gzip {
            return Ok(cached.bytes.clone());
        }
        let key = (*site, Name::Path(path.into()), true);
        if let Some(plain) =
            poll_once(self.files.get(&key)).filter(|plain| plain.etag.is_some() && plain.etag == cached.etag)
        {
            return Ok(plain.bytes.clone());
        }
        let reservation = self.reserve(cached.size as usize).await?;
        let mut bytes = Vec::with_capacity(cached.size as usize);
        GzDecoder::new(&*cached.bytes).read_to_end(&mut bytes).map_err(Error::internal)?;
        let plain = CachedFile { bytes: reservation.attach(bytes.into()), is_gzip: false, ..cached.clone() };
        let bytes = plain.bytes.clone();
        self.files.insert(key, Arc::new(plain)).await;
        Ok(bytes)
    }
}

impl CachedFile {
    fn revalidated(&self) -> Self {
        Self { checked_at: Instant::now(), ..self.clone() }
    }
}

/// Reads a small file, and compresses it if that makes it smaller.
async fn read(path: &str, meta: FileMeta, mut bytes: ByteStream) -> Result<CachedFile, StorageError> {
    let mut plain = BytesMut::with_capacity(meta.size as usize);
    while let Some(piece) = bytes.next().await {
        plain.extend_from_slice(&piece.map_err(store_error)?);
    }
    let plain = plain.freeze();
    let packed = if media::is_text(path) && meta.size >= MIN_COMPRESSED {
        let text = plain.clone();
        // On a blocking thread: 1 MB takes about 20 ms.
        let packed = tokio::task::spawn_blocking(move || gzip(&text)).await;
        let packed = packed.map_err(|error| StorageError::Failed(error.into()))?.map_err(store_error)?;
        (packed.len() < plain.len()).then_some(packed)
    } else {
        None
    };
    let content_type = media::content_type(path, &plain);
    let (is_gzip, FileMeta { size, etag }) = (packed.is_some(), meta);
    Ok(CachedFile { bytes: packed.unwrap_or(plain), content_type, is_gzip, size, etag, checked_at: Instant::now() })
}

fn gzip(bytes: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}

/// Reads a file's first bytes for its content type, and returns the whole stream.
async fn with_content_type(path: &str, mut bytes: ByteStream) -> Result<(HeaderValue, ByteStream), StorageError> {
    let mut first = Vec::new();
    while first.len() < SNIFFED {
        let Some(piece) = bytes.next().await.transpose().map_err(store_error)? else { break };
        first.extend_from_slice(&piece);
    }
    let content_type = media::content_type(path, &first);
    Ok((content_type, stream::once(std::future::ready(Ok(first.into()))).chain(bytes).boxed()))
}

/// The store's error inside an I/O error.
fn store_error(error: io::Error) -> StorageError {
    error.downcast().unwrap_or_else(|error| StorageError::Failed(error.into()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use futures_util::future::join_all;
    use hyper::header::{IF_NONE_MATCH, RANGE};
    use hyper::{Request, Response};
    use xtask::lab::http::{Serving, full};

    use super::*;
    use crate::base::memory::MemoryBudget;
    use crate::reports::archive::Limits;
    use crate::store::settings::StorageConfig;
    use crate::store::storage::Storage;

    const PATH: &str = "index.html";

    fn site() -> SiteId {
        "0123456789ab".parse().unwrap()
    }

    /// A stub of S3: its object, if any, and the entity tags of the requests.
    #[derive(Default)]
    struct Object {
        file: Option<(&'static str, Vec<u8>)>,
        tags: Vec<Option<String>>,
        ranges: Vec<Option<String>>,
    }

    struct Stub {
        object: Arc<Mutex<Object>>,
        sites: Sites,
        _serving: Serving,
    }

    impl Stub {
        fn start() -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let object = Arc::new(Mutex::new(Object::default()));
            let shared = object.clone();
            let serving = Serving::start(move |request| std::future::ready(Ok(respond(&shared, &request))));
            let endpoint = serving.url();
            let options = [
                ("aws_endpoint_url", endpoint.as_str()),
                ("aws_access_key_id", "id"),
                ("aws_secret_access_key", "key"),
                ("aws_region", "us-east-1"),
            ];
            let options = HashMap::from(options.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let config = StorageConfig::Bucket { url: "s3://bucket".parse().unwrap(), options };
            let storage = Arc::new(Storage::new(&config, None).unwrap());
            let limits = Limits { files: 1, file: 1, unpacked: 1 };
            Self {
                object,
                sites: Sites::new(storage, 1 << 24, limits, Arc::new(MemoryBudget::new(0, 64 << 20))),
                _serving: serving,
            }
        }

        fn put(&self, etag: &'static str, bytes: &[u8]) {
            self.object.lock().unwrap().file = Some((etag, bytes.to_vec()));
        }

        /// The entity tags of requests since the last call.
        fn requested_tags(&self) -> Vec<Option<String>> {
            std::mem::take(&mut self.object.lock().unwrap().tags)
        }

        /// `None`: there is no such file.
        async fn bytes(&self) -> Result<Option<Vec<u8>>, Error> {
            let Some(single) = self.sites.single(&site(), PATH, None).await? else { return Ok(None) };
            match single {
                SingleFile::Small(cached) => Ok(Some(self.sites.plain(&site(), PATH, &cached).await.unwrap().to_vec())),
                SingleFile::Large { mut bytes, .. } => {
                    let mut all = Vec::new();
                    while let Some(piece) = bytes.next().await {
                        all.extend_from_slice(&piece.unwrap());
                    }
                    Ok(Some(all))
                }
            }
        }

        /// Makes the cached file a minute older.
        async fn age(&self) {
            let key = (site(), Name::Path(PATH.into()), false);
            let cached = self.sites.files.get(&key).await.unwrap();
            let old = CachedFile { checked_at: cached.checked_at - FRESH, ..(*cached).clone() };
            self.sites.files.insert(key, Arc::new(old)).await;
        }
    }

    fn byte_range(range: &str, size: usize) -> Range<usize> {
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        first.parse().unwrap()..size.min(last.parse::<usize>().unwrap() + 1)
    }

    fn respond<B>(object: &Mutex<Object>, request: &Request<B>) -> Response<xtask::lab::http::Body> {
        let mut object = object.lock().unwrap();
        let known = request.headers().get(IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
        object.tags.push(known.clone());
        let range = request.headers().get(RANGE).map(|range| range.to_str().unwrap().to_owned());
        object.ranges.push(range.clone());
        let response = Response::builder().header("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
        match &object.file {
            None => response.status(404).body(full("")),
            Some((etag, _)) if known.as_deref() == Some(etag) => {
                response.status(304).header("etag", *etag).body(full(""))
            }
            Some((etag, bytes)) => match range.as_deref().map(|range| byte_range(range, bytes.len())) {
                None => response.header("etag", *etag).body(full(bytes.clone())),
                Some(part) if part.is_empty() => response.status(416).body(full("")),
                Some(part) => {
                    let range = format!("bytes {}-{}/{}", part.start, part.end - 1, bytes.len());
                    let response = response.status(206).header("etag", *etag).header("content-range", range);
                    response.body(full(bytes[part].to_vec()))
                }
            },
        }
        .unwrap()
    }

    #[tokio::test]
    async fn small_files_are_cached_and_revalidated_after_a_minute() {
        let stub = Stub::start();
        let (one, other) = ("<p>one</p>".repeat(1000), "<p>other</p>".repeat(1000));
        stub.put("\"1\"", one.as_bytes());
        for _ in 0..3 {
            assert_eq!(stub.bytes().await.unwrap().unwrap(), one.as_bytes());
        }
        assert_eq!(stub.requested_tags(), [None], "one request within the minute");
        stub.age().await;
        for _ in 0..3 {
            assert_eq!(stub.bytes().await.unwrap().unwrap(), one.as_bytes());
        }
        assert_eq!(stub.requested_tags(), [Some("\"1\"".to_owned())], "an unchanged file is valid for another minute");
        stub.put("\"2\"", other.as_bytes());
        assert_eq!(stub.bytes().await.unwrap().unwrap(), one.as_bytes());
        stub.age().await;
        assert_eq!(stub.bytes().await.unwrap().unwrap(), other.as_bytes(), "a changed file replaces it");
        stub.age().await;
        stub.object.lock().unwrap().file = None;
        assert!(matches!(stub.bytes().await, Ok(None)), "a deleted file is not found");
    }

    #[tokio::test]
    async fn concurrent_readers_of_a_small_file_cause_one_store_request() {
        let stub = Stub::start();
        stub.put("\"1\"", b"<p>");
        for stale in [false, true] {
            if stale {
                stub.age().await;
            }
            stub.requested_tags();
            let all = join_all((0..50).map(|_| stub.bytes())).await;
            assert!(all.into_iter().all(|bytes| bytes.unwrap().unwrap() == b"<p>"));
            assert_eq!(stub.requested_tags().len(), 1, "stale: {stale}");
        }
    }

    #[tokio::test]
    async fn concurrent_readers_of_a_large_file_each_get_the_whole_file() {
        let stub = Stub::start();
        let large = vec![b'x'; 2 << 20];
        stub.put("\"1\"", &large);
        let all = join_all((0..4).map(|_| stub.bytes())).await;
        assert!(all.into_iter().all(|bytes| bytes.unwrap().unwrap() == large));
    }

    #[tokio::test]
    async fn ranges_of_large_files_are_read_without_the_rest() {
        let stub = Stub::start();
        let bytes: Vec<u8> = (0..2 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
        stub.put("\"1\"", &bytes);
        let after_end = Some("bytes=3145728-4194303");
        for (path, part, read, requested) in [
            ("video.mp4", 5000..5010, 5000..5010, &[Some("bytes=5000-5009")][..]),
            ("video.mp4", 5000..1 << 62, 5000..bytes.len(), &[Some("bytes=5000-4611686018427387903")]),
            // The start of a text declares its charset.
            ("all.html", 5000..5010, 0..SNIFFED, &[Some("bytes=0-1023")]),
            ("video.mp4", 3 << 20..4 << 20, 0..bytes.len(), &[after_end, after_end, None]),
        ] {
            stub.object.lock().unwrap().ranges.clear();
            let Some(SingleFile::Large { range, bytes: mut stream, .. }) =
                stub.sites.single(&site(), path, Some(part)).await.unwrap()
            else {
                panic!("expected {path} to be a large file")
            };
            let mut all = Vec::new();
            while let Some(piece) = stream.next().await {
                all.extend_from_slice(&piece.unwrap());
            }
            assert_eq!(range, read.start as u64..read.end as u64, "{path}");
            assert!(all == bytes[read], "{path}");
            let ranges = stub.object.lock().unwrap().ranges.clone();
            assert_eq!(ranges.iter().map(Option::as_deref).collect::<Vec<_>>(), requested, "{path}");
        }
        stub.put("\"2\"", b"small");
        for part in [1..3, 9..10] {
            let Some(SingleFile::Small(cached)) = stub.sites.single(&site(), PATH, Some(part)).await.unwrap() else {
                panic!("expected a small file")
            };
            assert_eq!(cached.bytes, "small");
        }
    }

    #[tokio::test]
    async fn texts_are_cached_compressed_once() {
        let stub = Stub::start();
        let text = "<p>line</p>\n".repeat(5000);
        stub.put("\"1\"", text.as_bytes());
        let Some(SingleFile::Small(first)) = stub.sites.single(&site(), PATH, None).await.unwrap() else {
            panic!("expected a small file")
        };
        let Some(SingleFile::Small(again)) = stub.sites.single(&site(), PATH, None).await.unwrap() else {
            panic!("expected a small file")
        };
        assert!(first.is_gzip && first.bytes.len() < text.len() / 10 && first.size == text.len() as u64);
        assert_eq!(first.bytes.as_ptr(), again.bytes.as_ptr());
        let plain = [stub.sites.plain(&site(), PATH, &first).await, stub.sites.plain(&site(), PATH, &again).await];
        let [plain, same] = plain.map(Result::unwrap);
        assert_eq!((plain.as_ptr(), &*plain), (same.as_ptr(), text.as_bytes()));
    }
}
