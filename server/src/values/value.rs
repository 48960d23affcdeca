//! A badge's value, its key, and the rules for keeping an older one.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::names::site::SiteId;

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
    /// The newest workflow run that set a value. Runs can overtake one another; a later run has a higher ID.
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
        let known_site = known.site_id.clone().filter(|_| known.commit_sha == self.commit_sha);
        let site_id = self.site_id.or(known_site);
        Self { site_id, run_id: known.run_id, issuer: known.issuer.clone(), ..self }
    }

    /// Whether two values differ in `seen_at` at most.
    pub(super) fn equals(&self, other: &Self) -> bool {
        Self { seen_at: other.seen_at, ..self.clone() } == *other
    }

    /// The reason to keep this value instead of a new one, if there is one.
    pub(super) fn reason_to_keep(&self, said: &Self) -> Option<KeptReason> {
        let is_newer_run = self.issuer == said.issuer && said.run_id.is_some() && said.run_id < self.run_id;
        match self.run_id.filter(|_| is_newer_run) {
            Some(run) => Some(KeptReason::NewerRun(run)),
            None if said.percent.is_none() && self.percent.is_some() => Some(KeptReason::Number),
            None => None,
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
