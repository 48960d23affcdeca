//! Reports in a dry run which lines the tests covered, and whether they add up.

use anyhow::{Result, bail};

use super::Run;
use crate::coverage::{Choice, LineSearch};
use crate::report::Report;

impl Run<'_> {
    pub(super) fn log_lines(&self, report: &Report) -> Result<()> {
        let Some(choice) = &self.inputs.lines else { return Ok(()) };
        if let Some(path) = choice.missing(report) {
            bail!(
                "lines (--lines) names the file `{path}`, which is neither in the working directory nor in the report"
            );
        }
        let totals = self.outcome.totals.as_ref();
        let search = LineSearch { report, choice, totals, filter: None, deadline: self.deadline() };
        let mut notes = Vec::new();
        let found = search.run(&mut notes);
        notes.iter().for_each(|note| self.log.info(&format!("Note: {note}")));
        match found {
            Some(found) => self.log.info(&format!("Read {found}")),
            None if *choice == Choice::Auto => self
                .log
                .info("Read no lines: neither a coverage file nor the pages of the report have them in a known format"),
            None => self.log.info("Read no lines: the file of lines (--lines) has none in a known format"),
        }
        Ok(())
    }
}
