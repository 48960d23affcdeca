//! Step 2: finds the report's total.

use anyhow::{Context, Result, bail};

use super::state::Run;
use crate::coverage::{self, Search};
use crate::report::Report;

impl Run<'_> {
    pub(super) fn find_total(&mut self, report: &Report) -> Result<()> {
        if let Some(path) = self.inputs.totals.missing(report) {
            bail!(
                "totals (--totals) names the file `{path}`, which is neither in the working directory nor in the \
                 report"
            );
        }
        let search = coverage::search(report, &self.inputs.totals, self.inputs.metric, self.deadline());
        self.deadline().check().context("cannot find the total")?;
        search.notes.iter().for_each(|note| self.log.info(&format!("Note: {note}")));
        match &search.totals {
            Some(totals) => self.log.info(&format!("Found {totals}")),
            None => self.warn_no_total(report, &search),
        }
        self.outcome.totals = search.totals;
        self.outcome.state = Some(self.state());
        Ok(())
    }

    fn warn_no_total(&mut self, report: &Report, search: &Search) {
        if report.index().is_none() {
            self.warn("there is no index.html in the report's folder: is it the HTML report's own folder?");
        }
        let of = self.inputs.metric.map_or_else(String::new, |metric| format!(" of {metric}"));
        self.warn(&format!("no total{of} found: set totals (--totals) to FILE or FILE:FORMAT"));
        self.log.info(&format!("Searched {}", search.searched_files()));
        self.log.info(&format!("Supported tools: {}", coverage::supported_tools()));
    }
}
