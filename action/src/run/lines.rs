//! Step 3, for an export or a dry run: reads which lines the tests covered.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{Context, Result, bail, ensure};

use super::state::Run;
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
            None if !notes.is_empty() => self.log.info("Read no lines: the notes above say why"),
            None => self.log.info(&format!("Read no lines: {}", no_lines_reason(choice))),
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
            found.context("there are no lines to write; set lines (--lines) to a coverage file of the report")?;
        if let Proof::Differs { .. } = found.proof {
            bail!("the lines in {} do not add up; set lines (--lines) to another file", found.source);
        }
        let path = resolve(Path::new(&export.path))?;
        if let Source::Folder(folder) = &self.inputs.source {
            let is_inside = path.starts_with(resolve(folder)?);
            ensure!(!is_inside, "it would change the report: choose a file outside of {}", folder.display());
        }
        write_export(export, &path, &found.lines)?;
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

fn no_lines_reason(choice: &Choice) -> String {
    match choice {
        Choice::Auto => "neither a coverage file nor the pages of the report have them in a known format".to_owned(),
        Choice::File { path, format: Some(format) } => format!("{path} has none in the format {format}"),
        Choice::File { path, format: None } => format!("{path} has none in a known format"),
    }
}

/// The absolute path without `..` and links, so that neither hides that a file is in the report's folder. What does not
/// exist yet is no link.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
        if let Ok(target) = resolved.canonicalize() {
            resolved = target;
        }
    }
    Ok(resolved)
}

fn write_export(export: &Export, path: &Path, lines: &Lines) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut to = BufWriter::new(File::create(path)?);
    export.write(lines, &mut to)?;
    Ok(to.flush()?)
}
