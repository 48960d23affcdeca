//! The value behind a badge, in this order: what is remembered, GitHub, the last value in the store, nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::Expiry;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use crate::github::{CommitStatus, GitHub};
use crate::key::{ReportName, Repository, RepositoryRule, SiteId, value_key};
use crate::storage::{Storage, StorageError, Version};

/// How long a value is shown without asking GitHub again.
const FRESH: Duration = Duration::from_secs(60);
/// How long the last known value is shown before a GitHub that failed is asked again.
const FRESH_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long a reader waits for GitHub, and then for the store: a badge answers within two seconds.
const GITHUB_TIME: Duration = Duration::from_millis(1200);
const STORE_TIME: Duration = Duration::from_millis(600);
/// Badges that are remembered, at most.
const MAX_VALUES: u64 = 10_000;
/// Look-ups at GitHub for one repository in a minute: names and branches are free to choose, and the quota is not.
const LOOK_UPS_A_MINUTE: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);
/// Writes to the store at once; those of one repository go one after the other.
const LANES: usize = 64;
/// How often a write is tried that another server's write came before.
const WRITES: usize = 5;

/// Whether the coverage is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The workflow run that uploaded it: runs can overtake one another, and a later one has a higher number.
    #[serde(default)]
    pub run_id: Option<u64>,
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
}

#[derive(Clone)]
struct Found {
    value: Option<Arc<Value>>,
    fresh: Duration,
}

struct ByFreshness;

impl Expiry<(ValueKey, u64), Found> for ByFreshness {
    fn expire_after_create(&self, _: &(ValueKey, u64), found: &Found, _: Instant) -> Option<Duration> {
        Some(found.fresh)
    }
}

/// The values, as far as they are known.
pub struct Values {
    storage: Arc<Storage>,
    github: Option<GitHub>,
    /// GitHub is asked about these repositories only; empty: about all.
    allowed: Vec<RepositoryRule>,
    /// Where this server's reports are: only statuses that lead there are followed.
    reports_url: String,
    found: Cache<(ValueKey, u64), Found>,
    /// Forgetting a repository's values moves it to a new epoch: a look-up that is still under way ends in the old one.
    epochs: Cache<Repository, u64>,
    epoch: AtomicU64,
    /// Look-ups of the last minute, by repository.
    asked: Cache<Repository, Arc<AtomicU32>>,
    /// Held while a repository's value is compared and written: not every store can compare and write in one.
    lanes: [Mutex<()>; LANES],
    hasher: RandomState,
}

impl Values {
    pub fn new(
        storage: Arc<Storage>,
        github: Option<GitHub>,
        allowed: Vec<RepositoryRule>,
        reports_url: String,
    ) -> Self {
        Self {
            storage,
            github,
            allowed,
            reports_url,
            found: Cache::builder().max_capacity(MAX_VALUES).expire_after(ByFreshness).build(),
            // An epoch must outlive the values of the one before.
            epochs: Cache::builder().max_capacity(MAX_VALUES).time_to_live(5 * FRESH).build(),
            epoch: AtomicU64::new(1),
            asked: Cache::builder().max_capacity(MAX_VALUES).time_to_live(MINUTE).build(),
            lanes: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
        }
    }

    /// The value to show; however many ask at once, one look-up is made.
    pub async fn get(&self, key: &ValueKey) -> Option<Arc<Value>> {
        let epoch = self.epochs.get(&key.repository).await.unwrap_or(0);
        self.found.get_with((key.clone(), epoch), self.look_up(key, epoch)).await.value
    }

    /// Forgets what is remembered of a repository: the next reader's question goes to GitHub.
    pub async fn forget(&self, repository: &Repository) -> u64 {
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed);
        self.epochs.insert(repository.clone(), epoch).await;
        epoch
    }

    /// Takes a default branch's new value, unless it is from an older run than the one that is known.
    pub async fn set(
        &self,
        repository: Repository,
        name: Option<ReportName>,
        value: Value,
    ) -> Result<(), StorageError> {
        let _lane = self.lane(&repository).await;
        let stored = self.store(&repository, name.as_ref(), value).await?;
        let epoch = self.forget(&repository).await;
        let key = ValueKey { repository, name, branch: None };
        self.found.insert((key, epoch), Found { value: Some(Arc::new(stored)), fresh: FRESH }).await;
        Ok(())
    }

    async fn look_up(&self, key: &ValueKey, epoch: u64) -> Found {
        let (from_github, fresh) = match self.ask_github(key).await {
            Ok(value) => (value, FRESH),
            Err(error) => {
                tracing::warn!(repository = %key.repository, "GitHub gave no status, the last value is shown: {error:#}");
                (None, FRESH_AFTER_FAILURE)
            }
        };
        // The store keeps the default branch's values alone.
        if key.branch.is_some() {
            return Found { value: from_github.map(Arc::new), fresh };
        }
        let name = key.name.as_ref();
        let stored = tokio::time::timeout(STORE_TIME, async {
            match from_github.clone() {
                Some(value) => self.store_from_github(&key.repository, name, value, epoch).await.map(Some),
                None => self.stored(&key.repository, name).await.map(|stored| stored.and_then(|(value, _)| value)),
            }
        });
        let value = match stored.await {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => {
                tracing::warn!(repository = %key.repository, "the last value could not be kept or read: {:#}", anyhow::Error::from(error));
                from_github
            }
            Err(_) => {
                tracing::warn!(repository = %key.repository, "the store took more than {STORE_TIME:?} for the last value");
                from_github
            }
        };
        Found { value: value.map(Arc::new), fresh }
    }

    async fn ask_github(&self, key: &ValueKey) -> anyhow::Result<Option<Value>> {
        let Some(github) = &self.github else {
            return Ok(None);
        };
        if !self.allowed.is_empty() && !self.allowed.iter().any(|rule| rule.allows(&key.repository)) {
            return Ok(None);
        }
        let asked = self.asked.get_with_by_ref(&key.repository, async { Arc::default() }).await;
        let within = asked.fetch_add(1, Ordering::Relaxed) < LOOK_UPS_A_MINUTE;
        anyhow::ensure!(within, "it was asked {LOOK_UPS_A_MINUTE} times in a minute: the quota is kept for others");
        let name = key.name.as_ref().map(ToString::to_string);
        let statuses = github.statuses(&key.repository, key.branch.as_deref(), name.as_deref());
        let statuses = tokio::time::timeout(GITHUB_TIME, statuses)
            .await
            .map_err(|_| anyhow::anyhow!("no answer within {GITHUB_TIME:?}"))??;
        Ok(self.newest(statuses))
    }

    /// The newest status with a number, or else the newest; a commit whose CI still runs is passed over.
    fn newest(&self, statuses: Vec<CommitStatus>) -> Option<Value> {
        let mut values: Vec<Value> = statuses.into_iter().filter_map(|status| self.value_of(status)).collect();
        let at = values.iter().position(|value| value.percent.is_some()).unwrap_or(0);
        (at < values.len()).then(|| values.swap_remove(at))
    }

    fn value_of(&self, status: CommitStatus) -> Option<Value> {
        let state = match status.state.as_str() {
            "SUCCESS" => State::Success,
            "FAILURE" => State::Failure,
            _ => return None,
        };
        Some(Value {
            percent: percent_of(&status.description),
            state,
            site_id: self.site_of(&status.target_url).map(|site| site.to_string()),
            commit_sha: status.commit_sha,
            seen_at: Timestamp::now(),
            run_id: None,
        })
    }

    /// A status is written by whoever can write to *that* repository: its link counts only where it leads to this server.
    fn site_of(&self, target_url: &str) -> Option<SiteId> {
        target_url.strip_prefix(&self.reports_url)?.split('/').next()?.parse().ok()
    }

    async fn stored(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
    ) -> Result<Option<(Option<Value>, Version)>, StorageError> {
        match self.storage.get(&value_key(repository, name)).await {
            // One that cannot be read counts as unknown, and is written over.
            Ok(stored) => Ok(Some((Value::read(&stored.bytes), stored.version))),
            Err(StorageError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn lane(&self, repository: &Repository) -> MutexGuard<'_, ()> {
        let lane = self.hasher.hash_one(repository) % LANES as u64;
        self.lanes[lane as usize].lock().await
    }

    /// GitHub's newest commit is the truth; it does not know the run, so the number that is known stays. What was
    /// said while GitHub was asked is newer.
    async fn store_from_github(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
        mut value: Value,
        epoch: u64,
    ) -> Result<Value, StorageError> {
        let _lane = self.lane(repository).await;
        if self.epochs.get(repository).await.unwrap_or(0) != epoch {
            return Ok(value);
        }
        if let Some((Some(known), _)) = self.stored(repository, name).await? {
            value.run_id = known.run_id;
            if (Value { seen_at: known.seen_at, ..value.clone() }) == known {
                return Ok(known);
            }
        }
        self.store(repository, name, value).await
    }

    /// Writes the last value unless an older run says it; gives back the one that is valid then.
    async fn store(
        &self,
        repository: &Repository,
        name: Option<&ReportName>,
        value: Value,
    ) -> Result<Value, StorageError> {
        let key = value_key(repository, name);
        let bytes = serde_json::to_vec(&value).map_err(|error| StorageError::Failed(error.into()))?;
        for _ in 0..WRITES {
            let written = match self.stored(repository, name).await? {
                Some((Some(known), _)) if is_older(value.run_id, known.run_id) => return Ok(known),
                Some((_, version)) => self.storage.replace(&key, bytes.clone(), version).await,
                None => self.storage.create(&key, bytes.clone()).await,
            };
            match written {
                Err(StorageError::Exists) => {}
                other => return other.map(|()| value),
            }
        }
        Err(StorageError::Failed(anyhow::anyhow!("{key} was changed by others {WRITES} times in a row")))
    }
}

/// Runs without a number, from elsewhere than GitHub Actions, are taken as they come.
fn is_older(run: Option<u64>, known: Option<u64>) -> bool {
    run.is_some() && run < known
}

/// The number before the first percent sign: `87.42%, below …` as this project writes it, `Coverage 87.5%` as the original does.
pub(crate) fn percent_of(description: &str) -> Option<f64> {
    let (before, _) = description.split_once('%')?;
    let number = before.split_whitespace().next_back()?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number.parse().ok().filter(|percent| digits && (0.0..=100.0).contains(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_from_the_descriptions_of_both_projects() {
        for (description, percent) in [
            ("87.42%", Some(87.42)),
            ("87.42%, below the threshold of 90%", Some(87.42)),
            ("Coverage 87.5%", Some(87.5)),
            ("100%", Some(100.0)),
            ("0 %", Some(0.0)),
            ("report uploaded, no total found", None),
            ("Unknown%", None),
            ("101%", None),
            ("1e1%", None),
            ("-5%", None),
            ("1.2.3%", None),
            ("é%", None),
            ("%", None),
        ] {
            assert_eq!(percent_of(description), percent, "{description:?}");
        }
    }
}
