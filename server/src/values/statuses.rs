//! What GitHub says of a badge's value, or else the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache as Memory;

use crate::cache::{ABSENT, Answer, FRESH, Question, Source};
use crate::github::{CommitStatus, GitHub, Refusal};
use crate::identity::allowed::Allowed;
use crate::names::repository::Repository;
use crate::names::site::SiteId;
use crate::reports::address::Reports;
use crate::store::error::StorageError;
use crate::values::value::{State, Value, ValueKey};
use crate::values::value_store::ValueStore;

/// How long the last known value is shown before a GitHub that failed is asked again; as long as GitHub wants to be
/// left alone, at most as long as any value.
const FRESH_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long a reader waits for the store: with the time for GitHub, a badge answers within two seconds.
const STORE_TIME: Duration = Duration::from_millis(600);
/// Look-ups at GitHub for one repository in a minute: names and branches are free to choose, and the quota is not.
const LOOK_UPS_A_MINUTE: u32 = 30;
/// What the Python original writes before the number.
const ORIGINAL_PREFIX: &str = "Coverage ";
const MINUTE: Duration = Duration::from_secs(60);
/// Repositories whose look-ups are counted, at most.
const MAX_COUNTED: u64 = 10_000;

/// The commit statuses on GitHub, and the store behind them.
pub struct Statuses {
    pub store: ValueStore,
    pub github: Option<GitHub>,
    /// GitHub is asked about these repositories only.
    allowed: Arc<Allowed>,
    /// Where this server's reports are: only statuses that lead there are followed.
    reports: Arc<Reports>,
    /// Look-ups of the last minute, by repository.
    asked: Memory<Repository, Arc<AtomicU32>>,
}

/// What became of the question to GitHub.
enum GitHubAnswer {
    /// GitHub's answer; `None` also where it is not to be asked.
    Value(Option<Value>),
    /// There is no such repository.
    Absent,
    /// It failed, and is to be asked again after this time.
    Nothing(Duration),
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
        // Neither a name nor a branch holds a colon.
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

    async fn ask(&self, question: Question<'_, Self>) -> Answer<Option<Arc<Value>>> {
        let asked_at = Timestamp::now();
        let answered = match question.absent {
            true => GitHubAnswer::Absent,
            false => self.ask_github(question.key, question.time).await,
        };
        let absent = matches!(answered, GitHubAnswer::Absent) && !question.absent;
        let sure = matches!(answered, GitHubAnswer::Value(_));
        let (from_github, fresh) = match answered {
            GitHubAnswer::Value(value) => (value, FRESH),
            GitHubAnswer::Absent => (None, ABSENT),
            GitHubAnswer::Nothing(time) => (None, time.clamp(FRESH_AFTER_FAILURE, FRESH)),
        };
        // The store keeps the default branch's values alone.
        let (value, sure) = match question.key.branch {
            Some(_) => (from_github, sure),
            None => self.ask_store(&question, from_github, sure, asked_at).await,
        };
        let known = question.known.flatten().filter(|_| !sure);
        Answer { value: value.map(Arc::new).or(known), fresh, sure, absent }
    }
}

impl Statuses {
    pub fn new(store: ValueStore, github: Option<GitHub>, allowed: Arc<Allowed>, reports: Arc<Reports>) -> Self {
        let asked = Memory::builder().max_capacity(MAX_COUNTED).time_to_live(MINUTE).build();
        Self { store, github, allowed, reports, asked }
    }

    /// Stores GitHub's value, or reads the last one where GitHub has none; gives back the value that is valid, and whether
    /// that is certain. A store that fails leaves GitHub's.
    async fn ask_store(
        &self,
        question: &Question<'_, Self>,
        from_github: Option<Value>,
        sure: bool,
        asked_at: Timestamp,
    ) -> (Option<Value>, bool) {
        let (repository, name) = (&question.key.repository, question.key.name.as_ref());
        let stored = tokio::time::timeout(STORE_TIME, async {
            match from_github.clone() {
                Some(value) => {
                    let is_overtaken = || question.is_overtaken();
                    self.store.store_from_github(repository, name, value, asked_at, is_overtaken).await.map(Some)
                }
                None => self.store.last(repository, name).await,
            }
        });
        match stored.await.unwrap_or_else(|_| Err(StorageError::slow(STORE_TIME))) {
            Ok(value) => (value, sure),
            Err(error) => {
                // A refusal lasts, and was logged once.
                if !matches!(error, StorageError::Denied(_)) {
                    tracing::warn!(%repository, "the last value could not be kept or read: {:#}", anyhow::Error::from(error));
                }
                let sure = from_github.is_some();
                (from_github, sure)
            }
        }
    }

    async fn ask_github(&self, key: &ValueKey, time: Duration) -> GitHubAnswer {
        let Some(github) = &self.github else {
            return GitHubAnswer::Value(None);
        };
        let repository = &key.repository;
        match tokio::time::timeout(STORE_TIME, self.allowed.has_name(repository)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return GitHubAnswer::Value(None),
            Ok(Err(error)) => {
                tracing::warn!(%repository, "whether GitHub may be asked cannot be read, the last value is shown: {:#}", anyhow::Error::from(error));
                return GitHubAnswer::Nothing(FRESH_AFTER_FAILURE);
            }
            Err(_) => return GitHubAnswer::Nothing(FRESH_AFTER_FAILURE),
        }
        let asked = self.asked.get_with_by_ref(repository, async { Arc::default() }).await;
        if asked.fetch_add(1, Ordering::Relaxed) >= LOOK_UPS_A_MINUTE {
            tracing::warn!(%repository, "GitHub was asked {LOOK_UPS_A_MINUTE} times in a minute, the last value is shown: the quota is kept for others");
            return GitHubAnswer::Nothing(FRESH_AFTER_FAILURE);
        }
        let name = key.name.as_ref().map(ToString::to_string);
        match github.statuses(repository, key.branch.as_deref(), name.as_deref(), time).await {
            Ok(statuses) => GitHubAnswer::Value(self.newest(repository, statuses).await),
            Err(Refusal::NoRepository) => GitHubAnswer::Absent,
            Err(Refusal::BackingOff(time)) => {
                tracing::debug!(%repository, "GitHub is left alone for {time:?}, the last value is shown");
                GitHubAnswer::Nothing(time)
            }
            Err(Refusal::Failed(error)) => {
                tracing::warn!(%repository, "GitHub gave no status, the last value is shown: {error:#}");
                GitHubAnswer::Nothing(FRESH_AFTER_FAILURE)
            }
        }
    }

    /// The newest status with a number, Covered's and the original's own before those of others, or else the newest own
    /// one. A commit whose CI still runs is passed over.
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

    /// The site that a status leads to. It is written by whoever can write to *that* repository: its link counts where
    /// it leads to this server, or names a site whose record says that it is this very repository's.
    async fn site_of(&self, repository: &Repository, url: &str) -> Option<SiteId> {
        if let Some(site) = self.reports.site_of(url) {
            return Some(site);
        }
        let site = self.reports.site_named_by(url)?;
        let owner = tokio::time::timeout(STORE_TIME, self.store.owner_of(&site)).await;
        (owner.ok()?.as_ref() == Some(repository)).then_some(site)
    }
}

/// The state of a status that says how a run ended. The Python original shows an error as it shows a failure.
fn state_of(status: &CommitStatus) -> Option<State> {
    match status.state.as_str() {
        "SUCCESS" => Some(State::Success),
        "FAILURE" | "ERROR" => Some(State::Failure),
        _ => None,
    }
}

/// The number at the start, `87.42%, below …` as this project writes it, or as the original does: `Coverage 87.5%`. A
/// percent sign anywhere else may be a threshold's.
pub fn percent_of(description: &str) -> Option<f64> {
    let (before, _) = description.split_once('%')?;
    let number = before.strip_prefix(ORIGINAL_PREFIX).unwrap_or(before).trim();
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent = number.parse().ok().filter(|percent: &f64| digits && (0.0..=100.0).contains(percent))?;
    // What is next to them must not become them.
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
    fn a_number_is_read_from_the_descriptions_of_both_projects() {
        for (description, percent) in [
            ("87.42%", Some(87.42)),
            ("87.42%, below the threshold of 90%", Some(87.42)),
            ("Coverage 87.5%", Some(87.5)),
            ("100%", Some(100.0)),
            ("0 %", Some(0.0)),
            ("report uploaded, no total found", None),
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
