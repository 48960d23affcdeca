//! Keeps values in memory if the storage denies access to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::values::value::Value;

/// The maximum number of values kept, as many as in the cache.
const MAX_VALUES: usize = 10_000;

/// The values that could not be stored, by object key.
#[derive(Default)]
pub struct UnstoredValues {
    values: Mutex<HashMap<String, Value>>,
    has_warned: AtomicBool,
}

impl UnstoredValues {
    pub fn get(&self, key: &str) -> Option<Value> {
        self.lock().get(key).cloned()
    }

    /// Keeps a value. If there are too many, any other one is dropped.
    pub fn keep(&self, key: String, value: Value, why: &anyhow::Error) {
        self.warn_once(why);
        let mut values = self.lock();
        if values.len() >= MAX_VALUES
            && !values.contains_key(&key)
            && let Some(other) = values.keys().next().cloned()
        {
            values.remove(&other);
        }
        values.insert(key, value);
    }

    /// Forgets a value, as the storage has it or a later one.
    pub fn remove(&self, key: &str) {
        self.lock().remove(key);
        self.has_warned.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs once that the storage denies access to values.
    pub fn warn_once(&self, why: &anyhow::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the storage denies access to badge values, they are kept in memory (and in Redis, if set): allow this \
                 server to read and write values/* (on S3: s3:GetObject and s3:PutObject), or badges depend on \
                 GITHUB_TOKEN after a restart: {why:#}"
            );
        }
    }
}
