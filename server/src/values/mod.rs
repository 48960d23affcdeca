//! The values of badges. Look-ups try the cache, GitHub and the last value in the store, in this order.

pub mod drawing;
pub mod statuses;
mod unstored;
pub mod value;
mod value_store;

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Cache, RedisState, RedisUrl};
use crate::github::GitHub;
use crate::identity::allowed::Allowed;
use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::reports::address::Reports;
use crate::store::error::StorageError;
use crate::store::storage::Storage;
use statuses::Statuses;
use value::{KeptReason, Value, ValueKey};
use value_store::ValueStore;

/// How long an upload waits for GitHub to name the default branch.
const GITHUB_TIME: Duration = Duration::from_millis(1200);

/// Looks up and sets the values of badges.
pub struct Values {
    cache: Arc<Cache<Statuses>>,
    statuses: Arc<Statuses>,
}

impl Values {
    /// `redis`: the URL, and a namespace for servers with the same values. Must run inside the runtime.
    pub fn new(
        storage: Arc<Storage>,
        github: Option<GitHub>,
        allowed: Arc<Allowed>,
        reports: Arc<Reports>,
        redis: Option<(RedisUrl, String)>,
    ) -> Self {
        let statuses = Arc::new(Statuses::new(ValueStore::new(storage), github, allowed, reports));
        Self { cache: Cache::new(statuses.clone(), redis), statuses }
    }

    /// The value; concurrent requests share one look-up.
    pub fn get(&self, key: ValueKey) -> impl Future<Output = Option<Arc<Value>>> {
        self.cache.get(key)
    }

    /// Invalidates a repository's values: the next request asks GitHub.
    pub async fn invalidate(&self, repository: &Repository) {
        self.cache.invalidate(repository.as_str()).await;
    }

    /// Invalidates a repository that GitHub did not know and may know now.
    pub async fn invalidate_absent(&self, repository: &Repository) {
        self.cache.invalidate_absent(repository.as_str()).await;
    }

    /// Sets the value of the default branch; returns the reason if the known value is kept instead.
    pub async fn set(
        &self,
        repository: Repository,
        name: Option<ReportName>,
        value: Value,
    ) -> Result<Option<KeptReason>, StorageError> {
        let store = &self.statuses.store;
        let _lock = store.lock(&repository).await;
        let ticket = self.cache.write_ticket(repository.as_str()).await;
        let (stored, kept_reason) = store.store(&repository, name.as_ref(), value).await?;
        if stored.percent.is_none() {
            // GitHub may have a number of an older commit, which is better than none.
            self.cache.invalidate(repository.as_str()).await;
            return Ok(kept_reason);
        }
        let key = ValueKey { repository, name, branch: None };
        // Cache the value that is in the store, which may be the known one.
        self.cache.put(key, Some(Arc::new(stored)), ticket).await;
        Ok(kept_reason)
    }

    /// The default branch's name; `None` if GitHub does not return it.
    pub async fn default_branch(&self, repository: &Repository) -> Option<String> {
        self.statuses.github.as_ref()?.default_branch(repository, GITHUB_TIME).await
    }

    /// Whether Redis is up; `None` if it is not configured.
    pub fn redis(&self) -> Option<RedisState> {
        self.cache.redis()
    }
}
