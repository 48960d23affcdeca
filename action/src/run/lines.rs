//! Step 3, if anything needs it: reads which lines the tests covered, and exports them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{Context, Result, bail, ensure};

use super::state::Run;
use crate::base::text::count;
use crate::coverage::lines::{Filter, Lines};
use crate::coverage::patch::Selection;
use crate::coverage::{Choice, Export, FoundLines, LineSearch, Proof};
use crate::github::changes::Changes;
use crate::inputs::Source;
use crate::report::Report;

impl Run<'_> {
    /// Reads the lines if an export, a dry run or the patch coverage needs them. Returns the page of changed lines.
    pub(super) fn use_lines(&mut self, report: &Report, changes: Option<&Changes>) -> Result<Option<String>> {
        let needs_all = self.inputs.dry_run || !self.inputs.exports.is_empty();
        if !needs_all && changes.is_none() {
            return Ok(None);
        }
        let selection = changes.map(|changes| {
            let selection = Selection::new(&changes.files);
            match &changes.tree {
                Some(tree) => selection.with_tree(tree.iter().map(String::as_str)),
                None => selection,
            }
        });
        let needs = |path: &str| selection.as_ref().is_some_and(|selection| selection.needs(path));
        let found = self.read_lines(report, if needs_all { None } else { Some(&needs) });
        // A wrong name is no reason to upload no report.
        let (found, wrong) = match found {
            Err(wrong) if !self.inputs.dry_run => (None, Some(wrong)),
            found => (found?, None),
        };
        let failed_exports = if wrong.is_some() { Vec::new() } else { self.failed_exports(found.as_ref()) };
        let patch = changes.zip(selection.as_ref());
        let patch = patch.map(|(changes, selection)| self.patch(report, changes, selection, found.as_ref()));
        drop(found);
        wrong.iter().for_each(|wrong| self.fail(wrong));
        failed_exports.into_iter().for_each(|problem| self.record_failure(problem, false));
        let number = changes.map(|changes| changes.number);
        Ok(number.zip(patch).and_then(|(number, patch)| self.record_patch(number, patch)))
    }

    /// The lines: all, or those that the filter accepts. Logs where they come from and whether they add up.
    fn read_lines<'r>(&'r self, report: &'r Report, filter: Option<Filter<'r>>) -> Result<Option<FoundLines<'r>>> {
        let Some(choice) = &self.inputs.lines else { return Ok(None) };
        if let Some(path) = choice.missing(report) {
            bail!(
                "lines (--lines) names the file `{path}`, which is neither in the working directory nor in the report"
            );
        }
        let totals = self.outcome.totals.as_ref();
        let is_part = filter.is_some();
        let search = LineSearch { report, choice, totals, filter, deadline: self.deadline() };
        let mut notes = Vec::new();
        let found = search.run(&mut notes);
        notes.iter().for_each(|note| self.log.info(&format!("Note: {note}")));
        match &found {
            Some(found) if is_part && !found.lines.are_all_rejected() => {
                self.log.info(&format!("Read {found}; only changed files were read"));
            }
            Some(found) => self.log.info(&format!("Read {found}")),
            None if !notes.is_empty() => self.log.info("Read no lines: the notes above say why"),
            None => self.log.info(&format!("Read no lines: {}", no_lines_reason(choice))),
        }
        Ok(found)
    }

    /// Writes the exports. A failed one fails the run, but not the steps after it.
    fn failed_exports(&self, found: Option<&FoundLines>) -> Vec<String> {
        let exports = self.inputs.exports.iter();
        exports
            .filter_map(|export| {
                let error = self.export(export, found).err()?;
                Some(format!("cannot write the export {}: {error:#}", export.path))
            })
            .collect()
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
