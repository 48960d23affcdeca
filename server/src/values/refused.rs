//! Keeps values in memory if the storage denies access to them.

use std::sync::atomic::{AtomicBool, Ordering};

use moka::future::Cache;

use crate::store::error::StorageError;
use crate::values::value::{KeptReason, Value};

/// The maximum number of values kept, as many as in the cache.
const MAX_VALUES: u64 = 10_000;

/// The values that the storage did not accept, by object key.
pub struct RefusedValues {
    values: Cache<String, Value>,
    has_warned: AtomicBool,
}

impl RefusedValues {
    pub fn new() -> Self {
        Self { values: Cache::new(MAX_VALUES), has_warned: AtomicBool::new(false) }
    }

    /// The last value. One in memory is newer than the one in the storage. Without one, the error is returned, as
    /// another server may have a value.
    pub async fn read(
        &self,
        key: &str,
        stored: Result<Option<Value>, StorageError>,
    ) -> Result<Option<Value>, StorageError> {
        match (self.values.get(key).await, stored) {
            (Some(kept), _) => Ok(Some(kept)),
            (None, Err(StorageError::Denied(why))) => {
                self.tell(&why);
                Err(StorageError::Denied(why))
            }
            (None, stored) => stored,
        }
    }

    /// The value that is valid after a write of `value`, and the reason if it is another one.
    pub async fn written(
        &self,
        key: String,
        value: Value,
        written: Result<(Value, Option<KeptReason>), StorageError>,
    ) -> Result<(Value, Option<KeptReason>), StorageError> {
        match written {
            Err(StorageError::Denied(why)) => {
                self.tell(&why);
                let kept = self.values.get(&key).await;
                if let Some((kept, stays)) =
                    kept.and_then(|kept| kept.reason_to_keep(&value).map(|stays| (kept, stays)))
                {
                    return Ok((kept, Some(stays)));
                }
                self.values.insert(key, value.clone()).await;
                Ok((value, None))
            }
            Ok((valid, None)) => {
                self.values.invalidate(&key).await;
                self.has_warned.store(false, Ordering::Relaxed);
                Ok((valid, None))
            }
            written => written,
        }
    }

    fn tell(&self, why: &anyhow::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the storage denies access to badge values, they are kept in memory (and in Redis, if set): allow this \
                 server to read and write values/* (on S3: s3:GetObject and s3:PutObject), or badges depend on \
                 GITHUB_TOKEN after a restart: {why:#}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::values::value::State;

    fn value(percent: f64, run: u64) -> Value {
        Value {
            percent: Some(percent),
            state: State::Success,
            site_id: None,
            commit_sha: String::new(),
            seen_at: Timestamp::UNIX_EPOCH,
            run_id: Some(run),
            issuer: None,
        }
    }

    fn denied<T>() -> Result<T, StorageError> {
        Err(StorageError::Denied(anyhow::anyhow!("AccessDenied")))
    }

    #[tokio::test]
    async fn a_value_that_the_storage_refuses_is_kept_until_the_storage_takes_one() {
        let kept = RefusedValues::new();
        let key = || "values/octo/app/_.json".to_owned();
        assert!(kept.read(&key(), denied()).await.is_err());
        let (old, new) = (value(80.0, 1), value(90.0, 2));
        assert_eq!(kept.written(key(), new.clone(), denied()).await.unwrap(), (new.clone(), None));
        let older = kept.written(key(), old.clone(), denied()).await.unwrap();
        assert_eq!(older, (new.clone(), Some(KeptReason::NewerRun(2))));
        assert_eq!(kept.read(&key(), denied()).await.unwrap(), Some(new.clone()));
        assert_eq!(kept.read(&key(), Ok(Some(old.clone()))).await.unwrap(), Some(new), "it can read, but not write");
        let newest = value(95.0, 3);
        let written = Ok((newest.clone(), None));
        assert_eq!(kept.written(key(), newest.clone(), written).await.unwrap(), (newest.clone(), None));
        assert_eq!(kept.read(&key(), Ok(Some(newest.clone()))).await.unwrap(), Some(newest));
        assert_eq!(kept.read(&key(), Ok(None)).await.unwrap(), None, "nothing is kept any more");
    }
}
