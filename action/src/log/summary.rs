//! Step 7: writes the step's outputs and the job summary.

use crate::base::text::markdown;
use crate::coverage::{Counts, Percent, State, Totals};
use crate::log::actions_log::ActionsLog;

/// Filled during the run; written even if it fails.
pub struct Outcome {
    pub threshold: Percent,
    pub name: Option<String>,
    pub totals: Option<Totals>,
    pub state: Option<State>,
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
            name,
            totals: None,
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

    /// The difference to the default branch.
    pub fn change(&self) -> Option<String> {
        Some(self.totals.as_ref()?.percent.change_since(self.baseline.as_ref()?))
    }

    pub fn write(&self, log: &ActionsLog) {
        log.write_outputs(&self.outputs());
        log.write_summary(&self.markdown());
    }

    /// Only known values: an output that is not written is empty.
    fn outputs(&self) -> Vec<(&'static str, String)> {
        let known = [
            ("coverage", self.totals.as_ref().map(|totals| totals.percent.to_string())),
            ("state", self.state.map(|state| state.as_str().to_owned())),
            ("delta", self.change()),
            ("report-url", self.report_url.clone()),
            ("badge-url", self.badge_url.clone()),
            ("site-id", self.site_id.clone()),
            ("uploaded", Some(self.uploaded.to_string())),
        ];
        known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn markdown(&self) -> String {
        // Without a state, the run ended before the search for a total.
        let total = self.state.map(|_| match &self.totals {
            Some(totals) => format!("**{}%** of {} ({})", totals.percent, totals.metric, totals.tool),
            None => "none found".to_owned(),
        });
        let counted = |counts: fn(&Totals) -> Option<Counts>| Some(counts(self.totals.as_ref()?)?.to_string());
        let change = self.change().zip(self.baseline.as_ref());
        let change = change.map(|(change, baseline)| format!("{change} against {baseline}% on the default branch"));
        let missed = if self.state == Some(State::Failure) { ", missed" } else { "" };
        let link = self.report_url.as_ref().filter(|_| self.uploaded);
        let rows =
            [
                ("Total", total),
                ("Lines", counted(|totals| totals.lines)),
                ("Branches", counted(|totals| totals.branches)),
                ("Change", change),
                ("Threshold", Some(format!("{}%{missed}", self.threshold))),
                (
                    "Report",
                    Some(link.map_or("not uploaded".to_owned(), |url| {
                        format!("[open it](<{}>)", url.replace(['<', '>'], ""))
                    })),
                ),
                ("Packed", self.packed.as_deref().map(markdown)),
            ];
        let title = self.name.as_ref().map_or_else(String::new, |name| format!(": {}", markdown(name)));
        let mut text = format!("### Coverage{title}\n\n| | |\n|---|---|\n");
        for (name, value) in rows {
            text += &value.map_or_else(String::new, |value| format!("| {name} | {value} |\n"));
        }
        text.push('\n');
        for problem in &self.problems {
            text += &format!("- {}\n", markdown(problem));
        }
        text
    }
}
