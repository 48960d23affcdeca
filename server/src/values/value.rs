//! A badge's value, its key, and the rules for keeping an older one.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::names::site::SiteId;

/// The longest time between a run's first upload and that of its last re-run: GitHub allows re-runs for 30 days, and
/// runs of 35 days.
const LONGEST_RUN: SignedDuration = SignedDuration::from_hours(65 * 24);

/// Whether the coverage reaches the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Success,
    Failure,
}

/// The value of a badge, and the report behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// The total in percent; `None` if the report has no total.
    pub percent: Option<f64>,
    pub state: State,
    /// The site of the report, if it is on this server.
    pub site_id: Option<String>,
    pub commit_sha: String,
    pub seen_at: Timestamp,
    /// The newest workflow run that set a value. Runs can finish in another order; a later run has a higher ID.
    #[serde(default)]
    pub run_id: Option<u64>,
    /// The GitHub instance of the run: each instance has its own run IDs.
    #[serde(default)]
    pub issuer: Option<String>,
}

/// The key of a value: repository, report name and branch (`None`: the default branch).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueKey {
    pub repository: Repository,
    pub name: Option<ReportName>,
    pub branch: Option<String>,
}

impl Value {
    /// Parses a stored value; `None` if it is invalid.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let value: Self = serde_json::from_slice(bytes).ok()?;
        let percent_fits = value.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent));
        let site_fits = value.site_id.as_ref().is_none_or(|site| site.parse::<SiteId>().is_ok());
        (percent_fits && site_fits).then_some(value)
    }

    /// Adds what only the store knows to GitHub's value: the run, and the site of the same commit if the status links
    /// to a former address.
    pub(super) fn completed_by(self, known: &Self) -> Self {
        let of = |value: &Self| (value.commit_sha.to_ascii_lowercase(), value.percent, value.state);
        let known_site = known.site_id.clone().filter(|_| of(known) == of(&self));
        let site_id = self.site_id.or(known_site);
        Self { site_id, run_id: known.run_id, issuer: known.issuer.clone(), ..self }
    }

    /// Whether two values differ in `seen_at` at most.
    pub(super) fn equals(&self, other: &Self) -> bool {
        Self { seen_at: other.seen_at, ..self.clone() } == *other
    }

    /// The valid one of two values: the one that was seen later, unless there is a reason to keep the other.
    pub(super) fn latest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                let (known, new) = if one.seen_at <= other.seen_at { (one, other) } else { (other, one) };
                Some(new.or_known(Some(known)).0)
            }
            (one, other) => one.or(other),
        }
    }

    /// This value; or the known one, and the reason to keep it.
    pub(super) fn or_known(self, known: Option<Self>) -> (Self, Option<KeptReason>) {
        match known.and_then(|known| known.reason_to_keep(&self).map(|reason| (known, reason))) {
            Some((known, reason)) => (known, Some(reason)),
            None => (self, None),
        }
    }

    /// The reason to keep this known value instead of a new one.
    fn reason_to_keep(&self, new: &Self) -> Option<KeptReason> {
        let is_newer_run = new.run_id.is_some() && new.run_id < self.run_id && self.is_comparable(new);
        match self.run_id.filter(|_| is_newer_run) {
            Some(run) => Some(KeptReason::NewerRun(run)),
            None if new.percent.is_none() && self.percent.is_some() => Some(KeptReason::Number),
            None => None,
        }
    }

    /// Whether the run IDs of both values tell which one is newer, as IDs of the same GitHub instance do. Older actions
    /// do not send the instance: it counts as the same one during the longest time of a run.
    fn is_comparable(&self, new: &Self) -> bool {
        match (&self.issuer, &new.issuer) {
            (Some(one), Some(other)) => one == other,
            _ => new.seen_at.duration_since(self.seen_at) <= LONGEST_RUN,
        }
    }
}

/// Why a known value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptReason {
    /// It is from a newer run. Runs of different GitHub instances, and those without an ID, are not compared.
    NewerRun(u64),
    /// It has a number, and the new one has none.
    Number,
}

impl fmt::Display for KeptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerRun(run) => write!(f, "kept the value of run {run}, which is newer"),
            Self::Number => f.write_str("kept the last value: this report has no total"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(percent: impl Into<Option<f64>>, run_id: u64, issuer: &str, day: i64) -> Value {
        Value {
            percent: percent.into(),
            state: State::Success,
            site_id: None,
            commit_sha: String::new(),
            seen_at: Timestamp::from_second(day * 24 * 60 * 60).unwrap(),
            run_id: Some(run_id),
            issuer: Some(issuer.to_owned()).filter(|issuer| !issuer.is_empty()),
        }
    }

    #[test]
    fn a_missing_issuer_matches_any_during_the_maximum_run_time() {
        let known = value(80.0, 100, "https://github.com", 0);
        for (new, is_kept) in [
            (value(10.0, 50, "https://github.com", 1), true),
            (value(10.0, 50, "https://github.com", 1000), true),
            (value(10.0, 50, "", 1), true),
            (value(10.0, 50, "", 65), true),
            (value(10.0, 50, "", 66), false),
            (value(10.0, 50, "https://ghe.example.com", 1), false),
            (value(10.0, 100, "", 1), false),
        ] {
            assert_eq!(known.reason_to_keep(&new).is_some(), is_kept, "{new:?}");
        }
    }

    #[test]
    fn the_newest_run_is_the_latest_of_two_values() {
        let latest = |one: &Value, other: &Value| Value::latest(Some(one.clone()), Some(other.clone())).unwrap();
        let (old, new) = (value(80.0, 8, "a", 2), value(90.0, 9, "a", 1));
        assert_eq!((latest(&old, &new), latest(&new, &old)), (new.clone(), new.clone()));
        let newest = value(95.0, 12, "a", 3);
        assert_eq!((latest(&newest, &new), latest(&new, &newest)), (newest.clone(), newest.clone()));
        let without = value(None, 13, "a", 4);
        assert_eq!(latest(&without, &newest), newest);
        assert_eq!(Value::latest(None, Some(new.clone())), Some(new));
    }

    #[test]
    fn links_are_completed_only_for_the_same_total_and_commit() {
        let known = Value { site_id: Some("a".repeat(32)), ..value(90.0, 1, "a", 0) };
        let github = |percent, state| Value { state, ..value(percent, 2, "b", 1) };
        let completed = |value: Value| value.completed_by(&known).site_id.is_some();
        assert!(completed(github(90.0, State::Success)));
        assert!(!completed(github(80.0, State::Success)) && !completed(github(90.0, State::Failure)));
        assert!(!completed(Value { commit_sha: "f".to_owned(), ..github(90.0, State::Success) }));
    }
}
