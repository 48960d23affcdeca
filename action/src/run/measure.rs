//! Step 2: finds the report's total.

use anyhow::{Context, Result, bail};

use super::Run;
use crate::coverage::{self, Search};
use crate::report::Report;

impl Run<'_> {
    pub(super) fn find_total(&mut self, report: &Report) -> Result<()> {
        if let Some(path) = self.inputs.totals.missing(report) {
            bail!("there is no file `{path}`, neither here nor in the report, which totals (--totals) names");
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
        self.warn(&format!("no total{of} was found: point to it by totals (--totals), FILE or FILE:FORMAT"));
        self.log.info(&format!("Looked in {}", search.searched_files()));
        self.log.info(&format!("Looked for the total of {}", coverage::known()));
    }
}
