//! Keeps values in memory if the storage denies access to them.

use std::sync::atomic::{AtomicBool, Ordering};

use moka::future::Cache;

use crate::values::value::Value;

/// The maximum number of values kept, as many as in the cache.
const MAX_VALUES: u64 = 10_000;

/// The values that could not be stored, by object key.
pub struct UnstoredValues {
    values: Cache<String, Value>,
    has_warned: AtomicBool,
}

impl UnstoredValues {
    pub fn new() -> Self {
        Self { values: Cache::new(MAX_VALUES), has_warned: AtomicBool::new(false) }
    }

    pub async fn get(&self, key: &str) -> Option<Value> {
        self.values.get(key).await
    }

    pub async fn keep(&self, key: String, value: Value, why: &anyhow::Error) {
        self.warn_once(why);
        self.values.insert(key, value).await;
    }

    /// Forgets a value, as the storage has it or a later one.
    pub async fn remove(&self, key: &str) {
        self.values.invalidate(key).await;
        self.has_warned.store(false, Ordering::Relaxed);
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
