//! Creates, reads and overwrites objects in a bucket, a folder or memory.

mod upload;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::signer::Signer;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};
use url::Url;

use crate::names::object::{SITES, probe_key};
use crate::store::absence::Absence;
use crate::store::error::{Result, StorageError, may_hide_absence, within};
use crate::store::folder::Folder;
use crate::store::measured::Measured;
use crate::store::object::{FetchedFile, FileMeta, Tail, path};
use crate::store::presigner::Presigner;
use crate::store::settings::StorageConfig;
use crate::store::sts::Sts;
use crate::store::{ranged, vendors};

/// The approximate number of bytes that the client of a bucket reads ahead per stream, as measured.
const BUCKET_READ_AHEAD: usize = 192 << 10;
/// The maximum size of objects that this server writes itself: records, values and bindings.
const MAX_SMALL_OBJECT: u64 = 64 << 10;

/// A store of objects.
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    presigner: Option<Presigner>,
    sts: Option<Sts>,
    /// Set if the objects are files.
    folder: Option<Arc<Folder>>,
    /// Set if the objects are in a bucket.
    absence: Option<Absence>,
    /// Whether suffix ranges are supported: not by Azure.
    has_suffix_ranges: bool,
    name: String,
}

/// An object's bytes and its version for conditional writes.
pub struct Stored {
    pub bytes: Bytes,
    pub version: Version,
}

/// The version of an object.
pub struct Version(UpdateVersion);

impl Storage {
    /// `upload_role`: the role for file-by-file uploads to S3.
    pub fn new(config: &StorageConfig, upload_role: Option<&str>) -> anyhow::Result<Self> {
        match config {
            StorageConfig::Memory => Ok(Self {
                store: Arc::new(Measured(Arc::new(InMemory::new()))),
                presigner: None,
                sts: None,
                folder: None,
                absence: None,
                has_suffix_ranges: true,
                name: "memory (gone when the server stops)".to_owned(),
            }),
            StorageConfig::Files(folder) => Self::files(folder),
            StorageConfig::Bucket { url, options } => {
                Self::bucket(url, options, upload_role).with_context(|| format!("STORAGE_URL {url} cannot be used"))
            }
        }
    }

    fn files(folder: &FilePath) -> anyhow::Result<Self> {
        let folder = Folder::open(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder.path())?.with_fsync(true);
        Ok(Self {
            store: Arc::new(Measured(Arc::new(store))),
            presigner: None,
            sts: None,
            absence: None,
            has_suffix_ranges: true,
            name: folder.path().display().to_string(),
            folder: Some(Arc::new(folder)),
        })
    }

    fn bucket(url: &Url, options: &HashMap<String, String>, upload_role: Option<&str>) -> anyhow::Result<Self> {
        let bucket = url.host_str().unwrap_or_default();
        let prefix = Path::from_url_path(url.path())?;
        let mut sts = None;
        let (store, signer): (Arc<dyn ObjectStore>, Arc<dyn Signer>) = match url.scheme() {
            "s3" => {
                let store = vendors::s3(bucket, options)?;
                sts =
                    upload_role.map(|role| Sts::new(role, bucket, options, store.credentials().clone())).transpose()?;
                as_store_and_signer(store)
            }
            "gs" => as_store_and_signer(vendors::gcs(bucket, options)?),
            _ => as_store_and_signer(vendors::azure(bucket, options)?),
        };
        let store: Arc<dyn ObjectStore> = Arc::new(Measured(Arc::new(PrefixStore::new(store, prefix.clone()))));
        Ok(Self {
            absence: Some(Absence::new(store.clone())),
            store,
            presigner: Some(Presigner::new(url.scheme(), signer, prefix)),
            sts,
            folder: None,
            has_suffix_ranges: url.scheme() != "az",
            name: url.to_string(),
        })
    }

    /// The maximum number of bytes that are read ahead per stream. Files in a folder are not read ahead.
    pub fn read_ahead(&self) -> usize {
        if self.presigner.is_some() { BUCKET_READ_AHEAD } else { 0 }
    }

    /// The storage's location, for the operator.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks that the store responds and grants access.
    pub async fn check(&self) -> Result<()> {
        match &self.folder {
            Some(_) => self.check_folder(Folder::probe).await,
            // Not HEAD: only a response with a body distinguishes wrong credentials from a missing object.
            None => match self.get(&probe_key(SITES)).await {
                Ok(_) | Err(StorageError::NotFound) => Ok(()),
                Err(error) => Err(error),
            },
        }
    }

    /// The path of the folder; `None` for buckets and memory.
    pub fn folder(&self) -> Option<&FilePath> {
        self.folder.as_deref().map(Folder::path)
    }

    async fn check_folder(&self, check: fn(&Folder) -> std::io::Result<()>) -> Result<()> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let checked = tokio::task::spawn_blocking(move || check(&folder)).await;
        let checked = checked.map_err(anyhow::Error::from).and_then(|checked| Ok(checked?));
        checked.map_err(|error| StorageError::Failed(error.context("the reports' folder cannot be used")))
    }

    /// Creates an object; an existing one is not changed.
    pub async fn create(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let path = path(key)?;
        self.check_folder(Folder::check_identity).await?;
        within(async { Ok(self.store.put_opts(&path, bytes.into(), PutMode::Create.into()).await?) }).await?;
        Ok(())
    }

    /// Reads a small object.
    pub async fn get(&self, key: &str) -> Result<Stored> {
        within(async {
            let path = path(key)?;
            let result = self.open(&path, GetOptions::default()).await?;
            let (e_tag, version) = (result.meta.e_tag.clone(), result.meta.version.clone());
            let size = result.meta.size;
            if size > MAX_SMALL_OBJECT {
                return Err(StorageError::unexpected(format_args!(
                    "{size} bytes for {key}, which this server did not write"
                )));
            }
            let bytes = ranged::collect(self.bytes_of(path, result), size as usize).await?;
            Ok(Stored { bytes, version: Version(UpdateVersion { e_tag, version }) })
        })
        .await
    }

    /// Reads a small object; `None` if it does not exist.
    pub async fn find(&self, key: &str) -> Result<Option<Stored>> {
        match self.get(key).await {
            Ok(stored) => Ok(Some(stored)),
            Err(StorageError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Overwrites `version` of an object; without one, creates the object.
    pub async fn write(&self, key: &str, bytes: Vec<u8>, version: Option<Version>) -> Result<()> {
        match version {
            Some(version) => self.replace(key, bytes, version).await,
            None => self.create(key, bytes).await,
        }
    }

    /// Overwrites the version that was read, unless it was changed meanwhile. A folder cannot check this and
    /// overwrites.
    async fn replace(&self, key: &str, bytes: Vec<u8>, read: Version) -> Result<()> {
        let path = path(key)?;
        self.check_folder(Folder::check_identity).await?;
        let written = async {
            match self.store.put_opts(&path, bytes.clone().into(), PutMode::Update(read.0).into()).await {
                Err(object_store::Error::NotImplemented { .. }) => Ok(self.store.put(&path, bytes.into()).await?),
                other => Ok(other?),
            }
        };
        within(written).await.map(|_| ())
    }

    /// Reads the last `length` bytes of an object.
    pub async fn tail(&self, key: &str, length: u64) -> Result<Tail> {
        let path = path(key)?;
        let read = async {
            // Azure has no suffix ranges, so read the size first.
            let range = if self.has_suffix_ranges {
                GetRange::Suffix(length)
            } else {
                let size = self.store.head(&path).await?.size;
                GetRange::Bounded(size.saturating_sub(length)..size)
            };
            let result = self.open(&path, GetOptions::new().with_range(Some(range))).await?;
            let Range { start, end } = result.range;
            if end != result.meta.size || end - start > length {
                return Err(StorageError::unexpected(format_args!("{start}..{end} for the last {length} bytes")));
            }
            let bytes = ranged::collect(self.bytes_of(path, result), (end - start) as usize).await?;
            Ok(Tail { offset: start, bytes })
        };
        within(read).await
    }

    /// Reads a part of an object.
    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let length = (range.end - range.start) as usize;
        within(async { ranged::collect(self.part(key, range, None).await?, length).await }).await
    }

    /// Streams a part of an object. `known`: the entity tag of the required version.
    pub async fn stream(
        &self,
        key: &str,
        range: Range<u64>,
        known: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        Ok(within(self.part(key, range, known)).await?.boxed())
    }

    async fn part(
        &self,
        key: &str,
        range: Range<u64>,
        known: Option<&str>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let path = path(key)?;
        // Only the cloud stores support entity tags.
        let known = known.filter(|_| self.presigner.is_some()).map(str::to_owned);
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone()))).with_if_match(known);
        let result = self.open(&path, options).await?;
        if result.range != range {
            return Err(StorageError::unexpected(format_args!("{:?} for {range:?}", result.range)));
        }
        Ok(self.bytes_of(path, result))
    }

    fn bytes_of(&self, path: Path, result: GetResult) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        ranged::bytes(self.store.clone(), path, result)
    }

    /// Starts a read. Retries an invalid response once: the library retries only failures and throttling.
    async fn open(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let once = || async {
            let result = self.resolve(path, self.store.get_opts(path, options.clone()).await).await?;
            // Every vendor sends an entity tag: a response without one comes from a proxy, not from the store.
            let is_object = self.presigner.is_none() || result.meta.e_tag.is_some();
            is_object.then_some(result).ok_or_else(|| StorageError::unexpected("what is no object"))
        };
        match once().await {
            Err(StorageError::Failed(_)) => once().await,
            // A folder that is not mounted seems empty.
            Err(StorageError::NotFound) => {
                Err(self.check_folder(Folder::check_identity).await.err().unwrap_or(StorageError::NotFound))
            }
            other => other,
        }
    }

    /// Whether an object exists.
    pub async fn exists(&self, key: &str) -> Result<bool> {
        match self.meta(key).await {
            Ok(_) => Ok(true),
            Err(StorageError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads an object or a part of it, unless its entity tag is `known`. The part may extend beyond the end of the
    /// object.
    pub async fn file(&self, key: &str, known: Option<&str>, part: Option<Range<u64>>) -> Result<FetchedFile> {
        // Only the cloud stores support entity tags.
        let if_none_match = known.filter(|_| self.presigner.is_some()).map(str::to_owned);
        let options = GetOptions { if_none_match, ..GetOptions::default() }.with_range(part.map(GetRange::Bounded));
        let path = path(key)?;
        match within(self.open(&path, options)).await {
            Err(StorageError::Unchanged) => Ok(FetchedFile::Unchanged),
            Err(error) => Err(error),
            Ok(result) => {
                let (meta, range) = (FileMeta::of(&result.meta), result.range.clone());
                let bytes = self.bytes_of(path, result).map(|item| item.map_err(std::io::Error::other));
                Ok(FetchedFile::File(meta, range, bytes.boxed()))
            }
        }
    }

    /// The size and the tag of a whole object.
    pub async fn meta(&self, key: &str) -> Result<FileMeta> {
        let path = path(key)?;
        within(async { Ok(FileMeta::of(&self.resolve(&path, self.store.head(&path).await).await?)) }).await
    }

    /// The result of a read from a store that may hide missing objects.
    async fn resolve<T>(&self, path: &Path, read: object_store::Result<T>) -> Result<T> {
        match &self.absence {
            Some(absence) => absence.resolve(path, read).await,
            None => Ok(read?),
        }
    }

    /// Whether the store distinguishes missing objects from forbidden ones: S3 does if the bucket can be listed.
    pub async fn distinguishes_missing(&self, key: &str) -> Result<bool> {
        let path = path(key)?;
        within(async {
            match self.store.head(&path).await {
                Err(denied) if may_hide_absence(&denied) => Ok(false),
                Err(object_store::Error::NotFound { .. }) => Ok(true),
                Err(error) => Err(error.into()),
                Ok(_) => Err(StorageError::unexpected("an object where there is none")),
            }
        })
        .await
    }

    pub async fn delete(&self, key: &str) -> Result<()> {
        Ok(self.store.delete(&path(key)?).await?)
    }
}

fn as_store_and_signer<S: ObjectStore + Signer>(store: S) -> (Arc<dyn ObjectStore>, Arc<dyn Signer>) {
    let store = Arc::new(store);
    (store.clone(), store)
}
