//! Step 8: writes the step's outputs and the job summary.

use std::fmt;

use crate::base::text::{count, markdown, markdown_link, short_sha};
use crate::coverage::patch::Unknown;
use crate::coverage::{Counts, Percent, State, Totals};
use crate::log::actions_log::ActionsLog;

/// The result for the lines that a pull request changes.
pub struct PatchSummary {
    pub pull_request: u64,
    /// Its address on GitHub.
    pub pull_request_url: String,
    /// As in `83.33% of 12 changed lines, below the threshold of 90%`.
    pub description: String,
    pub state: State,
    /// Whether the threshold is reached, as a sentence; `None` without a threshold.
    pub requirement: Option<String>,
    pub percent: Option<Percent>,
    pub counts: Option<Counts>,
    /// Covered lines some of whose branches were not taken.
    pub partly: usize,
    /// The files with missed or partly covered lines, those with the most missed ones first.
    pub missed: Vec<MissedFile>,
    /// The changed files whose lines are unknown, sorted by path.
    pub unknown: Vec<(String, Unknown)>,
}

/// A changed file with lines that are not covered, or only partly.
pub struct MissedFile {
    /// In the repository. A contributor chose it.
    pub path: String,
    /// The commit whose line numbers these are.
    pub commit: String,
    pub counts: Counts,
    /// First and last line of each range that is not covered.
    pub ranges: Vec<(u32, u32)>,
    /// The same of those that are covered only partly.
    pub partly: Vec<(u32, u32)>,
}

impl PatchSummary {
    /// The number of changed lines that are not covered.
    pub fn missed_lines(&self) -> u64 {
        self.counts.map_or(0, |counts| counts.total - counts.covered)
    }
}

/// An expected report that is missing, and whose lines are those of an earlier commit.
#[derive(Clone)]
pub struct Carried {
    pub name: String,
    pub commit: String,
    /// How many commits the tested one is from it.
    pub commits: usize,
}

/// As in `from abc1234, 3 commits old`.
impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", short_sha(&self.commit))?;
        if self.commits == 0 { Ok(()) } else { write!(f, ", {} old", count(self.commits, "commit")) }
    }
}

/// One of several reports that are merged.
pub struct PartSummary {
    pub name: String,
    /// The page to open, relative to the merged report.
    pub page: Option<String>,
    /// Its own total, as in `87% of lines (coverage.py)`.
    pub total: Option<String>,
    pub lines: Option<Counts>,
    /// What it lacks, as in `no line data`.
    pub lack: Option<String>,
}

/// Filled during the run; written even if it fails.
pub struct Outcome {
    pub threshold: Percent,
    pub name: Option<String>,
    pub totals: Option<Totals>,
    /// Why several reports have no merged total.
    pub no_total: Option<String>,
    /// The reports, if they are several.
    pub parts: Vec<PartSummary>,
    /// The names of expected reports that are missing: the total is partial.
    pub missing: Vec<String>,
    /// Those that are taken from an earlier commit instead.
    pub carried: Vec<Carried>,
    pub state: Option<State>,
    pub patch: Option<PatchSummary>,
    /// Why the changed lines could not be counted. It may quote a path of the report.
    pub no_patch: Option<String>,
    /// The address of the page of changed lines.
    pub patch_url: Option<String>,
    /// The total of the default branch before this run.
    pub baseline: Option<Percent>,
    /// Description of the packed files.
    pub packed: Option<String>,
    pub report_url: Option<String>,
    pub badge_url: Option<String>,
    pub site_id: Option<String>,
    pub uploaded: bool,
    pub problems: Vec<String>,
}

impl Outcome {
    pub fn new(threshold: Percent, name: Option<String>) -> Self {
        Self {
            threshold,
            patch: None,
            no_patch: None,
            patch_url: None,
            name,
            totals: None,
            no_total: None,
            parts: Vec::new(),
            missing: Vec::new(),
            carried: Vec::new(),
            state: None,
            baseline: None,
            packed: None,
            report_url: None,
            badge_url: None,
            site_id: None,
            uploaded: false,
            problems: Vec::new(),
        }
    }

    /// Whether the total is only that of a part of the tests.
    pub fn is_partial(&self) -> bool {
        !self.missing.is_empty()
    }

    /// A result for the changed lines, if reports that could have hit some are missing.
    pub fn with_missing(&self, description: String) -> String {
        match self.missing.len() + self.carried.len() {
            0 => description,
            1 => format!("{description}; 1 report is missing"),
            missing => format!("{description}; {missing} reports are missing"),
        }
    }

    /// The difference to the default branch; `None` for a partial total.
    pub fn change(&self) -> Option<String> {
        if self.is_partial() {
            return None;
        }
        Some(self.totals.as_ref()?.percent.change_since(self.baseline.as_ref()?))
    }

    /// Whether the total is lower than that of the default branch.
    pub fn has_dropped(&self) -> bool {
        let totals = self.totals.as_ref().zip(self.baseline.as_ref());
        !self.is_partial() && totals.is_some_and(|(totals, baseline)| !totals.percent.reaches(baseline))
    }

    pub fn write(&self, log: &ActionsLog) {
        log.write_outputs(&self.outputs());
        log.write_summary(&self.markdown());
    }

    /// Only known values: an output that is not written is empty.
    fn outputs(&self) -> Vec<(&'static str, String)> {
        let patch = self.patch.as_ref();
        let counts = patch.and_then(|patch| patch.counts);
        let known = [
            ("coverage", self.totals.as_ref().map(|totals| totals.percent.to_string())),
            ("state", self.state.map(|state| state.as_str().to_owned())),
            ("delta", self.change()),
            ("patch-coverage", patch.and_then(|patch| patch.percent.as_ref()).map(ToString::to_string)),
            ("patch-lines", counts.map(|counts| counts.total.to_string())),
            ("patch-state", patch.map(|patch| patch.state.as_str().to_owned())),
            ("patch-url", self.patch_url.clone()),
            ("patch-missed", patch.filter(|_| counts.is_some()).map(|patch| patch.missed_lines().to_string())),
            ("report-url", self.report_url.clone()),
            ("badge-url", self.badge_url.clone()),
            ("site-id", self.site_id.clone()),
            ("uploaded", Some(self.uploaded.to_string())),
        ];
        known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn patch_row(&self, patch: &PatchSummary) -> String {
        let text = markdown(&patch.description);
        let link = self.patch_url.as_ref().filter(|_| self.uploaded);
        let link = link.map_or_else(String::new, |url| format!(", {}", markdown_link("see the lines", url)));
        let pull_request = markdown_link(&format!("#{}", patch.pull_request), &patch.pull_request_url);
        format!("{text}{link} ({pull_request})")
    }

    fn part_table(&self) -> String {
        if self.parts.is_empty() {
            return String::new();
        }
        let mut text = "| Report | Total | Lines |\n|---|---|---|\n".to_owned();
        for part in &self.parts {
            let lack = part.lack.as_ref().map_or_else(String::new, |lack| {
                if part.total.is_some() { format!(" ({})", markdown(lack)) } else { markdown(lack) }
            });
            let total = part.total.as_deref().or(part.lack.is_none().then_some("none found"));
            let total = total.map_or_else(String::new, markdown);
            let lines = part.lines.map_or_else(|| "–".to_owned(), |lines| lines.to_string());
            text += &format!("| {} | {total}{lack} | {lines} |\n", markdown(&part.name));
        }
        text + "\n"
    }

    fn markdown(&self) -> String {
        // Without a state, the run ended before the search for a total.
        let total = self.state.map(|_| match &self.totals {
            Some(totals) => {
                let partial = if self.is_partial() { "partial: " } else { "" };
                format!("{partial}**{}%** of {} ({})", totals.percent, totals.metric, totals.tool)
            }
            None => self.no_total.as_deref().map_or("none found".to_owned(), |why| format!("none: {}", markdown(why))),
        });
        let counted = |counts: fn(&Totals) -> Option<Counts>| Some(counts(self.totals.as_ref()?)?.to_string());
        let change = self.change().zip(self.baseline.as_ref());
        let change = change.map(|(change, baseline)| format!("{change} against {baseline}% on the default branch"));
        let threshold = |percent: &Percent, is_missed| format!("{percent}%{}", if is_missed { ", missed" } else { "" });
        let patch = self.patch.as_ref();
        let patch_threshold = patch.and_then(|patch| patch.requirement.as_deref()).map(markdown);
        let total_threshold = threshold(&self.threshold, self.state == Some(State::Failure));
        let total_label = if patch.is_some() { "Threshold of the total" } else { "Threshold" };
        let link = self.report_url.as_ref().filter(|_| self.uploaded);
        let rows = [
            ("Total", total),
            ("Lines", counted(|totals| totals.lines)),
            ("Branches", counted(|totals| totals.branches)),
            ("Change", change),
            ("Changed lines", patch.map(|patch| self.patch_row(patch))),
            (total_label, Some(total_threshold)),
            ("Threshold of the changed lines", patch_threshold),
            ("Report", Some(link.map_or("not uploaded".to_owned(), |url| markdown_link("open it", url)))),
            ("Packed", self.packed.as_deref().map(markdown)),
        ];
        let title = self.name.as_ref().map_or_else(String::new, |name| format!(": {}", markdown(name)));
        let mut text = format!("### Coverage{title}\n\n| | |\n|---|---|\n");
        for (name, value) in rows {
            text += &value.map_or_else(String::new, |value| format!("| {name} | {value} |\n"));
        }
        text.push('\n');
        text += &self.part_table();
        for problem in &self.problems {
            text += &format!("- {}\n", markdown(problem));
        }
        text
    }
}
