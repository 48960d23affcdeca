//! The value behind a badge: what is remembered, GitHub, the last value in the store, nothing, in this order.

mod kept;
mod order;
mod source;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, LookUp, RedisState, RedisUrl};
use crate::github::{GitHub, Quota};
use crate::identity::allowed::Allowed;
use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::names::site::SiteId;
use crate::reports::Reports;
use crate::store::error::StorageError;
use crate::store::storage::Storage;
use order::Order;
use source::Statuses;
pub(crate) use source::percent_of;

/// Whether the coverage is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Success,
    Failure,
}

/// What a badge shows, and where it leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Percent of what the report's total counts; `None`: the report shows no total.
    pub percent: Option<f64>,
    pub state: State,
    /// The site of the report, where it is one of this server's.
    pub site_id: Option<String>,
    pub commit_sha: String,
    pub seen_at: Timestamp,
    /// The newest workflow run that is known to have said a value: runs can overtake one another, and a later one has a
    /// higher number.
    #[serde(default)]
    pub run_id: Option<u64>,
    /// The GitHub instance that numbers its runs so; each instance starts anew.
    #[serde(default)]
    pub issuer: Option<String>,
}

/// Whose value: a repository's, by the report's name and the branch (`None`: the default branch).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueKey {
    pub repository: Repository,
    pub name: Option<ReportName>,
    pub branch: Option<String>,
}

impl Value {
    /// What the store holds, unless it is something that this server would not have written.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let value: Self = serde_json::from_slice(bytes).ok()?;
        let percent_fits = value.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent));
        let site_fits = value.site_id.as_ref().is_none_or(|site| site.parse::<SiteId>().is_ok());
        (percent_fits && site_fits).then_some(value)
    }

    /// Why this value, which was known before, stays where another one is said.
    fn stays(&self, said: &Self) -> Option<Stays> {
        let is_newer_run = self.issuer == said.issuer && said.run_id.is_some() && said.run_id < self.run_id;
        match self.run_id.filter(|_| is_newer_run) {
            Some(run) => Some(Stays::NewerRun(run)),
            None if said.percent.is_none() && self.percent.is_some() => Some(Stays::Number),
            None => None,
        }
    }
}

/// Why a value that was known before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// A newer run said it. Runs of different GitHub instances, and those without a number, are taken as they come.
    NewerRun(u64),
    /// It has a number, and the other one has none.
    Number,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerRun(run) => write!(f, "the value of run {run} stays: it is a newer one"),
            Self::Number => f.write_str("the last number stays: this report has no total"),
        }
    }
}

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
        let statuses = Arc::new(Statuses::new(Order::new(storage), github, allowed, reports));
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
    ) -> Result<Option<Stays>, StorageError> {
        let order = &self.statuses.order;
        let _lane = order.lane(&repository).await;
        let turn = self.cache.turn(repository.as_str()).await;
        let (stored, stays) = order.store(&repository, name.as_ref(), value).await?;
        if stored.percent.is_none() {
            // GitHub may know a number of an older commit, which the badge shows in place of none.
            self.cache.forget(repository.as_str()).await;
            return Ok(stays);
        }
        let key = ValueKey { repository, name, branch: None };
        // What the store decided on, and after it did.
        self.cache.put(key, Some(Arc::new(stored)), turn).await;
        Ok(stays)
    }

    /// How often look-ups came to this so far.
    pub fn look_ups(&self, outcome: LookUp) -> u64 {
        self.cache.look_ups(outcome)
    }

    /// Whether Redis answers; `None`: there is none.
    pub fn redis(&self) -> Option<RedisState> {
        self.cache.redis()
    }

    /// What GitHub last said of the token's quota.
    pub fn quota(&self) -> Option<Quota> {
        self.statuses.github.as_ref()?.quota()
    }
}
