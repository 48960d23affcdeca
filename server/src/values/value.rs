//! A value: what a badge shows, whose it is, and which of two stays.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::names::site::SiteId;

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
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let value: Self = serde_json::from_slice(bytes).ok()?;
        let percent_fits = value.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent));
        let site_fits = value.site_id.as_ref().is_none_or(|site| site.parse::<SiteId>().is_ok());
        (percent_fits && site_fits).then_some(value)
    }

    /// GitHub's value with what only the store knows: the run, and the site of the same commit. A status may lead to an
    /// address that the server no longer has; the report is still there.
    pub(super) fn completed_by(self, known: &Self) -> Self {
        let known_site = known.site_id.clone().filter(|_| known.commit_sha == self.commit_sha);
        let site_id = self.site_id.or(known_site);
        Self { site_id, run_id: known.run_id, issuer: known.issuer.clone(), ..self }
    }

    /// Whether two values are the same, whenever they were seen.
    pub(super) fn equals(&self, other: &Self) -> bool {
        Self { seen_at: other.seen_at, ..self.clone() } == *other
    }

    /// Why this value, which was known before, stays where another one is said.
    pub(super) fn reason_to_keep(&self, said: &Self) -> Option<KeptReason> {
        let is_newer_run = self.issuer == said.issuer && said.run_id.is_some() && said.run_id < self.run_id;
        match self.run_id.filter(|_| is_newer_run) {
            Some(run) => Some(KeptReason::NewerRun(run)),
            None if said.percent.is_none() && self.percent.is_some() => Some(KeptReason::Number),
            None => None,
        }
    }
}

/// Why a value that was known before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptReason {
    /// A newer run said it. Runs of different GitHub instances, and those without a number, are taken as they come.
    NewerRun(u64),
    /// It has a number, and the other one has none.
    Number,
}

impl fmt::Display for KeptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerRun(run) => write!(f, "the value of run {run} stays: it is a newer one"),
            Self::Number => f.write_str("the last number stays: this report has no total"),
        }
    }
}
