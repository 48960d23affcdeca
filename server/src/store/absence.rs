//! Recognizes missing objects: without the right to list the bucket, S3 returns "forbidden" for a missing object.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use crate::names::object::probe_key;
use crate::store::error::{Result, StorageError, may_hide_absence};
use crate::store::object::path;

/// How long the result for a folder is cached: rights may change while the server runs.
const CACHE_TIME: Duration = Duration::from_secs(60);
/// The maximum number of folders.
const MAX_FOLDERS: u64 = 8;

/// Remembers which folders are readable. "Forbidden" in a readable folder means that the object is missing.
pub struct Absence {
    store: Arc<dyn ObjectStore>,
    readable: Cache<String, bool>,
}

impl Absence {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, readable: Cache::builder().max_capacity(MAX_FOLDERS).time_to_live(CACHE_TIME).build() }
    }

    /// The result of a read: [`StorageError::NotFound`] for a denied access that hides a missing object.
    pub async fn resolve<T>(&self, path: &Path, read: object_store::Result<T>) -> Result<T> {
        let folder = path.parts().next().map(|folder| folder.as_ref().to_owned()).unwrap_or_default();
        match read {
            Ok(read) => {
                self.readable.insert(folder, true).await;
                Ok(read)
            }
            Err(denied) if may_hide_absence(&denied) => {
                let probe = self.probe_folder(&folder);
                // Boxed to keep the future of every read small.
                let is_readable = self.readable.get_with_by_ref(&folder, Box::pin(probe)).await;
                Err(if is_readable { StorageError::NotFound } else { denied.into() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the folder's probe object, and creates it if it is missing. Returns whether it can be read.
    async fn probe_folder(&self, folder: &str) -> bool {
        let Ok(probe) = path(&probe_key(folder)) else { return false };
        if self.store.get(&probe).await.is_ok() {
            return true;
        }
        let written = self.store.put_opts(&probe, Vec::new().into(), PutMode::Create.into()).await;
        written.is_ok() && self.store.get(&probe).await.is_ok()
    }
}
