//! Step 3, for an export or a dry run: reads which lines the tests covered.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{Context, Result, bail, ensure};

use super::Run;
use crate::base::text::count;
use crate::coverage::lines::Lines;
use crate::coverage::{Choice, Export, FoundLines, LineSearch, Proof};
use crate::inputs::Source;
use crate::report::Report;

impl Run<'_> {
    /// Logs where the lines come from and whether they add up, and writes the exports. A failed export fails the run,
    /// but not the steps after it.
    pub(super) fn read_lines(&mut self, report: &Report) -> Result<()> {
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
        match &found {
            Some(found) => self.log.info(&format!("Read {found}")),
            None => self.log.info(&format!("Read no lines: {}", nothing(choice))),
        }
        let exports = self.inputs.exports.iter();
        let problems: Vec<String> = exports
            .filter_map(|export| {
                let error = self.export(export, found.as_ref()).err()?;
                Some(format!("cannot write the export {}: {error:#}", export.path))
            })
            .collect();
        problems.into_iter().for_each(|problem| self.record_failure(problem, false));
        Ok(())
    }

    fn export(&self, export: &Export, found: Option<&FoundLines>) -> Result<()> {
        let found =
            found.context("the report has no lines in a known format; set lines (--lines) to a coverage file")?;
        if let Proof::Differs { .. } = found.proof {
            bail!("the lines in {} do not add up; set lines (--lines) to another file", found.source);
        }
        let path = absolute(&export.path)?;
        if let Source::Folder(folder) = &self.inputs.source {
            let is_inside = resolved(&path).starts_with(resolved(&absolute(folder)?));
            ensure!(!is_inside, "it would change the report: choose a file outside of {}", folder.display());
        }
        write(export, &path, &found.lines)?;
        let (files, (_, lines)) = (found.lines.files().count(), found.lines.sums());
        self.log.info(&format!(
            "Wrote {} of {} to {} ({})",
            count(lines as usize, "line"),
            count(files, "file"),
            export.path,
            export.format
        ));
        Ok(())
    }
}

fn nothing(choice: &Choice) -> &'static str {
    match choice {
        Choice::Auto => "neither a coverage file nor the pages of the report have them in a known format",
        Choice::File { .. } => "the file of lines (--lines) has none in a known format",
    }
}

/// An absolute path without symbolic links and `..`; what does not exist yet has no links.
fn resolved(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|folder| Some((folder.canonicalize().ok()?, path.strip_prefix(folder).ok()?)));
    let Some((mut real, new)) = real else { return path.to_owned() };
    for part in new.components() {
        if part == Component::ParentDir {
            real.pop();
        } else {
            real.push(part);
        }
    }
    real
}

fn write(export: &Export, path: &Path, lines: &Lines) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut to = BufWriter::new(File::create(path)?);
    export.write(lines, &mut to)?;
    Ok(to.flush()?)
}
