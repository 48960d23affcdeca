//! Reads a badge's value from GitHub's commit statuses, or else from the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache as Memory;

use crate::cache::{ABSENT, FRESH, Source, SourceAnswer, SourceRequest};
use crate::github::{CommitStatus, GitHub, StatusesError};
use crate::identity::allowed::Allowed;
use crate::names::repository::Repository;
use crate::names::site::SiteId;
use crate::reports::address::Reports;
use crate::store::error::StorageError;
use crate::values::value::{State, Value, ValueKey};
use crate::values::value_store::ValueStore;

/// How long the last known value is fresh after a failure of GitHub. A longer back-off extends this, up to [`FRESH`].
const FRESH_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long a request waits for the store. With the time for GitHub, a badge takes two seconds at most.
const STORE_TIME: Duration = Duration::from_millis(600);
/// The maximum number of GitHub look-ups per repository and minute: clients choose names and branches freely, and the
/// quota is limited.
const MAX_LOOK_UPS_PER_MINUTE: u32 = 30;
/// The prefix of the Python original's descriptions.
const ORIGINAL_PREFIX: &str = "Coverage ";
const MINUTE: Duration = Duration::from_secs(60);
/// The maximum number of repositories whose look-ups are counted.
const MAX_COUNTED: u64 = 10_000;

/// The commit statuses on GitHub, and the store behind them.
pub struct Statuses {
    pub store: ValueStore,
    pub github: Option<GitHub>,
    /// The repositories to look up on GitHub.
    allowed: Arc<Allowed>,
    /// The addresses of this server's reports; badges link to no others.
    reports: Arc<Reports>,
    /// Look-ups of the last minute, by repository.
    recent_look_ups: Memory<Repository, Arc<AtomicU32>>,
}

/// The result of a look-up on GitHub.
enum GitHubAnswer {
    /// GitHub's value; `None` if it has none, or if the repository must not be looked up.
    Value(Option<Value>),
    /// GitHub knows no such repository.
    Absent,
    /// The look-up failed; retry after this time.
    Failed(Duration),
}

impl Source for Statuses {
    type Key = ValueKey;
    type Value = Option<Arc<Value>>;

    fn group(key: &ValueKey) -> &str {
        key.repository.as_str()
    }

    fn name(key: &ValueKey) -> String {
        let name = key.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let branch = key.branch.as_deref().unwrap_or_default();
        // Names and branches contain no colon.
        format!("{name}:{branch}")
    }

    fn write(value: &Option<Arc<Value>>) -> Vec<u8> {
        serde_json::to_vec(&value.as_deref()).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Option<Arc<Value>>> {
        if bytes == b"null" { Some(None) } else { Value::read(bytes).map(|value| Some(Arc::new(value))) }
    }

    fn is_durable(value: &Option<Arc<Value>>) -> bool {
        value.is_some()
    }

    async fn look_up(&self, request: SourceRequest<'_, Self>) -> SourceAnswer<Option<Arc<Value>>> {
        let requested_at = Timestamp::now();
        let answer = match request.absent {
            true => GitHubAnswer::Absent,
            false => self.look_up_on_github(request.key, request.time).await,
        };
        let absent = matches!(answer, GitHubAnswer::Absent) && !request.absent;
        let is_confirmed = matches!(answer, GitHubAnswer::Value(_));
        let (from_github, fresh) = match answer {
            GitHubAnswer::Value(value) => (value, FRESH),
            GitHubAnswer::Absent => (None, ABSENT),
            GitHubAnswer::Failed(time) => (None, time.clamp(FRESH_AFTER_FAILURE, FRESH)),
        };
        // The store has values of default branches only.
        let (value, is_confirmed) = match request.key.branch {
            Some(_) => (from_github, is_confirmed),
            None => self.store_or_read_last(&request, from_github, is_confirmed, requested_at).await,
        };
        let known = request.known.flatten().filter(|_| !is_confirmed);
        SourceAnswer { value: value.map(Arc::new).or(known), fresh, is_confirmed, absent }
    }
}

impl Statuses {
    pub fn new(store: ValueStore, github: Option<GitHub>, allowed: Arc<Allowed>, reports: Arc<Reports>) -> Self {
        let recent_look_ups = Memory::builder().max_capacity(MAX_COUNTED).time_to_live(MINUTE).build();
        Self { store, github, allowed, reports, recent_look_ups }
    }

    /// Stores GitHub's value, or reads the last one if GitHub has none. Returns the valid value, and whether it is
    /// certain. If the store fails, GitHub's value is valid.
    async fn store_or_read_last(
        &self,
        request: &SourceRequest<'_, Self>,
        from_github: Option<Value>,
        is_confirmed: bool,
        requested_at: Timestamp,
    ) -> (Option<Value>, bool) {
        let (repository, name) = (&request.key.repository, request.key.name.as_ref());
        let stored = tokio::time::timeout(STORE_TIME, async {
            match from_github.clone() {
                Some(value) => {
                    let is_outdated = || request.is_outdated();
                    self.store.store_from_github(repository, name, value, requested_at, is_outdated).await.map(Some)
                }
                None => self.store.last(repository, name).await,
            }
        });
        match stored.await.unwrap_or_else(|_| Err(StorageError::slow(STORE_TIME))) {
            Ok(value) => (value, is_confirmed),
            Err(error) => {
                // A denied access is permanent and was logged once.
                if !matches!(error, StorageError::Denied(_)) {
                    tracing::warn!(%repository, "could not store or read the last value: {:#}", anyhow::Error::from(error));
                }
                let is_confirmed = from_github.is_some();
                (from_github, is_confirmed)
            }
        }
    }

    async fn look_up_on_github(&self, key: &ValueKey, time: Duration) -> GitHubAnswer {
        let Some(github) = &self.github else {
            return GitHubAnswer::Value(None);
        };
        let repository = &key.repository;
        match tokio::time::timeout(STORE_TIME, self.allowed.allows_name(repository)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return GitHubAnswer::Value(None),
            Ok(Err(error)) => {
                tracing::warn!(%repository, "could not read whether the repository is allowed, the badge shows the last value: {:#}", anyhow::Error::from(error));
                return GitHubAnswer::Failed(FRESH_AFTER_FAILURE);
            }
            Err(_) => return GitHubAnswer::Failed(FRESH_AFTER_FAILURE),
        }
        let recent_look_ups = self.recent_look_ups.get_with_by_ref(repository, async { Arc::default() }).await;
        if recent_look_ups.fetch_add(1, Ordering::Relaxed) >= MAX_LOOK_UPS_PER_MINUTE {
            tracing::warn!(%repository, "{MAX_LOOK_UPS_PER_MINUTE} GitHub look-ups for this repository in a minute, the badge shows the last value to save the quota");
            return GitHubAnswer::Failed(FRESH_AFTER_FAILURE);
        }
        let name = key.name.as_ref().map(ToString::to_string);
        match github.statuses(repository, key.branch.as_deref(), name.as_deref(), time).await {
            Ok(statuses) => GitHubAnswer::Value(self.newest(repository, statuses).await),
            Err(StatusesError::NoRepository) => GitHubAnswer::Absent,
            Err(StatusesError::BackingOff(time)) => {
                tracing::debug!(%repository, "no request to GitHub for {time:?}, the badge shows the last value");
                GitHubAnswer::Failed(time)
            }
            Err(StatusesError::Failed(error)) => {
                tracing::warn!(%repository, "could not read statuses from GitHub, the badge shows the last value: {error:#}");
                GitHubAnswer::Failed(FRESH_AFTER_FAILURE)
            }
        }
    }

    /// The newest status with a number: first Covered's or the original's, then others; or else the newest own status
    /// without a number. Pending statuses are skipped.
    async fn newest(&self, repository: &Repository, mut statuses: Vec<CommitStatus>) -> Option<Value> {
        statuses.retain(|status| state_of(status).is_some());
        let has_number = |status: &CommitStatus| percent_of(&status.description).is_some();
        let first = |fits: &dyn Fn(&CommitStatus) -> bool| statuses.iter().position(fits);
        let at = first(&|status| status.is_exact && has_number(status));
        let at = at.or_else(|| first(&has_number)).or_else(|| first(&|status| status.is_exact))?;
        let status = statuses.swap_remove(at);
        Some(Value {
            percent: percent_of(&status.description),
            state: state_of(&status)?,
            site_id: self.site_of(repository, &status.target_url).await.map(|site| site.to_string()),
            commit_sha: status.commit_sha,
            seen_at: Timestamp::now(),
            run_id: None,
            issuer: None,
        })
    }

    /// The site that a status links to. Anybody who can write to *that* repository can set the link: it counts if it
    /// leads to this server, or names a site whose record belongs to this repository.
    async fn site_of(&self, repository: &Repository, url: &str) -> Option<SiteId> {
        if let Some(site) = self.reports.site_of(url) {
            return Some(site);
        }
        let site = self.reports.site_named_by(url)?;
        let owner = tokio::time::timeout(STORE_TIME, self.store.owner_of(&site)).await;
        (owner.ok()?.as_ref() == Some(repository)).then_some(site)
    }
}

/// The state of a completed status. As in the Python original, an error counts as a failure.
fn state_of(status: &CommitStatus) -> Option<State> {
    match status.state.as_str() {
        "SUCCESS" => Some(State::Success),
        "FAILURE" | "ERROR" => Some(State::Failure),
        _ => None,
    }
}

/// Parses the number at the start of a description: Covered's `87.42%, below …` or the original's `Coverage 87.5%`. A
/// percent sign elsewhere may belong to a threshold.
pub(crate) fn percent_of(description: &str) -> Option<f64> {
    let (before, _) = description.split_once('%')?;
    let number = before.strip_prefix(ORIGINAL_PREFIX).unwrap_or(before).trim();
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent = number.parse().ok().filter(|percent: &f64| digits && (0.0..=100.0).contains(percent))?;
    // Do not round a value to 0 or 100.
    let exact = |whole: &str| {
        number.split('.').next() == Some(whole) && !number[whole.len()..].contains(|c| ('1'..='9').contains(&c))
    };
    Some(match percent {
        100.0 if !exact("100") => percent.next_down(),
        0.0 if number.contains(|c| ('1'..='9').contains(&c)) => f64::MIN_POSITIVE,
        _ => percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_parsed_from_status_descriptions() {
        for (description, percent) in [
            ("87.42%", Some(87.42)),
            ("87.42%, below the threshold of 90%", Some(87.42)),
            ("Coverage 87.5%", Some(87.5)),
            ("100%", Some(100.0)),
            ("0 %", Some(0.0)),
            ("report uploaded, no total found", None),
            ("partial: 87.42%, below the threshold of 90%, without e2e", None),
            ("no merged total: no line data in `windows`", None),
            ("Unknown%", None),
            ("no total found, and the threshold is 80%", None),
            ("threshold 80%", None),
            ("Coverage", None),
            ("Coverage of 12 files is 80%", None),
            ("Tests 3/4, 75%", None),
            ("coverage increased (+0.1%) to 80%", None),
            ("101%", None),
            ("100.00%", Some(100.0)),
            ("99.999999999999999999%", Some(100.0_f64.next_down())),
            ("100.000000000000000000001%", Some(100.0_f64.next_down())),
            ("0.00%", Some(0.0)),
            (&format!("0.{}1%", "0".repeat(400)), Some(f64::MIN_POSITIVE)),
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
