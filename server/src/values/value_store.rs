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
use crate::values::unstored::UnstoredValues;
use crate::values::value::{KeptReason, Value};

/// The number of locks: writes for one repository are serialized.
const LOCKS: usize = 64;
/// The maximum number of attempts if other servers write at the same time.
const MAX_ATTEMPTS: usize = 5;

/// The stored values, and the locks for writing them.
pub struct ValueStore {
    storage: Arc<Storage>,
    /// Values that could not be stored.
    unstored: UnstoredValues,
    /// Held while a repository's value is compared and written, as some stores have no conditional writes.
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl ValueStore {
    pub fn new(storage: Arc<Storage>) -> Self {
        Self {
            storage,
            unstored: UnstoredValues::default(),
            locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
        }
    }

    /// The last value, from the storage or, if the storage denied access, from memory.
    pub async fn last(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
    ) -> Result<Option<Value>, StorageError> {
        let unstored = self.unstored.get(&value_key(repository, name));
        match self.stored(repository, name).await {
            Ok(stored) => Ok(Value::latest(stored.and_then(|(value, _)| value), unstored)),
            Err(StorageError::Denied(why)) => {
                self.unstored.warn_once(&why);
                // Without a value in memory, the value is unknown: another server may have one.
                unstored.map(Some).ok_or(StorageError::Denied(why))
            }
            Err(error) => Err(error),
        }
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
        let stored = self.storage.find(&value_key(repository, name)).await?;
        // An invalid value counts as unknown and is overwritten.
        Ok(stored.map(|stored| (Value::read(&stored.bytes), stored.version)))
    }

    pub async fn lock(&self, repository: &Repository) -> MutexGuard<'_, ()> {
        let lock = self.hasher.hash_one(repository) % LOCKS as u64;
        self.locks[lock as usize].lock().await
    }

    /// Stores GitHub's value and returns the valid one. A value set during the look-up is newer: on this instance
    /// (`is_outdated`), or on another one (`seen_at` after `requested_at`).
    pub async fn store_from_github(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
        value: Value,
        requested_at: Timestamp,
        is_outdated: impl Fn() -> bool,
    ) -> Result<Value, StorageError> {
        let _lock = self.lock(repository).await;
        if is_outdated() {
            return Ok(value);
        }
        let Some(known) = self.last(repository, name).await? else {
            return self.store(repository, name, value).await.map(|(stored, _)| stored);
        };
        let is_newer = known.seen_at > requested_at;
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
        let key = value_key(repository, name);
        let unstored = self.unstored.get(&key);
        for _ in 0..MAX_ATTEMPTS {
            let (stored, version) = match self.stored(repository, name).await {
                Ok(stored) => stored.map_or((None, None), |(value, version)| (value, Some(version))),
                Err(StorageError::Denied(why)) => {
                    let (valid, reason) = value.or_known(unstored);
                    self.unstored.keep(key, valid.clone(), &why);
                    return Ok((valid, reason));
                }
                Err(error) => return Err(error),
            };
            let (valid, reason) = value.clone().or_known(Value::latest(stored.clone(), unstored.clone()));
            let written =
                if stored.as_ref() == Some(&valid) { Ok(()) } else { self.write(&key, &valid, version).await };
            match written {
                Ok(()) => self.unstored.remove(&key),
                Err(StorageError::Exists) => continue,
                Err(StorageError::Denied(why)) => self.unstored.keep(key, valid.clone(), &why),
                Err(error) => return Err(error),
            }
            return Ok((valid, reason));
        }
        Err(StorageError::Failed(anyhow::anyhow!("{key} was changed by others {MAX_ATTEMPTS} times in a row")))
    }

    /// Overwrites `version` with a value; without one, creates the object.
    async fn write(&self, key: &str, value: &Value, version: Option<Version>) -> Result<(), StorageError> {
        let bytes = serde_json::to_vec(value).map_err(|error| StorageError::Failed(error.into()))?;
        self.storage.write(key, bytes, version).await
    }
}
