//! Recognizes missing objects: without the right to list the bucket, S3 returns "forbidden" for a missing object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use tokio::time::Instant;

use crate::names::object::probe_key;
use crate::store::error::{Result, StorageError, may_hide_absence};
use crate::store::object::path;

/// How long the result for a folder is valid: rights may change while the server runs.
const VALID: Duration = Duration::from_secs(60);

/// Remembers which folders are readable. "Forbidden" in a readable folder means that the object is missing.
pub struct Absence {
    store: Arc<dyn ObjectStore>,
    /// Whether a folder is readable, and when that was found. There are few folders: one for each kind of object.
    readable: Mutex<HashMap<String, (bool, Instant)>>,
    /// Held by a probe, so that concurrent reads share its result.
    probing: tokio::sync::Mutex<()>,
}

impl Absence {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, readable: Mutex::default(), probing: tokio::sync::Mutex::default() }
    }

    /// The result of a read: [`StorageError::NotFound`] for a denied access that hides a missing object.
    pub async fn resolve<T>(&self, path: &Path, read: object_store::Result<T>) -> Result<T> {
        let folder = path.parts().next().map(|folder| folder.as_ref().to_owned()).unwrap_or_default();
        match read {
            Ok(read) => {
                self.remember(folder, true);
                Ok(read)
            }
            Err(denied) if may_hide_absence(&denied) => {
                // Boxed to keep the future of every read small.
                let is_readable = Box::pin(self.is_readable(folder)).await;
                Err(if is_readable { StorageError::NotFound } else { denied.into() })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn is_readable(&self, folder: String) -> bool {
        if let Some(known) = self.known(&folder) {
            return known;
        }
        let _probing = self.probing.lock().await;
        if let Some(known) = self.known(&folder) {
            return known;
        }
        let is_readable = self.probe_folder(&folder).await;
        self.remember(folder, is_readable);
        is_readable
    }

    fn known(&self, folder: &str) -> Option<bool> {
        let readable = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        readable.get(folder).filter(|(_, found_at)| found_at.elapsed() < VALID).map(|(is_readable, _)| *is_readable)
    }

    fn remember(&self, folder: String, is_readable: bool) {
        let mut readable = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        readable.insert(folder, (is_readable, Instant::now()));
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
