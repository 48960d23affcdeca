//! The reports in the store, and the caches for their indexes and files.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use foldhash::quality::RandomState;
use hyper::header::HeaderValue;
use moka::future::Cache;
use tokio::time::Instant;

use crate::base::memory::{MemoryBudget, OutOfMemory, Reservation, STREAM_BYTES};
use crate::names::site::SiteId;
use crate::reports::archive::{Index, Limits};
use crate::store::storage::Storage;

/// The share of the cache for indexes: 1 / this.
const INDEX_SHARE: u64 = 4;
/// A file larger than the file cache / this is not cached.
const LARGEST_SHARE: u64 = 16;
/// The approximate size of a policy in bytes.
const POLICY_BYTES: usize = 512;
/// The approximate size of a site without an index in bytes.
const SITE_BYTES: usize = 192;
/// The approximate memory overhead of a cached file in bytes.
const FILE_BYTES: usize = 192;
/// The maximum size of a cached file, however large the cache is.
const LARGEST_FILE: u64 = 1 << 20;

/// The reports in the store, with their caches. Each request for a file looks into both, so they hash faster than the
/// standard library, and with a random seed as well.
pub struct Sites {
    pub(super) storage: Arc<Storage>,
    pub(super) open: Cache<SiteId, Known, RandomState>,
    pub(super) files: Cache<FileKey, Arc<CachedFile>, RandomState>,
    pub(super) largest_file: u64,
    pub(super) limits: Limits,
    pub(super) memory: Arc<MemoryBudget>,
}

/// What is known about a site.
#[derive(Clone)]
pub(super) enum Known {
    Zip(Arc<Site>),
    /// It was uploaded file by file, and has no index.
    ByFile,
}

impl Known {
    fn weight(&self) -> usize {
        match self {
            Self::Zip(site) => site.index.weight() + POLICY_BYTES,
            Self::ByFile => SITE_BYTES,
        }
    }
}

/// A report with its index.
pub struct Site {
    pub index: Index,
    /// The cached Content-Security-Policy of its files.
    pub policy: OnceLock<HeaderValue>,
}

/// Site, file, and whether it is inflated for clients without gzip.
pub(super) type FileKey = (SiteId, Name, bool);

/// Identifies a file of a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// The position in the index of a zip.
    Number(u32),
    /// The path in a file-by-file site.
    Path(Box<str>),
}

impl Name {
    fn len(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Path(path) => path.len(),
        }
    }
}

/// A cached file.
#[derive(Clone)]
pub struct CachedFile {
    pub bytes: Bytes,
    /// Whether the bytes are gzip.
    pub is_gzip: bool,
    pub content_type: HeaderValue,
    /// The size of the file itself.
    pub size: u64,
    /// The store's entity tag, for file-by-file sites.
    pub etag: Option<String>,
    /// When the file was last read or revalidated.
    pub(super) checked_at: Instant,
}

impl Sites {
    /// `cache_bytes`: memory for indexes and files together. `limits`: limits for the content of a report. `memory`:
    /// the budget for reads.
    pub fn new(storage: Arc<Storage>, cache_bytes: u64, limits: Limits, memory: Arc<MemoryBudget>) -> Self {
        let for_files = file_cache_bytes(cache_bytes);
        let for_indexes = cache_bytes - for_files;
        let weight = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            storage,
            limits,
            memory,
            open: Cache::builder()
                .max_capacity(for_indexes)
                .weigher(move |_, known: &Known| weight(known.weight()))
                .build_with_hasher(RandomState::default()),
            files: Cache::builder()
                .max_capacity(for_files)
                .weigher(move |key: &FileKey, cached: &Arc<CachedFile>| {
                    weight(cached.bytes.len() + key.1.len() + FILE_BYTES)
                })
                .build_with_hasher(RandomState::default()),
            largest_file: LARGEST_FILE.min(for_files / LARGEST_SHARE),
        }
    }

    /// Reserves memory for a read.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Reservation, OutOfMemory> {
        if let Some(reservation) = self.memory.try_reserve(bytes) {
            return Ok(reservation);
        }
        // The cache evicts in batches: until then it holds more than its capacity.
        self.files.run_pending_tasks().await;
        self.memory.reserve(bytes).await
    }

    /// Reserves memory for a stream. Call this before the request to the store, as its response waits in memory.
    pub(super) async fn reserve_for_stream(&self) -> Result<Reservation, OutOfMemory> {
        self.memory.reserve_for_stream(STREAM_BYTES + self.storage.read_ahead()).await
    }
}

/// The file cache's part of `CACHE_BYTES`.
pub fn file_cache_bytes(cache_bytes: u64) -> u64 {
    cache_bytes - cache_bytes / INDEX_SHARE
}
