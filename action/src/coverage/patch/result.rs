//! The result of a patch in words: its status, and whether it reaches the threshold.

use std::fmt;

use super::{Patch, Unknown};
use crate::base::text::count;
use crate::coverage::percent::Percent;
use crate::coverage::totals::State;

/// Whether the changed lines reach their threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Reached,
    Missed,
    /// The lines of some files, or of all, are unknown.
    Uncertain,
}

/// As in `At least 80% is required: reached.`; `why` says why that is not certain.
pub fn requirement(threshold: &Percent, gate: Gate, why: &str) -> String {
    match gate {
        Gate::Reached => format!("At least {threshold}% is required: reached."),
        Gate::Missed => format!("At least {threshold}% is required: missed."),
        Gate::Uncertain => format!("At least {threshold}% is required: not certain, because {why}."),
    }
}

impl Patch<'_> {
    /// A file that is not in the report does not count beside others: tools leave out files on request.
    pub fn gate(&self, threshold: &Percent) -> Gate {
        let is_uncertain = self.unknown.iter().any(|(_, why)| *why != Unknown::NotInReport);
        match self.counts() {
            Some(counts) if !counts.reaches(threshold) => Gate::Missed,
            Some(_) if is_uncertain => Gate::Uncertain,
            None if !self.unknown.is_empty() => Gate::Uncertain,
            _ => Gate::Reached,
        }
    }

    /// Failure unless the threshold is reached for certain.
    pub fn state(&self, threshold: &Percent) -> State {
        let passes = threshold.is_zero() || self.gate(threshold) == Gate::Reached;
        if passes { State::Success } else { State::Failure }
    }

    /// Whether the threshold is reached, as a sentence; `None` without a threshold.
    pub fn requirement(&self, threshold: &Percent) -> Option<String> {
        let files = self.unknown.iter().filter(|(_, why)| *why != Unknown::NotListed).count();
        let why = match files {
            0 => "GitHub does not list all changed files".to_owned(),
            1 => "1 file is not counted".to_owned(),
            _ => format!("{files} files are not counted"),
        };
        (!threshold.is_zero()).then(|| requirement(threshold, self.gate(threshold), &why))
    }

    /// The result as the status shows it: the number, whether it is below the threshold, and what is not counted.
    pub fn description(&self, threshold: &Percent) -> String {
        let gate = match (self.gate(threshold), self.counts()) {
            _ if threshold.is_zero() => String::new(),
            (Gate::Reached, _) => String::new(),
            (Gate::Missed, _) => format!(", below the threshold of {threshold}%"),
            (Gate::Uncertain, Some(_)) => format!(", but the required {threshold}% is not certain"),
            (Gate::Uncertain, None) => format!(", at least {threshold}% is required"),
        };
        let uncounted = self.uncounted();
        let joint = match &uncounted {
            none if none.is_empty() => "",
            _ if self.counts().is_none() && gate.is_empty() && !self.unknown.is_empty() => ": ",
            _ => "; ",
        };
        format!("{self}{gate}{joint}{uncounted}")
    }

    /// What is not counted, as in `1 file not counted (not in the report)`; without the reason if there are several.
    fn uncounted(&self) -> String {
        let reasons = self.unknown_reasons();
        // It stands for any number of files, and is the last one.
        let (named, is_whole) = match &reasons[..] {
            [(Unknown::NotListed, _)] => return "GitHub does not list all changed files".to_owned(),
            [named @ .., (Unknown::NotListed, _)] => (named, false),
            named => (named, true),
        };
        let files = count(named.iter().map(|(_, files)| files).sum(), "file");
        let text = match *named {
            [] if self.counts().is_none() && self.moved > 0 => format!("{} only moved", count(self.moved, "line")),
            [] => String::new(),
            [(why, files_of_it)] => format!("{files} not counted ({})", short_reason(why, files_of_it)),
            _ => format!("{files} not counted"),
        };
        if is_whole { text } else { format!("{text}, and GitHub lists no more") }
    }

    /// Why the lines of some files are unknown, with the number of files.
    pub fn unknown_reasons(&self) -> Vec<(Unknown, usize)> {
        let mut reasons: Vec<(Unknown, usize)> = Vec::new();
        for (_, why) in &self.unknown {
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((*why, 1)),
            }
        }
        reasons.sort_unstable();
        reasons
    }
}

/// The number alone, as in `83.33% of 12 changed lines`.
impl fmt::Display for Patch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.counts(), self.percent()) {
            (Some(counts), Some(percent)) => {
                let plural = if counts.total == 1 { "" } else { "s" };
                write!(f, "{percent}% of {} changed line{plural}", counts.total)
            }
            _ if self.unknown.is_empty() => f.write_str("no coverable lines changed"),
            _ => f.write_str("unknown"),
        }
    }
}

/// GitHub limits the length of a status.
fn short_reason(why: Unknown, files: usize) -> &'static str {
    match why {
        Unknown::NotInReport => "not in the report",
        Unknown::Ambiguous => "several files or folders fit",
        Unknown::OtherPaths => "no path of the report is one of the repository",
        Unknown::TooLarge => "the diff is too large",
        Unknown::BaseChanged if files > 1 => "the base branch changed them too",
        Unknown::BaseChanged => "the base branch changed it too",
        Unknown::NoDiff => "GitHub shows no diff",
        Unknown::LineBreaks => "uncertain line numbers",
        Unknown::NotListed => "not listed by GitHub",
    }
}
