//! The total of a report, and what it means for the commit status and the badge.

use std::fmt;

use serde::Serialize;

use super::percent::{Counts, Percent};

/// Digits of the exact percentage in the log and in the status.
const EXACT_DIGITS: usize = 4;

/// A total, as the tool shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Totals {
    pub percent: Percent,
    /// The counts behind the percentage, if the report has them.
    pub counts: Option<Counts>,
    /// What the number counts, such as `lines`.
    pub metric: &'static str,
    pub tool: &'static str,
    /// The file with the total, relative to the report's folder.
    pub source: String,
    pub lines: Option<Counts>,
    pub branches: Option<Counts>,
}

impl Totals {
    /// The exact percentage, unless it is the shown one.
    pub fn exact(&self) -> Option<String> {
        let counts = self.counts.filter(|counts| !counts.equals(&self.percent))?;
        Some(counts.exact(EXACT_DIGITS))
    }

    /// Whether the exact percentage, if known, is at least `threshold`.
    pub fn reaches(&self, threshold: &Percent) -> bool {
        self.counts.map_or_else(|| self.percent.reaches(threshold), |counts| counts.reaches(threshold))
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}% of {} ({}, {})", self.percent, self.metric, self.tool, self.source)?;
        if let Some(counts) = self.counts {
            write!(f, ": {counts}")?;
        }
        self.exact().map_or(Ok(()), |exact| write!(f, ", {exact}%"))
    }
}

/// The state of the commit status and the badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Success,
    Failure,
}

impl State {
    /// Failure below the threshold, or without a total if there is a threshold: a missing total must not pass the gate.
    pub fn of(totals: Option<&Totals>, threshold: &Percent) -> Self {
        let reaches = totals.map_or(threshold.is_zero(), |totals| totals.reaches(threshold));
        if reaches { Self::Success } else { Self::Failure }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}
