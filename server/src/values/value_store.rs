//! The last values in the store.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

use crate::names::object::value_key;
use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::names::site::SiteId;
use crate::store::error::StorageError;
use crate::store::storage::{Storage, Version};
use crate::values::refused::RefusedValues;
use crate::values::value::{KeptReason, Value};

/// The number of locks: writes for one repository are serialized.
const LOCKS: usize = 64;
/// The maximum number of attempts if other servers write at the same time.
const WRITES: usize = 5;

/// The values in the store.
pub struct ValueStore {
    storage: Arc<Storage>,
    /// Values that the storage did not accept.
    refused: RefusedValues,
    /// Held while a repository's value is compared and written, as some stores have no conditional writes.
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl ValueStore {
    pub fn new(storage: Arc<Storage>) -> Self {
        Self {
            storage,
            refused: RefusedValues::new(),
            locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
        }
    }

    /// The last value that was stored.
    pub async fn last(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
    ) -> Result<Option<Value>, StorageError> {
        let stored = self.stored(repository, name).await;
        let stored = stored.map(|stored| stored.and_then(|(value, _)| value));
        self.refused.read(&value_key(repository, name), stored).await
    }

    /// The repository in a site's record. Sites uploaded file by file have no record.
    pub async fn owner_of(&self, site: &SiteId) -> Option<Repository> {
        #[derive(Deserialize)]
        struct Record {
            repository: String,
        }
        let stored = self.storage.get(&site.record_key()).await.ok()?;
        serde_json::from_slice::<Record>(&stored.bytes).ok()?.repository.parse().ok()
    }

    async fn stored(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
    ) -> Result<Option<(Option<Value>, Version)>, StorageError> {
        match self.storage.get(&value_key(repository, name)).await {
            // An invalid value counts as unknown and is overwritten.
            Ok(stored) => Ok(Some((Value::read(&stored.bytes), stored.version))),
            Err(StorageError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub async fn lock(&self, repository: &Repository) -> MutexGuard<'_, ()> {
        let lock = self.hasher.hash_one(repository) % LOCKS as u64;
        self.locks[lock as usize].lock().await
    }

    /// Stores GitHub's value and returns the valid one. A value set during the look-up is newer: on this instance
    /// (`is_overtaken`), or on another one (`seen_at` after `asked_at`).
    pub async fn store_from_github(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
        value: Value,
        asked_at: Timestamp,
        is_overtaken: impl Fn() -> bool,
    ) -> Result<Value, StorageError> {
        let _lock = self.lock(repository).await;
        if is_overtaken() {
            return Ok(value);
        }
        let Some(known) = self.last(repository, name).await? else {
            return self.store(repository, name, value).await.map(|(stored, _)| stored);
        };
        let is_newer = known.seen_at > asked_at;
        let value = value.completed_by(&known);
        if is_newer || value.equals(&known) {
            return Ok(known);
        }
        self.store(repository, name, value).await.map(|(stored, _)| stored)
    }

    /// Writes a value unless there is a reason to keep the known one. Returns the valid value and that reason. If the
    /// storage denies access, the value is kept in memory.
    pub async fn store(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
        value: Value,
    ) -> Result<(Value, Option<KeptReason>), StorageError> {
        let written = self.write(repository, name, value.clone()).await;
        self.refused.written(value_key(repository, name), value, written).await
    }

    async fn write(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
        value: Value,
    ) -> Result<(Value, Option<KeptReason>), StorageError> {
        let key = value_key(repository, name);
        let bytes = serde_json::to_vec(&value).map_err(|error| StorageError::Failed(error.into()))?;
        for _ in 0..WRITES {
            let written = match self.stored(repository, name).await? {
                Some((known, version)) => {
                    if let Some((known, stays)) =
                        known.and_then(|known| known.reason_to_keep(&value).map(|why| (known, why)))
                    {
                        return Ok((known, Some(stays)));
                    }
                    self.storage.replace(&key, bytes.clone(), version).await
                }
                None => self.storage.create(&key, bytes.clone()).await,
            };
            match written {
                Err(StorageError::Exists) => {}
                other => return other.map(|()| (value, None)),
            }
        }
        Err(StorageError::Failed(anyhow::anyhow!("{key} was changed by others {WRITES} times in a row")))
    }
}
