//! The value behind a badge: what is remembered, GitHub, the last value in the store, nothing, in this order.

pub mod drawing;
mod refused;
pub mod statuses;
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

/// The values, as far as they are known.
pub struct Values {
    cache: Arc<Cache<Statuses>>,
    statuses: Arc<Statuses>,
}

impl Values {
    /// `redis`: what to share values by, and what only servers have in common whose values are the same.
    /// Needs the runtime.
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

    /// The value to show; however many ask at once, one look-up is made.
    pub fn get(&self, key: ValueKey) -> impl Future<Output = Option<Arc<Value>>> {
        self.cache.get(key)
    }

    /// Forgets what is remembered of a repository: the next reader's question goes to GitHub.
    pub async fn forget(&self, repository: &Repository) {
        self.cache.forget(repository.as_str()).await;
    }

    /// A repository that GitHub did not know may be there by now.
    pub async fn appeared(&self, repository: &Repository) {
        self.cache.appeared(repository.as_str()).await;
    }

    /// Takes a default branch's new value; gives back why the known one stays instead, if it does.
    pub async fn set(
        &self,
        repository: Repository,
        name: Option<ReportName>,
        value: Value,
    ) -> Result<Option<KeptReason>, StorageError> {
        let store = &self.statuses.store;
        let _lock = store.lock(&repository).await;
        let ticket = self.cache.write_ticket(repository.as_str()).await;
        let (stored, stays) = store.store(&repository, name.as_ref(), value).await?;
        if stored.percent.is_none() {
            // GitHub may know a number of an older commit, which the badge shows in place of none.
            self.cache.forget(repository.as_str()).await;
            return Ok(stays);
        }
        let key = ValueKey { repository, name, branch: None };
        // What the store decided on, and after it did.
        self.cache.put(key, Some(Arc::new(stored)), ticket).await;
        Ok(stays)
    }

    /// The default branch's name, where GitHub tells it.
    pub async fn default_branch(&self, repository: &Repository) -> Option<String> {
        self.statuses.github.as_ref()?.default_branch(repository, GITHUB_TIME).await
    }

    /// Whether Redis answers; `None`: there is none.
    pub fn redis(&self) -> Option<RedisState> {
        self.cache.redis()
    }
}
