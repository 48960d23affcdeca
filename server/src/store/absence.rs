//! Whether a refusal means that nothing is there: without the right to list, S3 answers "forbidden" for a missing object.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use crate::names::object::probe_key;
use crate::store::error::{Result, StorageError, may_hide_absence};
use crate::store::object::path;

/// How long one look at a folder counts: rights may change while the server runs.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The folders of the store.
const FOLDERS: u64 = 8;

/// The folders whose objects this server can read. A refusal in one of them means that nothing is there.
pub struct Absence {
    store: Arc<dyn ObjectStore>,
    readable: Cache<String, bool>,
}

impl Absence {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, readable: Cache::builder().max_capacity(FOLDERS).time_to_live(REMEMBERED).build() }
    }

    /// What a read came to: [`StorageError::NotFound`] for a refusal that hides a missing object.
    pub async fn resolve<T>(&self, path: &Path, read: object_store::Result<T>) -> Result<T> {
        let folder = path.parts().next().map(|folder| folder.as_ref().to_owned()).unwrap_or_default();
        match read {
            Ok(read) => {
                self.readable.insert(folder, true).await;
                Ok(read)
            }
            Err(refusal) if may_hide_absence(&refusal) => {
                let can_read = self.can_read(&folder);
                // Boxed: it is seldom needed, and would make the future of every read large.
                let is_readable = self.readable.get_with_by_ref(&folder, Box::pin(can_read)).await;
                Err(if is_readable { StorageError::NotFound } else { refusal.into() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads an object that is certainly there: where there is none yet, one is written.
    async fn can_read(&self, folder: &str) -> bool {
        let Ok(probe) = path(&probe_key(folder)) else { return false };
        if self.store.get(&probe).await.is_ok() {
            return true;
        }
        let written = self.store.put_opts(&probe, Vec::new().into(), PutMode::Create.into()).await;
        written.is_ok() && self.store.get(&probe).await.is_ok()
    }
}
